"""Access and refresh tokens: JWTs by Flask-JWT-Extended, each bound to the row of its sign-in.

The key is derived from SECRET_KEY, so that what is signed here fits nowhere else, and the other way
round. Issuer and audience are checked; the algorithm is the configured one and no other.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

import jwt
from flask import Flask, Response
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    decode_token,
    set_access_cookies,
    set_refresh_cookies,
    unset_jwt_cookies,
)
from flask_jwt_extended.exceptions import CSRFError, JWTExtendedException

from config import Settings, current_settings
from core.errors import CsrfFailed, Unauthorized
from db_models import Account

AUDIENCE = "balcao"
ACCESS_COOKIE, REFRESH_COOKIE, CSRF_COOKIE = "access_token", "refresh_token", "csrf_access_token"
TOKEN_CHARACTERS_MAX = 2048
"""Longer than any token made here."""


@dataclass(frozen=True)
class Claims:
    """What a token that was checked says; whether its sign-in still stands, the database knows."""

    account_public_id: str
    sign_in_id: str
    token_id: str
    csrf: str
    expires_at: datetime


@dataclass(frozen=True)
class Tokens:
    """What a sign-in gives out."""

    access_token: str
    refresh_token: str
    csrf_token: str
    expires_in: int
    """Seconds until the access token ends."""
    sign_in_id: str


class _Expired(Unauthorized):
    """The token was good once."""


def init_tokens(app: Flask, settings: Settings) -> None:
    """Configure Flask-JWT-Extended; the key is checked to be long enough for the algorithm."""
    key = signing_key(settings)
    strict = jwt.PyJWT(options={"enforce_minimum_key_length": True})
    strict.encode({}, key, algorithm=settings.algorithm)
    app.config.update(
        JWT_SECRET_KEY=key,
        JWT_ALGORITHM=settings.algorithm,
        JWT_DECODE_ALGORITHMS=[settings.algorithm],
        JWT_ENCODE_ISSUER=settings.public_url,
        JWT_DECODE_ISSUER=settings.public_url,
        JWT_ENCODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(seconds=settings.access_token_seconds),
        JWT_REFRESH_TOKEN_EXPIRES=timedelta(seconds=settings.refresh_token_seconds),
        JWT_ACCESS_COOKIE_NAME=ACCESS_COOKIE,
        JWT_REFRESH_COOKIE_NAME=REFRESH_COOKIE,
        JWT_ACCESS_CSRF_COOKIE_NAME=CSRF_COOKIE,
        JWT_COOKIE_SECURE=settings.public_url.startswith("https://"),
        JWT_COOKIE_SAMESITE="Lax",
        JWT_COOKIE_CSRF_PROTECT=True,
        JWT_SESSION_COOKIE=False,
    )
    JWTManager(app)


def signing_key(settings: Settings) -> bytes:
    """The key of access and refresh tokens."""
    return hmac.digest(settings.secret_key.encode(), b"balcao tokens", "sha512")


def issue(
    account: Account, sign_in_id: str, refresh_id: str, csrf_token: str, left: timedelta
) -> Tokens:
    """Tokens of a sign-in that stays open for so long; the refresh token carries `refresh_id`."""
    settings = current_settings()
    claims = {"sid": sign_in_id, "csrf": csrf_token}
    lasts = min(timedelta(seconds=settings.access_token_seconds), left)
    return Tokens(
        access_token=create_access_token(
            account.public_id,
            expires_delta=lasts,
            additional_claims={**claims, "role": account.role},
        ),
        refresh_token=create_refresh_token(
            account.public_id, expires_delta=left, additional_claims={**claims, "jti": refresh_id}
        ),
        csrf_token=csrf_token,
        expires_in=int(lasts.total_seconds()),
        sign_in_id=sign_in_id,
    )


def read(token: str, kind: Literal["access", "refresh"], csrf: str | None = None) -> Claims:
    """What a token says, once signature, times, issuer, audience and kind are checked.

    Raises Unauthorized; CsrfFailed where `csrf` is given and is not the token's own.
    """
    if not token or len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        raise Unauthorized("The token is not one of this service.")
    if csrf is not None and not csrf.isascii():
        raise CsrfFailed
    try:
        claims: dict[str, Any] = decode_token(token, csrf_value=csrf)
    except CSRFError:
        raise CsrfFailed from None
    except jwt.ExpiredSignatureError:
        raise _Expired("The token has expired: refresh it, or sign in again.") from None
    except (jwt.PyJWTError, JWTExtendedException, ValueError, TypeError):
        raise Unauthorized("The token is not one of this service.") from None
    said = (claims.get("sub"), claims.get("sid"), claims.get("jti"), claims.get("csrf"))
    ends = claims.get("exp")
    if claims.get("type") != kind or not all(isinstance(one, str) for one in said):
        raise Unauthorized(f"This is not an {kind} token.")
    if not isinstance(ends, int):
        raise Unauthorized("This token has no end.")
    return Claims(*cast("tuple[str, str, str, str]", said), datetime.fromtimestamp(ends, UTC))


def set_cookies(response: Response, tokens: Tokens, left: timedelta) -> None:
    """Give a browser its tokens; it forgets them when the sign-in ends."""
    seconds = max(1, int(left.total_seconds()))
    set_access_cookies(response, tokens.access_token, max_age=seconds)
    set_refresh_cookies(response, tokens.refresh_token, max_age=seconds)


def unset_cookies(response: Response) -> None:
    """Take a browser's tokens away."""
    unset_jwt_cookies(response)


def lifetime(expires_at: datetime, now: datetime) -> timedelta:
    """How long a sign-in stays open yet; at least a second."""
    return max(expires_at - now, timedelta(seconds=1))
