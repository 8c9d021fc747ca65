"""Accounts, keys, sessions and tokens as JSON objects."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from accounts.keys import LIVE_PREFIX, TEST_PREFIX
from accounts.tokens import Tokens
from core.clock import rfc3339
from db_models import Account, ApiKey, SignIn


def user_object(account: Account) -> dict[str, Any]:
    """An account as its owner sees it."""
    return {
        "id": account.public_id,
        "username": account.login,
        "name": account.name,
        "email": account.email,
        "role": account.role,
        "is_active": account.disabled_at is None,
        "city": account.city,
        "pix_key": account.pix_key,
        "shop_url": account.shop_url,
        "support_url": account.support_url,
        "support_contact": account.support_contact,
        "logo_url": account.logo_url,
        "brand_color": account.brand_color,
        "grace_seconds": account.grace_seconds,
        "created_at": rfc3339(account.created_at),
    }


def token_object(tokens: Tokens) -> dict[str, Any]:
    """The tokens of a sign-in (RFC 6749, 5.1)."""
    return {
        "access_token": tokens.access_token,
        "token_type": "bearer",
        "expires_in": tokens.expires_in,
        "refresh_token": tokens.refresh_token,
    }


def key_object(key: ApiKey, *, livemode: bool) -> dict[str, Any]:
    """An API key, without its secret part.

    `livemode` is that of its account; it counts for old keys, whose prefix names no mode.
    """
    marks = {TEST_PREFIX: "test", LIVE_PREFIX: "live"}
    mode = next((m for mark, m in marks.items() if key.prefix.startswith(mark)), None)
    return {
        "id": key.public_id,
        "label": key.label,
        "prefix": key.prefix,
        "mode": mode,
        "livemode": livemode if mode is None else mode == "live",
        "scopes": key.scopes.split(),
        "created_at": rfc3339(key.created_at),
        "last_used_at": _rfc3339_or_none(key.last_used_at),
        "revoked_at": _rfc3339_or_none(key.revoked_at),
    }


def session_object(row: SignIn, current: str | None) -> dict[str, Any]:
    """A sign-in; `current` is the id of the sign-in that sends the request."""
    return {
        "id": row.public_id,
        "channel": row.channel,
        "current": row.public_id == current,
        "created_at": rfc3339(row.created_at),
        "seen_at": rfc3339(row.seen_at),
        "expires_at": rfc3339(row.expires_at),
        "address": row.address,
        "user_agent": row.user_agent,
    }


def _rfc3339_or_none(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)
