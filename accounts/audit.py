"""Who did what: one row, written in the transaction of the deed itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import g, has_request_context, request

from db_models import Account
from repository.database import Work

SUBJECT_CHARACTERS_MAX = 140
ADDRESS_CHARACTERS_MAX = 45


def record(
    work: Work,
    account: Account | None,
    action: str,
    subject: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Keep that the account did this; None is somebody unknown, or the operator at the terminal.

    `action` is dotted past, as `key.revoked`; `details` must never hold a secret.
    """
    work.audit.insert(
        {
            "account_id": None if account is None else account.id,
            "action": action,
            "subject": subject[:SUBJECT_CHARACTERS_MAX],
            "details": dict(details or {}),
            "address": client_address(),
            "request_id": g.get("request_id", "") if has_request_context() else "",
            "occurred_at": work.now,
        }
    )


def client_address() -> str:
    """The address the request came from, as far as TRUSTED_PROXIES can tell; empty elsewhere."""
    address = (request.remote_addr or "") if has_request_context() else ""
    return address[:ADDRESS_CHARACTERS_MAX]
