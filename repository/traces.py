"""Traces of shoppers on payment pages: at most one row per payment and kind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, insert, select, update
from sqlalchemy.orm import Session

from db_models import Payment, PaymentTrace

TIMES_MAX = 9_999
APART = timedelta(seconds=10)
"""What comes sooner after the last is the same visit: a page that is reloaded writes nothing."""


class Traces:
    """Queries on payment_traces."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def standing(self, txid: str, kind: str) -> tuple[int, int, int, datetime | None] | None:
        """The payment's row id and its merchant's, and how often and when last it was traced.

        None where there is no such payment.
        """
        known = and_(PaymentTrace.payment_id == Payment.id, PaymentTrace.kind == kind)
        query = (
            select(Payment.id, Payment.merchant_id, PaymentTrace.times, PaymentTrace.last_at)
            .outerjoin(PaymentTrace, known)
            .where(Payment.txid == txid)
        )
        found = self._session.execute(query).one_or_none()
        return None if found is None else (found[0], found[1], found[2] or 0, found[3])

    def insert(self, payment_id: int, kind: str, now: datetime) -> None:
        """Store the first of its kind. A unique index refuses a second first."""
        row = {"payment_id": payment_id, "kind": kind, "first_at": now, "last_at": now, "times": 1}
        self._session.execute(insert(PaymentTrace).values(**row))

    def again(self, payment_id: int, kind: str, now: datetime) -> None:
        """Count one more, unless one was counted within moments or there were enough."""
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
        found = select(PaymentTrace).where(PaymentTrace.payment_id == payment_id)
        return self._session.scalars(found).all()
