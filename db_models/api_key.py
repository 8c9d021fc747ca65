"""API keys, sent by a merchant's programs as `Authorization: Bearer`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_public_id
from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class ApiKey(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """The SHA-256 of one key. The key itself is shown once and never stored."""

    __tablename__ = "api_keys"
    __table_args__ = (TABLE_OPTIONS,)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    key_sha256: Mapped[str] = mapped_column(exact_string(64), unique=True)
    prefix: Mapped[str] = mapped_column(String(24), default="balcao_")
    """The first characters of the key, so that its owner recognises it: `balcao_live_Ab12`."""
    scopes: Mapped[str] = mapped_column(String(255), default="")
    """Scopes, separated by spaces (RFC 6749, 3.3)."""
    label: Mapped[str] = mapped_column(String(60))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Accurate to a minute, because not every request updates it."""
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
