"""Who did what, when, and from where: rows that are written once and never changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_public_id
from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class AuditEntry(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One deed. Without an account it is somebody unknown's, or the operator's at the terminal."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_account", "account_id", "id"),
        Index("ix_audit_entries_occurred", "occurred_at"),
        Index("ix_audit_entries_action", "action", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    """Whose account it was done with."""
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(140))
    """What it was done to: a login, a key's public id, a payment's id."""
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What else is worth knowing; never a secret."""
    address: Mapped[str] = mapped_column(String(45))
    """From where; empty at the terminal."""
    request_id: Mapped[str] = mapped_column(String(128))
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
