"""How recovery finds a payment by what stands in a picture, and what became of its money."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db_models import Payment, PaymentStatus, Receipt, Verdict

BILL_NUMBER_LENGTH = 25
"""Characters of a payment's id that are its bill number: as many as a KHQR's object 62-01 holds."""


class RecoveryLookups:
    """Queries on payments by what a payer can show; each gives the rows without their merchants."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def by_bill_number(self, bill_number: str) -> Payment | None:
        """The payment whose id begins with these 25 hex digits, or None."""
        if len(bill_number) != BILL_NUMBER_LENGTH:
            return None
        # A range, so that the unique index of the ids answers on every engine.
        beginning = select(Payment).where(
            Payment.txid >= bill_number, Payment.txid < f"{bill_number}g"
        )
        found = self._session.scalars(beginning.limit(2)).all()
        return found[0] if len(found) == 1 else None

    def by_end_to_end_id(self, end_to_end_id: str) -> Payment | None:
        """The payment that this money came for, settled by it or not; or None."""
        told = select(Payment).join(Receipt, Receipt.payment_id == Payment.id)
        return self._session.scalars(
            told.where(Receipt.end_to_end_id == end_to_end_id)
        ).one_or_none()

    def last_refused(self, payment_id: int) -> Receipt | None:
        """The newest money that came for the payment and goes back, or None."""
        refused = select(Receipt).where(
            Receipt.payment_id == payment_id, Receipt.verdict == Verdict.REFUSED
        )
        return self._session.scalars(refused.order_by(Receipt.id.desc()).limit(1)).one_or_none()

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
