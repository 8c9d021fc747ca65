"""Queries on refunds, and on what of a payment is held for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, Executable, insert, select, update
from sqlalchemy.orm import Session

from db_models import Payment, PaymentStatus, Refund, RefundStatus


class Refunds:
    """Queries on refunds."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def find(self, payment_id: int, refund_id: str) -> Refund | None:
        """The payment's refund of this name, or None."""
        named = select(Refund).where(Refund.payment_id == payment_id, Refund.refund_id == refund_id)
        return self._session.scalars(named).one_or_none()

    def of_payment(self, payment_id: int) -> Sequence[Refund]:
        """The payment's refunds, oldest first."""
        of_it = select(Refund).where(Refund.payment_id == payment_id)
        return self._session.scalars(of_it.order_by(Refund.id)).all()

    def with_payment(self, row: int) -> tuple[Refund, Payment]:
        """The refund with this row id, and its payment, as they stand in the database now."""
        both = select(Refund, Payment).join(Payment, Payment.id == Refund.payment_id)
        fresh = both.where(Refund.id == row).execution_options(populate_existing=True)
        refund, payment = self._session.execute(fresh).one()
        return refund, payment

    def insert(self, values: Mapping[str, Any]) -> int:
        """Store a new refund; gives its row id."""
        done = self._session.connection().execute(_INSERT, dict(values))
        key: Any = done.inserted_primary_key
        return int(key[0])

    def left(self, payment_id: int) -> int:
        """How many centavos of a payment are neither given back nor held, the row held from now on.

        A payment that was not paid has none.
        """
        paid = (
            select(Payment.amount_centavos - Payment.refunded_centavos - Payment.refunding_centavos)
            .where(Payment.id == payment_id, Payment.status == PaymentStatus.CONFIRMED)
            .with_for_update()
        )
        return int(self._session.scalar(paid) or 0)

    def hold(self, payment_id: int, amount_centavos: int) -> bool:
        """Hold so much of a confirmed payment; False, and nothing held, where less is left."""
        spoken_for = Payment.refunded_centavos + Payment.refunding_centavos
        return self._changed_one(
            update(Payment)
            .where(
                Payment.id == payment_id,
                Payment.status == PaymentStatus.CONFIRMED,
                spoken_for + amount_centavos <= Payment.amount_centavos,
            )
            .values(refunding_centavos=Payment.refunding_centavos + amount_centavos)
        )

    def give_back_held(self, payment_id: int, amount_centavos: int) -> bool:
        """Turn what was held into money given back; a change that everybody sees."""
        return self._changed_one(
            update(Payment)
            .where(Payment.id == payment_id, Payment.refunding_centavos >= amount_centavos)
            .values(
                refunding_centavos=Payment.refunding_centavos - amount_centavos,
                refunded_centavos=Payment.refunded_centavos + amount_centavos,
                sequence=Payment.sequence + 1,
            )
        )

    def free_held(self, payment_id: int, amount_centavos: int) -> bool:
        """Let go of what was held."""
        return self._changed_one(
            update(Payment)
            .where(Payment.id == payment_id, Payment.refunding_centavos >= amount_centavos)
            .values(refunding_centavos=Payment.refunding_centavos - amount_centavos)
        )

    def settle(self, row: int, values: Mapping[str, Any]) -> bool:
        """Write how a refund ended; False where it had ended before. The first ending counts."""
        return self._changed_one(
            update(Refund)
            .where(Refund.id == row, Refund.status == RefundStatus.PROCESSING)
            .values(ask_at=None, **values)
        )

    def ids_due(self, now: datetime, limit: int) -> Sequence[int]:
        """Row ids of refunds the bank may be asked about, the longest due first."""
        due = select(Refund.id).where(Refund.ask_at <= now)
        return self._session.scalars(due.order_by(Refund.ask_at, Refund.id).limit(limit)).all()

    def take(self, row: int, now: datetime, until: datetime) -> bool:
        """Take the turn to ask about this refund; False where another took it first."""
        return self._changed_one(
            update(Refund)
            .where(Refund.id == row, Refund.ask_at <= now)
            .values(ask_at=until, attempts=Refund.attempts + 1)
        )

    def ask_again(self, row: int, at: datetime) -> bool:
        """Write when the bank is asked next, unless it has answered meanwhile."""
        return self._changed_one(
            update(Refund)
            .where(Refund.id == row, Refund.status == RefundStatus.PROCESSING)
            .values(ask_at=at)
        )

    def _changed_one(self, statement: Executable) -> bool:
        options: Any = statement
        done = self._session.execute(options.execution_options(synchronize_session=False))
        return cast("CursorResult[Any]", done).rowcount == 1


_INSERT = insert(Refund.__table__)
