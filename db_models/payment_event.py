"""A payment event: what happened to a payment, one append-only row per change."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db


class PaymentEvent(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """Stored with the change it tells of; told after the commit, or by the relay."""

    __tablename__ = "payment_events"
    __table_args__ = (
        Index("ix_payment_events_payment", "payment_id", "id"),
        Index("ix_payment_events_relay", "relay_at", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"))
    name: Mapped[str] = mapped_column(String(40))
    sequence: Mapped[int] = mapped_column(Integer)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    relay_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the relay may tell it, should whoever recorded it not have; null once told."""
