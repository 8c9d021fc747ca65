"""How far a list of the bank's has been walked, and who walks it; one row per list."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class Reconciliation(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """Whoever moves `not_before` ahead by a conditional update walks until then, alone."""

    __tablename__ = "reconciliations"
    __table_args__ = (TABLE_OPTIONS,)

    name: Mapped[str] = mapped_column(exact_string(32), primary_key=True)
    walked_to: Mapped[datetime] = mapped_column(UtcDateTime)
    """The high-water mark: every window that ends before it was read to its end."""
    window_to: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The end of the window that is being read; none between two windows."""
    cursor: Mapped[str | None] = mapped_column(String(200))
    """Where in that window the next page begins, in the bank's own words."""
    not_before: Mapped[datetime] = mapped_column(UtcDateTime)
