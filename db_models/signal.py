"""A signal: something a merchant should look at, with the number that says why."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_public_id
from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class SignalKind(enum.StrEnum):
    """What was counted."""

    WRONG_PINS = "wrong-pins"
    WRONG_AMOUNTS = "wrong-amounts"
    CREATION_BURST = "creation-burst"
    REFUSED_PAYER = "refused-payer"


class Signal(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """How often something happened within a window, once that reached its threshold."""

    __tablename__ = "signals"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('wrong-pins', 'wrong-amounts', 'creation-burst', 'refused-payer')",
            name="kind_known",
        ),
        CheckConstraint("times >= threshold AND threshold > 0", name="threshold_reached"),
        # Of several processes that count at once, one writes.
        UniqueConstraint("merchant_id", "kind", "subject", "window_at"),
        Index("ix_signals_merchant", "merchant_id", "id"),
        Index("ix_signals_unseen", "merchant_id", "seen_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    kind: Mapped[str] = mapped_column(String(20))
    subject: Mapped[str] = mapped_column(exact_string(64))
    """What the count is of: a payment's id, a payer's document; empty for the whole account."""
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"))
    """The newest payment it happened to."""
    times: Mapped[int] = mapped_column(Integer)
    threshold: Mapped[int] = mapped_column(Integer)
    window_seconds: Mapped[int] = mapped_column(Integer)
    window_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """The instant rounded down to a window: what makes a row one of its kind."""
    first_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When its merchant said it was looked at."""
