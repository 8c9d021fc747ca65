"""Traces of shoppers on payment pages: at most one row per payment and kind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, insert, select, update
from sqlalchemy.orm import Session

from db_models import Payment, PaymentTrace

TIMES_MAX = 9_999
APART = timedelta(seconds=10)
"""A trace that follows sooner belongs to the same visit, so a reloaded page writes nothing."""


class Traces:
    """Queries on payment_traces."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def find(self, txid: str, kind: str) -> tuple[int, int, int, datetime | None] | None:
        """The row ids of payment and merchant, the number of traces and the time of the last.

        None if there is no such payment.
        """
        is_kind = and_(PaymentTrace.payment_id == Payment.id, PaymentTrace.kind == kind)
        query = (
            select(Payment.id, Payment.merchant_id, PaymentTrace.times, PaymentTrace.last_at)
            .outerjoin(PaymentTrace, is_kind)
            .where(Payment.txid == txid)
        )
        row = self._session.execute(query).one_or_none()
        return None if row is None else (row[0], row[1], row[2] or 0, row[3])

    def insert(self, payment_id: int, kind: str, now: datetime) -> None:
        """Store the first trace of its kind; a unique index refuses a second row."""
        row = {"payment_id": payment_id, "kind": kind, "first_at": now, "last_at": now, "times": 1}
        self._session.execute(insert(PaymentTrace).values(**row))

    def count_again(self, payment_id: int, kind: str, now: datetime) -> None:
        """Add one to the count, at most once in APART and up to TIMES_MAX."""
        self._session.execute(
            update(PaymentTrace)
            .where(
                PaymentTrace.payment_id == payment_id,
                PaymentTrace.kind == kind,
                PaymentTrace.last_at <= now - APART,
                PaymentTrace.times < TIMES_MAX,
            )
            .values(times=PaymentTrace.times + 1, last_at=now)
            .execution_options(synchronize_session=False)
        )

    def of_payment(self, payment_id: int) -> Sequence[PaymentTrace]:
        """The payment's traces: at most one of each kind."""
        query = select(PaymentTrace).where(PaymentTrace.payment_id == payment_id)
        return self._session.scalars(query).all()
