"""The feed of events: the place of each event in the order that merchants read."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class FeedEntry(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One event of a merchant at its position.

    An entry is inserted after the commit of its event, by the one transaction that moves the
    counter. So position N+1 is never visible before position N, and a reader that continues after
    a position skips nothing.
    """

    __tablename__ = "feed_entries"
    __table_args__ = (
        Index("ix_feed_entries_merchant", "merchant_id", "position"),
        Index("ix_feed_entries_type", "merchant_id", "type", "position"),
        Index("ix_feed_entries_span", "merchant_id", "occurred_at"),
        TABLE_OPTIONS,
    )

    position: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True)
    """The event's id on the wire: in the feed, and as `webhook-id` of every delivery."""
    event_id: Mapped[int] = mapped_column(ForeignKey("payment_events.id"), unique=True)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    type: Mapped[str] = mapped_column(String(40))
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)


class FeedCounter(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """The last position that was given out: one row, which the migration inserts."""

    __tablename__ = "feed_counters"
    __table_args__ = (TABLE_OPTIONS,)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(BigInteger)
