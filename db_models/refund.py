"""Refunds of confirmed payments, whole or in part."""

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
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class RefundStatus(enum.StrEnum):
    """The status of a refund; `done` and `failed` are final."""

    PROCESSING = "processing"
    DONE = "done"
    FAILED = "failed"


class Refund(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """Inserted before the order is sent to the bank; the order is sent until the bank answers."""

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
    """The id from the merchant, or one generated here; unique within the payment."""
    bank_refund_id: Mapped[str] = mapped_column(exact_string(35), unique=True)
    """The id at the bank. It is unique, so that the bank executes a repeated order once."""
    return_id: Mapped[str | None] = mapped_column(exact_string(64), unique=True)
    """The bank's identifier of the returned money (rtrId of API Pix)."""
    amount_centavos: Mapped[int] = mapped_column(BigInteger)
    is_rest: Mapped[bool] = mapped_column(Boolean(create_constraint=False))
    """Whether the request had no amount, and so took everything that was left."""
    of_withdrawal: Mapped[bool] = mapped_column(
        Boolean(create_constraint=False), default=False, server_default=false()
    )
    """Whether it gives back cash of a withdrawal (API Pix 2.9.0, `natureza` RETIRADA)."""
    description: Mapped[str | None] = mapped_column(String(140))
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    """Why the refund failed: a code from the bank, or `refund-failed`."""
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ask_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the order may be sent next; a process moves it ahead to acquire the lease."""
    attempts: Mapped[int] = mapped_column(Integer)
    by_bank: Mapped[bool] = mapped_column(
        Boolean(create_constraint=False), default=False, server_default=false()
    )
    """Whether the bank gave the money back without an order of ours, for example by MED. Then
    `refund_id` is the bank's id."""
    nature: Mapped[str | None] = mapped_column(String(32))
    """`natureza` of such a refund (API Pix 2.9.0, DevolucaoNatureza), as the bank wrote it."""
