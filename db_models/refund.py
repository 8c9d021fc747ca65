"""A refund: money of a confirmed payment that its merchant gives back, whole or in part."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class RefundStatus(enum.StrEnum):
    """Where a refund stands; `done` and `failed` are final."""

    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"


class Refund(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """Written before the bank is asked, and asked for until it has answered."""

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint("amount_centavos > 0", name="amount_positive"),
        CheckConstraint("status IN ('processing', 'done', 'failed')", name="status_known"),
        CheckConstraint(
            "(status = 'processing' AND settled_at IS NULL AND ask_at IS NOT NULL)"
            " OR (status <> 'processing' AND settled_at IS NOT NULL AND ask_at IS NULL)",
            name="asked_until_settled",
        ),
        CheckConstraint("status <> 'done' OR return_id IS NOT NULL", name="done_has_its_return"),
        CheckConstraint(
            "(status = 'failed' AND reason IS NOT NULL) OR (status <> 'failed' AND reason IS NULL)",
            name="failed_has_its_reason",
        ),
        UniqueConstraint("payment_id", "refund_id"),
        Index("ix_refunds_due", "ask_at", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"))
    refund_id: Mapped[str] = mapped_column(exact_string(35))
    """The merchant's own name for it, or one made here; unique among the payment's."""
    bank_refund_id: Mapped[str] = mapped_column(exact_string(35), unique=True)
    """What the bank knows it by: unique among all, so that asking again is asking once."""
    return_id: Mapped[str | None] = mapped_column(exact_string(64), unique=True)
    """The bank's identifier of the returned money (rtrId of API Pix)."""
    amount_centavos: Mapped[int] = mapped_column(BigInteger)
    is_rest: Mapped[bool] = mapped_column(Boolean(create_constraint=False))
    """Whether no amount was named: all that was left, at that moment."""
    description: Mapped[str | None] = mapped_column(String(140))
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    """Why it failed: the bank's own code, or ours."""
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ask_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the bank may be asked next; whoever moves it ahead has the turn until then."""
    attempts: Mapped[int] = mapped_column(Integer)
