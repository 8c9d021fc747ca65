"""Queries of recovery: find a payment by data from a picture, and what became of its money."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db_models import Payment, PaymentStatus, Receipt, Verdict

BILL_NUMBER_LENGTH = 25
"""A bill number is the first 25 characters of a payment's id: object 62-01 of a KHQR holds 25."""


class RecoveryLookups:
    """Queries on payments by data that a payer has; payments come without their merchants."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def by_bill_number(self, bill_number: str) -> Payment | None:
        """The payment whose id begins with these 25 hex digits, or None."""
        if len(bill_number) != BILL_NUMBER_LENGTH:
            return None
        # A range, so that every engine uses the unique index of the ids.
        query = select(Payment).where(Payment.txid >= bill_number, Payment.txid < f"{bill_number}g")
        payments = self._session.scalars(query.limit(2)).all()
        return payments[0] if len(payments) == 1 else None

    def by_end_to_end_id(self, end_to_end_id: str) -> Payment | None:
        """The payment of the receipt with this id, accepted or refused; or None."""
        query = select(Payment).join(Receipt, Receipt.payment_id == Payment.id)
        return self._session.scalars(
            query.where(Receipt.end_to_end_id == end_to_end_id)
        ).one_or_none()

    def last_refused(self, payment_id: int) -> Receipt | None:
        """The payment's newest refused receipt, or None."""
        query = select(Receipt).where(
            Receipt.payment_id == payment_id, Receipt.verdict == Verdict.REFUSED
        )
        return self._session.scalars(query.order_by(Receipt.id.desc()).limit(1)).one_or_none()

    def is_order_paid(self, payment: Payment) -> bool:
        """Whether another payment of the same order was paid."""
        if payment.order_id is None:
            return False
        paid = select(Payment.id).where(
            Payment.merchant_id == payment.merchant_id,
            Payment.live_order_id == payment.order_id,
            Payment.status == PaymentStatus.CONFIRMED,
            Payment.id != payment.id,
        )
        return self._session.scalars(paid).first() is not None
