"""Progress and lease of reconciliation; one row per list of the bank."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class Reconciliation(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """A process acquires the lease by a conditional update that moves `not_before` ahead."""

    __tablename__ = "reconciliations"
    __table_args__ = (TABLE_OPTIONS,)

    name: Mapped[str] = mapped_column(exact_string(32), primary_key=True)
    walked_to: Mapped[datetime] = mapped_column(UtcDateTime)
    """The high-water mark: every window up to this time was read completely."""
    window_to: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The end of the window that is being read; null between two windows."""
    cursor: Mapped[str | None] = mapped_column(String(200))
    """The bank's cursor of the next page in that window."""
    not_before: Mapped[datetime] = mapped_column(UtcDateTime)
