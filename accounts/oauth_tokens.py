"""Access tokens of API Pix: signed JWTs (RFC 9068) that only API Pix accepts.

A token has no row. Its key is derived from SECRET_KEY for this purpose alone, so a token of a
person is no token here, and the reverse. Every request looks the token's client up in the
database, so a token of a revoked client is refused at once. Where Redis tells each process of
changes, a look-up is reused for at most two seconds (docs/decisions/0093-remembered-callers.md).
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flask import g
from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OctKey

from accounts.access import Caller
from accounts.client_certificates import client_thumbprint, is_certificate_needed
from accounts.oauth_clients import oauth_client_uses
from accounts.tokens import CLOCK_LEEWAY
from config import current_settings
from core.errors import Forbidden, Unauthorized
from db_models import Account, OAuthClient
from repository.database import Work, ledger, now

TOKEN_SECONDS = 3600
"""The life of a token; Banco Central's Manual de Segurança do Pix asks for 15 to 60 minutes."""
AUDIENCE = "api-pix"
TOKEN_CHARACTERS_MAX = 2048
"""Longer than any token made here."""

_ALGORITHM, _TYPE = "HS256", "at+jwt"
_THUMBPRINT = "x5t#S256"


@dataclass(frozen=True)
class OAuthClaims:
    """The claims of a valid token; only the database says whether its client was revoked."""

    client_id: str
    scopes: frozenset[str]
    certificate_thumbprint: str | None
    """The certificate that must come with the token (RFC 8705, 3); None for any or none."""


def issue_token(client: OAuthClient, scope: str, certificate_thumbprint: str | None) -> str:
    """A token for the client; with a thumbprint it works with that certificate only."""
    issued_at = int(now().timestamp())
    claims: dict[str, Any] = {
        "iss": current_settings().public_url,
        "aud": AUDIENCE,
        "sub": client.client_id,
        "client_id": client.client_id,
        "scope": scope,
        "iat": issued_at,
        "exp": issued_at + TOKEN_SECONDS,
        "jti": secrets.token_hex(16),
    }
    if certificate_thumbprint is not None:
        claims["cnf"] = {_THUMBPRINT: certificate_thumbprint}
    header = {"alg": _ALGORITHM, "typ": _TYPE}
    return jwt.encode(header, claims, signing_key(current_settings().secret_key), [_ALGORITHM])


def read_token(token: str) -> OAuthClaims:
    """Check signature, type, issuer, audience and expiry, without a statement.

    Raises Unauthorized.
    """
    if not token or len(token) > TOKEN_CHARACTERS_MAX or not token.isascii():
        raise Unauthorized("This token was not issued by this service.")
    registry = jwt.JWTClaimsRegistry(
        now=int(now().timestamp()),
        leeway=int(CLOCK_LEEWAY.total_seconds()),  # two machines never have the same time
        iss={"essential": True, "value": current_settings().public_url},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
    )
    try:
        decoded = jwt.decode(token, signing_key(current_settings().secret_key), [_ALGORITHM])
        claims = dict(decoded.claims)
        # The clock may have been set back since: only the expiry counts.
        claims.pop("iat", None)
        registry.validate(claims)
    except ExpiredTokenError:
        raise Unauthorized("The token has expired: ask for a new one.") from None
    except (JoseError, ValueError, TypeError):
        raise Unauthorized("This token was not issued by this service.") from None
    if decoded.header.get("typ") != _TYPE:
        raise Unauthorized("This is not an access token of API Pix.")
    confirmation = claims.get("cnf", {})
    return OAuthClaims(
        client_id=str(claims["client_id"]),
        scopes=frozenset(str(claims["scope"]).split()),
        certificate_thumbprint=confirmation.get(_THUMBPRINT),
    )


def merchant_of_token(work: Work, authorization: str | None, scope: str) -> Account:
    """The merchant for whom the request at hand, to API Pix, acts.

    `authorization` is the header, or None. One statement at most, and none for a token that is
    missing, forged or expired. Raises Unauthorized, also if the client was revoked, the account
    disabled, or the token bound to another certificate than the connection's, and Forbidden for a
    missing scope.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized("Send Authorization: Bearer with a token of /api-pix/oauth/token.")
    claims = read_token(token.strip())
    _check_certificate(claims.certificate_thumbprint)
    account_and_client = ledger().callers.find(
        ("client", claims.client_id),
        work.now,
        lambda: work.oauth_clients.find_usable(claims.client_id),
        work.caller_answers,
    )
    if account_and_client is None:
        raise Unauthorized("The client of this token was revoked.")
    account, client = account_and_client
    oauth_client_uses().note(client.id, work.now)
    # What the audit log and the refused requests say of the author.
    g.caller = Caller(
        account,
        claims.scopes,
        None,
        key_public_id=client.client_id,
        key_name=client.label,
    )
    if scope not in claims.scopes:
        raise Forbidden(f"This token lacks the scope {scope}.")
    return account


def _check_certificate(bound_to: str | None) -> None:
    """Raise Unauthorized unless the connection has proven the token's certificate."""
    if bound_to is None and is_certificate_needed():
        raise Unauthorized("This token was issued without mutual TLS: ask for a new one.")
    if bound_to is not None and bound_to != client_thumbprint():
        raise Unauthorized("This token is bound to another certificate (RFC 8705).")


@lru_cache(maxsize=8)
def signing_key(secret_key: str) -> OctKey:
    """The key that signs tokens of API Pix, and nothing else."""
    return OctKey.import_key(hmac.digest(secret_key.encode(), b"balcao api pix tokens", "sha256"))
