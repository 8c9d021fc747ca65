"""Queries on the charges at real banks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, insert, or_, select, update
from sqlalchemy.orm import Session

from db_models import ProviderCharge, ProviderChargeStatus
from repository.connections import rows_changed
from repository.due import is_over, is_too_far

LEASE = timedelta(seconds=90)
"""How long one process may work on a charge alone: longer than all calls of one try together."""
PAUSE_MIN, PAUSE_MAX = timedelta(seconds=2), timedelta(minutes=10)
"""The pause before the next try; it grows with the charge's age."""


class ProviderCharges:
    """Queries on provider charges."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def insert(self, values: Mapping[str, Any]) -> int:
        """Store a new charge; return its row id."""
        result = self._session.connection().execute(insert(ProviderCharge), dict(values))
        key: Any = result.inserted_primary_key
        return int(key[0])

    def of_payment(self, payment_id: int) -> ProviderCharge | None:
        """The charge of the payment with this row id, read anew from the database."""
        query = select(ProviderCharge).where(ProviderCharge.payment_id == payment_id)
        fresh = query.execution_options(populate_existing=True)
        return self._session.scalars(fresh).one_or_none()

    def of_payments(self, payment_ids: Collection[int]) -> dict[int, ProviderCharge]:
        """The charges by their payments' row ids; runs one statement, or none."""
        if not payment_ids:
            return {}
        query = select(ProviderCharge).where(ProviderCharge.payment_id.in_(payment_ids))
        return {charge.payment_id: charge for charge in self._session.scalars(query)}

    def by_txids(self, account_id: int, txids: Collection[str]) -> dict[str, ProviderCharge]:
        """The account's charges by their txids; runs one statement, or none."""
        if not txids:
            return {}
        query = select(ProviderCharge).where(
            ProviderCharge.account_id == account_id, ProviderCharge.txid.in_(txids)
        )
        return {charge.txid: charge for charge in self._session.scalars(query)}

    def due(self, now: datetime, limit: int) -> Sequence[ProviderCharge]:
        """The charges whose next call is due, the oldest due time first."""
        query = select(ProviderCharge).where(_is_due(now))
        ordered = query.order_by(ProviderCharge.next_at, ProviderCharge.id)
        return self._session.scalars(ordered.limit(limit)).all()

    def acquire(self, row: int, now: datetime) -> bool:
        """Acquire the lease to call the bank; False if another process was first."""
        due_row = update(ProviderCharge).where(ProviderCharge.id == row, _is_due(now))
        values = {"next_at": now + LEASE, "attempts": ProviderCharge.attempts + 1}
        return rows_changed(self._session, due_row.values(**values)) == 1

    def change(
        self, row: int, from_statuses: Collection[ProviderChargeStatus], values: Mapping[str, Any]
    ) -> bool:
        """Write these columns if the charge still has one of these statuses; False if not."""
        current = update(ProviderCharge).where(
            ProviderCharge.id == row, ProviderCharge.status.in_(from_statuses)
        )
        return rows_changed(self._session, current.values(**values)) == 1


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Whether a call is due; also if the clock was set back since the charge was stored."""
    # A charge from the future is so young that the lease is its longest pause.
    is_from_future = and_(
        ProviderCharge.created_at > now, is_too_far(ProviderCharge.next_at, now, LEASE)
    )
    return or_(is_over(ProviderCharge.next_at, now, PAUSE_MAX), is_from_future)
