"""Programs of a merchant that use API Pix: clients in the sense of OAuth 2.0 (RFC 6749, 2)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class OAuthClient(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One program, with the SHA-256 of its secret. The secret is shown once and never stored."""

    __tablename__ = "oauth_clients"
    __table_args__ = (TABLE_OPTIONS,)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    client_id: Mapped[str] = mapped_column(exact_string(64), unique=True)
    """The client's public name; nobody can guess it, but it proves nothing."""
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    secret_sha256: Mapped[str] = mapped_column(exact_string(64))
    scopes: Mapped[str] = mapped_column(String(500))
    """Scopes, separated by spaces (RFC 6749, 3.3)."""
    label: Mapped[str] = mapped_column(String(60))
    certificate_thumbprint: Mapped[str | None] = mapped_column(exact_string(43))
    """The client's certificate: the base64url of the SHA-256 of its DER form (RFC 8705, 3.1).

    None for a client without a certificate of its own.
    """
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Accurate to a minute, because not every request updates it."""
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
