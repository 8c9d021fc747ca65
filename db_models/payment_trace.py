"""What was done about a payment: bounded traces, one row per kind and not per view."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.base import TABLE_OPTIONS, UtcDateTime, db


class TraceKind(enum.StrEnum):
    """What was done."""

    OPENED = "opened"
    """The page was looked at."""
    COPIED = "copied"
    """Its code was copied."""
    ASKED = "asked"
    """The bank was asked: the payer said *Já paguei*, or the reconciliation's turn had come."""


class PaymentTrace(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """When something was first and last done about a payment, and about how often."""

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
