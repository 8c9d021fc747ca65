"""Queries on orders to the payer's bank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, exists, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from db_models import PayerBankOrder
from repository.connections import rows_changed
from repository.due import is_over, is_too_far

LEASE = timedelta(seconds=12)
"""How long one process may send an order alone: longer than the bank may take to answer."""
PAUSE_MIN, PAUSE_MAX = timedelta(seconds=2), timedelta(minutes=10)
"""The pause before an order is sent again; it grows with the order's age."""


class PayerBankOrders:
    """Queries on orders to the payer's bank."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def insert(
        self, kind: str, subject: str, body: Mapping[str, Any], now: datetime, *, is_test: bool
    ) -> None:
        """Store an order that no process has sent yet; it is due at once.

        `is_test` tells whether it goes to the bank of test halves.
        """
        values: dict[str, Any] = {"kind": kind, "subject": subject, "body": dict(body)}
        values |= {"attempts": 0, "is_test": is_test}
        self._session.execute(insert(PayerBankOrder).values(created_at=now, next_at=now, **values))

    def ids_due(self, now: datetime, limit: int, *, is_test: bool) -> Sequence[int]:
        """Row ids that are due and the first of their subject, the oldest due time first.

        Those for the bank of test halves, or for the other one.
        """
        is_own = PayerBankOrder.is_test.is_(is_test)
        query = select(PayerBankOrder.id).where(_is_due(now), is_own, ~_has_earlier())
        ordered = query.order_by(PayerBankOrder.next_at, PayerBankOrder.id)
        return self._session.scalars(ordered.limit(limit)).all()

    def acquire(self, row: int, now: datetime) -> bool:
        """Acquire the lease to send this order; False if another process was first."""
        due_row = update(PayerBankOrder).where(PayerBankOrder.id == row, _is_due(now))
        values = {"next_at": now + LEASE, "attempts": PayerBankOrder.attempts + 1}
        return rows_changed(self._session, due_row.values(**values)) == 1

    def find(self, row: int) -> PayerBankOrder | None:
        """The order with this row id, or None once it has ended."""
        query = select(PayerBankOrder).where(PayerBankOrder.id == row)
        return self._session.scalars(query).one_or_none()

    def send_again(self, order: PayerBankOrder, at: datetime) -> None:
        """Write when to send the order next, unless a later lease is another process's."""
        own_lease = update(PayerBankOrder).where(
            PayerBankOrder.id == order.id, PayerBankOrder.attempts == order.attempts
        )
        self._session.execute(own_lease.values(next_at=at))

    def delete(self, row: int) -> bool:
        """Delete an order that has ended; False if another process was first."""
        return (
            rows_changed(self._session, delete(PayerBankOrder).where(PayerBankOrder.id == row)) == 1
        )


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Whether an order may be sent; also if the clock was set back since it was stored."""
    # An order from the future is so young that the lease is its longest pause.
    is_from_future = and_(
        PayerBankOrder.created_at > now, is_too_far(PayerBankOrder.next_at, now, LEASE)
    )
    return or_(is_over(PayerBankOrder.next_at, now, PAUSE_MAX), is_from_future)


def _has_earlier() -> ColumnElement[bool]:
    """Whether an earlier order with the same subject has not ended yet."""
    earlier = aliased(PayerBankOrder)
    same = (earlier.subject == PayerBankOrder.subject, earlier.id < PayerBankOrder.id)
    return exists().where(*same)
