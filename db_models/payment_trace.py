"""Traces of a payment: one row per kind, so that their number is bounded."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.base import TABLE_OPTIONS, UtcDateTime, db


class TraceKind(enum.StrEnum):
    """The kinds of traces."""

    OPENED = "opened"
    """A shopper opened the payment page."""
    COPIED = "copied"
    """A shopper copied the Pix code."""
    ASKED = "asked"
    """The bank was asked, after a click on *Já paguei* or by the reconciliation."""


class PaymentTrace(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """The first and last time of one kind of trace, and about how often it happened."""

    __tablename__ = "payment_traces"
    __table_args__ = (
        CheckConstraint("kind IN ('opened', 'copied', 'asked')", name="kind_known"),
        CheckConstraint("times > 0", name="times_positive"),
        TABLE_OPTIONS,
    )

    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    times: Mapped[int] = mapped_column(Integer)
