"""A merchant's logo, re-encoded. It is in the database because processes share it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_public_id
from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string

LOGO_BYTES_MAX = 60_000
"""A BLOB in MySQL holds at most 65,535 bytes."""


class Logo(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One PNG per account. A new logo gets a new URL, so that each may be cached for ever."""

    __tablename__ = "logos"
    __table_args__ = (TABLE_OPTIONS,)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), unique=True)
    png: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
