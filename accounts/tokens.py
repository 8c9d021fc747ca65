"""Access and refresh tokens: JWTs by Flask-JWT-Extended, each bound to the row of its sign-in.

The signing key is derived from SECRET_KEY, so a token is no valid signature anywhere else. Issuer
and audience are checked, and only the configured algorithm is accepted.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

import jwt
from flask import Flask, Response, current_app
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    set_access_cookies,
    set_refresh_cookies,
    unset_jwt_cookies,
)
from itsdangerous import SignatureExpired, TimestampSigner

from accounts import modes
from config import Settings, current_settings
from core.errors import CsrfFailed, Unauthorized
from core.signing.timed_texts import TimedTexts
from db_models import Account

AUDIENCE = "balcao"
ACCESS_COOKIE, REFRESH_COOKIE, CSRF_COOKIE = "access_token", "refresh_token", "csrf_access_token"
CLOCK_LEEWAY = timedelta(seconds=10)
"""How far the clocks of the process that signs and of the one that reads may differ."""

TOKEN_CHARACTERS_MAX = 2048
"""Longer than any token made here."""


@dataclass(frozen=True)
class Claims:
    """The claims of a valid token; whether its sign-in has ended is only in the database."""

    account_public_id: str
    sign_in_id: str
    token_id: str
    csrf: str
    expires_at: datetime


@dataclass(frozen=True)
class Tokens:
    """The tokens of a sign-in."""

    access_token: str
    refresh_token: str
    csrf_token: str
    expires_in: int
    """Seconds until the access token expires."""
    sign_in_id: str


class _ExpiredToken(Unauthorized):
    """The token was valid, but has expired."""


def init_tokens(app: Flask, settings: Settings) -> None:
    """Configure Flask-JWT-Extended. Raises if the key is too short for the algorithm."""
    key = signing_key(settings)
    strict = jwt.PyJWT(options={"enforce_minimum_key_length": True})
    strict.encode({}, key, algorithm=settings.algorithm)
    app.config.update(
        JWT_SECRET_KEY=key,
        JWT_ALGORITHM=settings.algorithm,
        JWT_ENCODE_ISSUER=settings.public_url,
        JWT_ENCODE_AUDIENCE=AUDIENCE,
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
    """The key that signs access and refresh tokens."""
    return hmac.digest(settings.secret_key.encode(), b"balcao tokens", "sha512")


def issue(
    account: Account, sign_in_id: str, refresh_id: str, csrf_token: str, lifetime: timedelta
) -> Tokens:
    """New tokens of a sign-in that stays open for `lifetime`."""
    settings = current_settings()
    claims = {"sid": sign_in_id, "csrf": csrf_token}
    access_lifetime = min(timedelta(seconds=settings.access_token_seconds), lifetime)
    return Tokens(
        access_token=create_access_token(
            account.public_id,
            expires_delta=access_lifetime,
            additional_claims={**claims, "role": account.role},
        ),
        refresh_token=create_refresh_token(
            account.public_id,
            expires_delta=lifetime,
            additional_claims={**claims, "jti": refresh_id},
        ),
        csrf_token=csrf_token,
        expires_in=int(access_lifetime.total_seconds()),
        sign_in_id=sign_in_id,
    )


def read(token: str, kind: Literal["access", "refresh"], csrf: str | None = None) -> Claims:
    """Check signature, expiry, issuer, audience and kind of a token, and return its claims.

    A token that was issued in the future is valid: this service has signed it, and its clock was
    set back since. Only the row of its sign-in says whether it was revoked.

    Raises Unauthorized, and CsrfFailed if `csrf` is given and differs from the claim.
    """
    if not token or len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        raise Unauthorized("This token was not issued by this service.")
    if csrf is not None and not csrf.isascii():
        raise CsrfFailed
    try:
        claims = _verified(token)
    except jwt.ExpiredSignatureError:
        raise _ExpiredToken("The token has expired: refresh it, or sign in again.") from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        raise Unauthorized("This token was not issued by this service.") from None
    texts = (claims.get("sub"), claims.get("sid"), claims.get("jti"), claims.get("csrf"))
    expires_at = claims.get("exp")
    if claims.get("type") != kind or not all(isinstance(text, str) for text in texts):
        raise Unauthorized(f"This is not an {kind} token.")
    if not isinstance(expires_at, int):
        raise Unauthorized("This token has no expiry.")
    try:
        ends_at = datetime.fromtimestamp(expires_at, UTC)
    except (ValueError, OverflowError, OSError):
        raise Unauthorized("This token expires at no time that exists.") from None
    if csrf is not None and not hmac.compare_digest(str(claims["csrf"]), csrf):
        raise CsrfFailed
    return Claims(*cast("tuple[str, str, str, str]", texts), ends_at)


def _verified(token: str) -> dict[str, Any]:
    """The claims of a token that this service signed and that has not expired.

    Raises jwt.PyJWTError.
    """
    claims: dict[str, Any] = jwt.decode(
        token,
        current_app.config["JWT_SECRET_KEY"],
        algorithms=[current_app.config["JWT_ALGORITHM"]],
        audience=AUDIENCE,
        issuer=current_app.config["JWT_ENCODE_ISSUER"],
        # Two machines never have the same time.
        leeway=CLOCK_LEEWAY,
        options={"verify_iat": False, "verify_nbf": False},
    )
    if claims.get("nbf") != claims.get("iat"):
        raise jwt.ImmatureSignatureError("this service issues no token for later")
    return claims


def set_cookies(response: Response, tokens: Tokens, lifetime: timedelta) -> None:
    """Set the cookies of a sign-in; the browser deletes them when the sign-in ends."""
    seconds = max(1, int(lifetime.total_seconds()))
    set_access_cookies(response, tokens.access_token, max_age=seconds)
    set_refresh_cookies(response, tokens.refresh_token, max_age=seconds)


def unset_cookies(response: Response) -> None:
    """Delete the cookies of a sign-in, and its test mode."""
    unset_jwt_cookies(response)
    modes.unset_cookie(response)


def lifetime(expires_at: datetime, now: datetime) -> timedelta:
    """How long a sign-in stays open from now; at least a second."""
    return max(expires_at - now, timedelta(seconds=1))


def read_signed(serializer: TimedTexts, text: str, seconds_max: int) -> Any:
    """The value of a signed text that is not older than this and CLOCK_LEEWAY.

    A text from the future is valid: the clock was set back since it was signed.

    Raises itsdangerous.BadData.
    """
    value, signed_at = serializer.loads(text, return_timestamp=True)
    signer = cast("TimestampSigner", serializer.make_signer())
    age = signer.get_timestamp() - signed_at.timestamp()
    leeway = CLOCK_LEEWAY.total_seconds()
    if age > seconds_max + leeway:
        raise SignatureExpired("the signature is too old", date_signed=signed_at)
    return value
