"""Payments of tests that the bank's robot payer shall pay."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db


class RobotPayment(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """Inserted with its payment; sent to the bank until it answers; deleted after `pay_at`."""

    __tablename__ = "robot_payments"
    __table_args__ = (
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        Index("ix_robot_payments_due", "next_at", "id"),
        Index("ix_robot_payments_merchant", "merchant_id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), unique=True)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    pay_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the robot pays."""
    is_at_bank: Mapped[bool] = mapped_column(Boolean(create_constraint=False))
    """Whether the bank has the order; the row then only counts until `pay_at`."""
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When to send the order or to delete the row, or the end of the lease of a process."""
    attempts: Mapped[int] = mapped_column(Integer)
