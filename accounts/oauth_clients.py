"""The clients of API Pix: which scopes there are, and how a merchant makes and revokes a client."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

from accounts import audit
from accounts.keys import KeyUses
from config import current_parts
from core.errors import Conflict, NotFound
from core.ids import new_public_id
from db_models import Account, AuditAction, OAuthClient
from repository.database import Work

RESOURCES = (
    "cob",
    "cobv",
    "lotecobv",
    "cobr",
    "rec",
    "solicrec",
    "pix",
    "webhook",
    "webhookrec",
    "webhookcobr",
    "payloadlocation",
    "payloadlocationrec",
)
"""The resources of API Pix 2.9.0 that have scopes."""

READ, WRITE = "read", "write"
SCOPES = tuple(f"{resource}.{deed}" for resource in RESOURCES for deed in (READ, WRITE))
"""The 24 scopes of API Pix 2.9.0 (`securitySchemes`)."""

CLIENTS_MAX = 50
"""The clients of one account that are not revoked."""


def new_secret() -> str:
    """A new client secret with 256 random bits, in characters that no encoding changes."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """The stored SHA-256 of a secret; a slow hash would not protect 256 random bits any better."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_secret_of(client: OAuthClient, secret: str) -> bool:
    """Whether this is the client's secret."""
    return hmac.compare_digest(client.secret_sha256, secret_hash(secret))


def make_client(
    work: Work, account: Account, label: str, scopes: Sequence[str]
) -> tuple[OAuthClient, str]:
    """Make a client; return its row, and the secret, which is not stored.

    Raises Conflict if the account has CLIENTS_MAX clients.
    """
    work.oauth_clients.lock_account(account.id)
    if work.oauth_clients.count_in_use(account.id) >= CLIENTS_MAX:
        raise Conflict(f"An account has at most {CLIENTS_MAX} clients: revoke one first.")
    client_id, secret = new_public_id(), new_secret()
    work.oauth_clients.insert(_row(work, account, client_id, secret, label, scopes))
    audit.record(
        work,
        account,
        AuditAction.OAUTH_CLIENT_CREATED,
        client_id,
        {"label": label, "scopes": [*scopes]},
    )
    return find_client(work, account, client_id), secret


def find_client(work: Work, account: Account, client_id: str) -> OAuthClient:
    """The account's client, revoked or not. Raises NotFound."""
    client = work.oauth_clients.find_own(account.id, client_id)
    if client is None:
        raise NotFound("This client does not exist.")
    return client


def revoke_client(work: Work, account: Account, client_id: str) -> None:
    """Revoke a client of the account with its tokens, at once; safe to repeat. Raises NotFound."""
    client = find_client(work, account, client_id)
    if work.oauth_clients.revoke(client.id, work.now):
        audit.record(
            work,
            account,
            AuditAction.OAUTH_CLIENT_REVOKED,
            client.client_id,
            {"label": client.label},
        )


def set_certificate(work: Work, client_id: str, thumbprint: str) -> None:
    """Register the certificate that this client must prove in mutual TLS. Raises NotFound."""
    client = work.oauth_clients.find(client_id)
    if client is None:
        raise NotFound(f"There is no client {client_id}.")
    if client.certificate_thumbprint != thumbprint:
        work.oauth_clients.change(client.id, {"certificate_thumbprint": thumbprint})


def ensure_client(
    work: Work, account: Account, client_id: str, secret: str, label: str
) -> OAuthClient | None:
    """Let this id and secret work for the account, with every scope, and return the client.

    None if a client of another account has the id. For the demo merchant: the credentials in the
    settings work after every start, even if they were revoked before.
    """
    client = work.oauth_clients.find(client_id)
    if client is None:
        work.oauth_clients.insert(_row(work, account, client_id, secret, label, SCOPES))
        return work.oauth_clients.find(client_id)
    if client.account_id != account.id:
        return None
    columns = {"secret_sha256": secret_hash(secret), "scopes": " ".join(SCOPES), "revoked_at": None}
    if any(getattr(client, name) != value for name, value in columns.items()):
        work.oauth_clients.change(client.id, columns)
    return client


def _row(
    work: Work, account: Account, client_id: str, secret: str, label: str, scopes: Sequence[str]
) -> dict[str, object]:
    return {
        "client_id": client_id,
        "account_id": account.id,
        "secret_sha256": secret_hash(secret),
        "scopes": " ".join(scopes),
        "label": label,
        "created_at": work.now,
    }


def write_client_use(work: Work, row_id: int, at: datetime) -> None:
    """Write the use of a client."""
    work.oauth_clients.note_use(row_id, at)


def oauth_client_uses() -> KeyUses:
    """The uses of the clients, in the current app."""
    return current_parts().oauth_client_uses
