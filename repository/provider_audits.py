"""Queries that compare an account at a real bank with what is stored here.

Each returns a bounded part; the caller goes on after the last row.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from db_models import Payment, PaymentStatus, ProviderCharge, Receipt, Refund, RefundStatus


@dataclass(frozen=True)
class StoredMoney:
    """A receipt, with the payment that it settles and the one that it named."""

    receipt: Receipt
    payment: Payment | None


@dataclass(frozen=True)
class StoredReturn:
    """A refund with the Pix that it gives back."""

    refund: Refund
    end_to_end_id: str


class ProviderAudits:
    """Queries for the audit of an account at a bank."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def charges_created(
        self, account_id: int, start: datetime, end: datetime, after: int, limit: int
    ) -> Sequence[ProviderCharge]:
        """The account's charges that were stored from `start` to `end`, by row id."""
        query = select(ProviderCharge).where(
            ProviderCharge.account_id == account_id,
            ProviderCharge.created_at >= start,
            ProviderCharge.created_at < end,
            ProviderCharge.id > after,
        )
        return self._session.scalars(query.order_by(ProviderCharge.id).limit(limit)).all()

    def money_by_ids(self, end_to_end_ids: Collection[str]) -> dict[str, StoredMoney]:
        """The receipts with these ids; runs one statement, or none."""
        if not end_to_end_ids:
            return {}
        query = _MONEY.where(Receipt.end_to_end_id.in_(end_to_end_ids))
        return {row[0].end_to_end_id: StoredMoney(*row) for row in self._session.execute(query)}

    def money_paid(
        self, account_id: int, start: datetime, end: datetime, after: int, limit: int
    ) -> Sequence[StoredMoney]:
        """The account's receipts that were paid from `start` to `end`, by row id."""
        query = _MONEY.where(
            Receipt.provider_account_id == account_id,
            Receipt.paid_at >= start,
            Receipt.paid_at < end,
            Receipt.id > after,
        )
        rows = self._session.execute(query.order_by(Receipt.id).limit(limit))
        return [StoredMoney(*row) for row in rows]

    def confirmed_without_money(
        self, account_id: int, start: datetime, end: datetime, limit: int
    ) -> Sequence[str]:
        """The txids of payments that were confirmed from `start` to `end` without a receipt."""
        settling = aliased(Receipt)
        query = (
            select(Payment.txid)
            .outerjoin(settling, settling.settles_payment_id == Payment.id)
            .where(
                Payment.provider_account_id == account_id,
                Payment.status == PaymentStatus.CONFIRMED,
                Payment.created_at >= start,
                Payment.created_at < end,
                settling.id.is_(None),
            )
        )
        return self._session.scalars(query.order_by(Payment.id).limit(limit)).all()

    def returns_of(self, payment_ids: Collection[int]) -> dict[int, list[Refund]]:
        """The refunds of these payments by the payments' row ids; runs one statement, or none."""
        refunds: dict[int, list[Refund]] = {one: [] for one in payment_ids}
        if payment_ids:
            query = select(Refund).where(Refund.payment_id.in_(payment_ids))
            for refund in self._session.scalars(query.order_by(Refund.id)):
                refunds[refund.payment_id].append(refund)
        return refunds

    def returns_done(
        self, account_id: int, start: datetime, end: datetime, after: int, limit: int
    ) -> Sequence[StoredReturn]:
        """The refunds of the account's money that ended from `start` to `end`, by row id."""
        query = (
            select(Refund, Receipt.end_to_end_id)
            .join(Receipt, Receipt.settles_payment_id == Refund.payment_id)
            .where(
                Receipt.provider_account_id == account_id,
                Refund.status == RefundStatus.DONE,
                Refund.settled_at >= start,
                Refund.settled_at < end,
                Refund.id > after,
            )
        )
        rows = self._session.execute(query.order_by(Refund.id).limit(limit))
        return [StoredReturn(*row) for row in rows]


_MONEY = select(Receipt, Payment).outerjoin(Payment, Payment.id == Receipt.settles_payment_id)
