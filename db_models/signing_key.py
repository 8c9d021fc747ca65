"""Keys that sign payloads; in the database, so that all processes use the same keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class SigningKeyRow(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """A P-256 key and its certificate; the private key is encrypted with SECRET_KEY."""

    __tablename__ = "signing_keys"
    __table_args__ = (TABLE_OPTIONS,)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kid: Mapped[str] = mapped_column(exact_string(64), unique=True)
    sealed_private_pem: Mapped[str] = mapped_column(Text)
    certificate_pem: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the key stops signing: two minutes after its successor was published. Its public key
    stays in the key set for another day."""
