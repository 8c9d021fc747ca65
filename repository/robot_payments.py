"""Queries on the payments that the bank's robot payer shall pay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from db_models import Payment, RobotPayment
from repository.connections import rows_changed
from repository.due import is_over, is_too_far

LEASE = timedelta(seconds=12)
"""How long one process may send an order alone: longer than the bank may take to answer."""
PAUSE_MIN, PAUSE_MAX = timedelta(seconds=1), timedelta(seconds=10)
"""The pause before an order is sent again; it grows with the order's age."""
PAY_AFTER_MAX = timedelta(days=1)
"""How long after its creation a payment may be paid, so also how long a row may wait."""


class RobotPayments:
    """Queries on the payments that the bank's robot payer shall pay."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def insert(self, values: Mapping[str, Any]) -> None:
        """Store an order that no process has sent yet."""
        self._session.execute(insert(RobotPayment).values(is_at_bank=False, attempts=0, **values))

    def count_of(self, merchant_id: int, most: int) -> int:
        """How many rows the merchant has, counted up to `most`."""
        rows = select(RobotPayment.id).where(RobotPayment.merchant_id == merchant_id).limit(most)
        return int(self._session.scalar(select(func.count()).select_from(rows.subquery())) or 0)

    def row_of(self, txid: str) -> int | None:
        """The row id of the order for the payment with this id, or None."""
        query = select(RobotPayment.id).join(Payment, Payment.id == RobotPayment.payment_id)
        return self._session.scalar(query.where(Payment.txid == txid))

    def ids_due(self, now: datetime, limit: int) -> Sequence[int]:
        """Row ids that are due, the oldest due time first."""
        query = select(RobotPayment.id).where(_is_due(now))
        ordered = query.order_by(RobotPayment.next_at, RobotPayment.id)
        return self._session.scalars(ordered.limit(limit)).all()

    def acquire(self, row: int, now: datetime) -> bool:
        """Acquire the lease to work on this row; False if another process was first."""
        due_row = update(RobotPayment).where(RobotPayment.id == row, _is_due(now))
        values = {"next_at": now + LEASE, "attempts": RobotPayment.attempts + 1}
        return rows_changed(self._session, due_row.values(**values)) == 1

    def with_payment(self, row: int) -> tuple[RobotPayment, Payment] | None:
        """The row and its payment, or None if the row was deleted meanwhile."""
        both = select(RobotPayment, Payment).join(Payment, Payment.id == RobotPayment.payment_id)
        pair = self._session.execute(both.where(RobotPayment.id == row)).one_or_none()
        return None if pair is None else (pair[0], pair[1])

    def send_again(self, row: int, at: datetime) -> None:
        """Write when to send the order next."""
        waiting = update(RobotPayment).where(
            RobotPayment.id == row, RobotPayment.is_at_bank.is_(False)
        )
        self._session.execute(waiting.values(next_at=at))

    def keep_until(self, row: int, at: datetime) -> None:
        """Write that the bank has the order, and until when the row counts."""
        rows = update(RobotPayment).where(RobotPayment.id == row)
        self._session.execute(rows.values(is_at_bank=True, next_at=at))

    def delete(self, row: int) -> None:
        """Delete a row with which nothing is left to do."""
        self._session.execute(delete(RobotPayment).where(RobotPayment.id == row))


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Whether there is something to do with a row; also if the clock was set back since."""
    is_lease_from_future = and_(
        RobotPayment.is_at_bank.is_(False), is_too_far(RobotPayment.next_at, now, LEASE)
    )
    return or_(is_over(RobotPayment.next_at, now, PAY_AFTER_MAX), is_lease_from_future)
