"""Queries on refunds, and on the amount of a payment that is on hold for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, Executable, and_, insert, or_, select, update
from sqlalchemy.orm import Session

from db_models import Payment, PaymentStatus, Receipt, Refund, RefundStatus
from repository.due import is_over, is_too_far
from repository.halves import of_half

LEASE = timedelta(seconds=12)
"""How long one process may send a refund alone: longer than the bank may take to answer."""
PAUSE_MIN, PAUSE_MAX = timedelta(seconds=2), timedelta(minutes=10)
"""The pause before a refund is sent again; it grows with the refund's age."""


class Refunds:
    """Queries on refunds."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def find(self, payment_id: int, refund_id: str) -> Refund | None:
        """The payment's refund with this id, or None."""
        query = select(Refund).where(Refund.payment_id == payment_id, Refund.refund_id == refund_id)
        return self._session.scalars(query).one_or_none()

    def of_payment(self, payment_id: int) -> Sequence[Refund]:
        """The payment's refunds, oldest first."""
        query = select(Refund).where(Refund.payment_id == payment_id)
        return self._session.scalars(query.order_by(Refund.id)).all()

    def done_of(self, payment_ids: Collection[int]) -> dict[int, list[Refund]]:
        """The refunds that are done, by their payment's row id, oldest first.

        Runs one statement, or none.
        """
        refunds: dict[int, list[Refund]] = {}
        if payment_ids:
            query = select(Refund).where(
                Refund.payment_id.in_(payment_ids), Refund.status == RefundStatus.DONE
            )
            for refund in self._session.scalars(query.order_by(Refund.id)):
                refunds.setdefault(refund.payment_id, []).append(refund)
        return refunds

    def with_payment(self, row: int) -> tuple[Refund, Payment]:
        """The refund with this row id and its payment, read anew from the database."""
        both = select(Refund, Payment).join(Payment, Payment.id == Refund.payment_id)
        fresh = both.where(Refund.id == row).execution_options(populate_existing=True)
        refund, payment = self._session.execute(fresh).one()
        return refund, payment

    def insert(self, values: Mapping[str, Any]) -> int:
        """Store a new refund; return its row id."""
        result = self._session.connection().execute(_INSERT, dict(values))
        key: Any = result.inserted_primary_key
        return int(key[0])

    def remaining_centavos(self, payment_id: int) -> int:
        """Lock the payment; return the centavos that are neither refunded nor on hold.

        0 for a payment that is not confirmed.
        """
        remaining = (
            select(Payment.amount_centavos - Payment.refunded_centavos - Payment.refunding_centavos)
            .where(Payment.id == payment_id, Payment.status == PaymentStatus.CONFIRMED)
            .with_for_update()
        )
        return int(self._session.scalar(remaining) or 0)

    def hold(self, payment_id: int, amount_centavos: int) -> bool:
        """Put an amount of a confirmed payment on hold; False, and no change, if less remains."""
        used_centavos = Payment.refunded_centavos + Payment.refunding_centavos
        return self._changed_one(
            update(Payment)
            .where(
                Payment.id == payment_id,
                Payment.status == PaymentStatus.CONFIRMED,
                used_centavos + amount_centavos <= Payment.amount_centavos,
            )
            .values(refunding_centavos=Payment.refunding_centavos + amount_centavos)
        )

    def complete_hold(self, payment_id: int, amount_centavos: int) -> bool:
        """Turn an amount on hold into a refunded amount; increments the payment's sequence."""
        return self._changed_one(
            update(Payment)
            .where(Payment.id == payment_id, Payment.refunding_centavos >= amount_centavos)
            .values(
                refunding_centavos=Payment.refunding_centavos - amount_centavos,
                refunded_centavos=Payment.refunded_centavos + amount_centavos,
                sequence=Payment.sequence + 1,
            )
        )

    def release_hold(self, payment_id: int, amount_centavos: int) -> bool:
        """Take an amount off hold."""
        return self._changed_one(
            update(Payment)
            .where(Payment.id == payment_id, Payment.refunding_centavos >= amount_centavos)
            .values(refunding_centavos=Payment.refunding_centavos - amount_centavos)
        )

    def settle(self, row: int, values: Mapping[str, Any], lease: int | None = None) -> bool:
        """Write the outcome of a refund; False if it already has one, which then stays.

        With `lease`, also if another process has acquired the refund since.
        """
        changes = update(Refund).where(Refund.id == row, Refund.status == RefundStatus.PROCESSING)
        if lease is not None:
            changes = changes.where(Refund.attempts == lease)
        return self._changed_one(changes.values(ask_at=None, **values))

    def has_return_id(self, return_id: str, but_row: int) -> bool:
        """Whether a refund other than this one has this id of returned money."""
        query = select(Refund.id).where(Refund.return_id == return_id, Refund.id != but_row)
        return self._session.scalars(query).first() is not None

    def ids_due(
        self, now: datetime, limit: int, account_id: int | None, half: bool | None = None
    ) -> Sequence[int]:
        """Row ids of refunds that are due to be asked about, the oldest due time first.

        Those of money at this account of a real bank; None for the simulated bank, where `half`
        limits them to payments of test halves, or of merchants.
        """
        receipt = Receipt.settles_payment_id == Refund.payment_id
        query = select(Refund.id).outerjoin(Receipt, receipt)
        # `= NULL` matches nothing, and SQLAlchemy writes `IS NULL` for None.
        query = query.where(_is_due(now), Receipt.provider_account_id == account_id)
        if half is not None:
            query = query.join(Payment, Payment.id == Refund.payment_id).where(of_half(half))
        return self._session.scalars(query.order_by(Refund.ask_at, Refund.id).limit(limit)).all()

    def acquire(self, row: int, now: datetime, until: datetime) -> bool:
        """Acquire the lease to ask about this refund; False if another process was first."""
        return self._changed_one(
            update(Refund)
            .where(Refund.id == row, _is_due(now))
            .values(ask_at=until, attempts=Refund.attempts + 1)
        )

    def ask_again(self, row: int, at: datetime, lease: int) -> bool:
        """Write when to ask the bank next; False if it has answered, or the lease was lost."""
        is_ours = and_(Refund.status == RefundStatus.PROCESSING, Refund.attempts == lease)
        return self._changed_one(update(Refund).where(Refund.id == row, is_ours).values(ask_at=at))

    def _changed_one(self, statement: Executable) -> bool:
        options: Any = statement
        result = self._session.execute(options.execution_options(synchronize_session=False))
        return cast("CursorResult[Any]", result).rowcount == 1


_INSERT = insert(Refund.__table__)


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Whether a refund may be asked about; also if the clock was set back since its order."""
    # A refund from the future is so young that the lease is its longest pause.
    is_from_future = and_(Refund.requested_at > now, is_too_far(Refund.ask_at, now, LEASE))
    return or_(is_over(Refund.ask_at, now, PAUSE_MAX), is_from_future)
