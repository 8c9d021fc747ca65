"""Signals: counts of suspicious events, for the merchant to review."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_public_id
from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string, index_of_reference


class SignalKind(enum.StrEnum):
    """The events that are counted."""

    WRONG_PINS = "wrong-pins"
    WRONG_AMOUNTS = "wrong-amounts"
    CREATION_BURST = "creation-burst"
    REFUSED_PAYER = "refused-payer"


class Signal(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """A count within a window that reached its threshold."""

    __tablename__ = "signals"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('wrong-pins', 'wrong-amounts', 'creation-burst', 'refused-payer')",
            name="kind_known",
        ),
        CheckConstraint("times >= threshold AND threshold > 0", name="threshold_reached"),
        # If several processes count at once, one inserts the row.
        UniqueConstraint("merchant_id", "kind", "subject", "window_at"),
        Index("ix_signals_merchant", "merchant_id", "id"),
        Index("ix_signals_unseen", "merchant_id", "seen_at"),
        index_of_reference("ix_signals_payment", "payment_id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    kind: Mapped[str] = mapped_column(String(20))
    subject: Mapped[str] = mapped_column(exact_string(64))
    """A payment's id or a payer's document; empty for the whole account."""
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"))
    """The newest payment in the count."""
    times: Mapped[int] = mapped_column(Integer)
    threshold: Mapped[int] = mapped_column(Integer)
    window_seconds: Mapped[int] = mapped_column(Integer)
    window_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """The start of the window: the time of insertion, rounded down; part of the unique key."""
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the merchant marked the signal as seen."""
