"""Queries on the charges at real banks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Update, and_, insert, or_, select, update
from sqlalchemy.orm import Session

from db_models import (
    Payment,
    PaymentStatus,
    ProviderAccount,
    ProviderCharge,
    ProviderChargeStatus,
)
from repository.bank_leases import LEASE
from repository.connections import rows_changed
from repository.due import is_over, is_too_far

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

    def by_txids(
        self, account_ids: Collection[int], txids: Collection[str]
    ) -> dict[str, ProviderCharge]:
        """The accounts' charges by their txids; runs one statement, or none."""
        if not txids:
            return {}
        query = select(ProviderCharge).where(
            ProviderCharge.account_id.in_(account_ids), ProviderCharge.txid.in_(txids)
        )
        return {charge.txid: charge for charge in self._session.scalars(query)}

    def at_bank_of(
        self, account: ProviderAccount, txid: str, pix_key: str | None
    ) -> ProviderCharge | None:
        """The charge with this txid at the account's bank, of any entry for one bank account.

        A merchant may have added one bank account twice, or once for each of its keys; its list
        names all Pix, and `pix_key` is that of the Pix, if the bank names it.
        """
        is_own = ProviderCharge.account_id == account.id
        keys = {account.pix_key, pix_key or account.pix_key}
        query = (
            select(ProviderCharge)
            .join(ProviderAccount, ProviderAccount.id == ProviderCharge.account_id)
            .where(
                ProviderAccount.merchant_id == account.merchant_id,
                ProviderAccount.profile == account.profile,
                ProviderAccount.environment == account.environment,
                ProviderCharge.txid == txid,
                or_(is_own, ProviderCharge.pix_key.in_(keys)),
            )
        )
        return self._session.scalars(query).one_or_none()

    def open_of_ended_payments(
        self, after_id: int, limit: int
    ) -> Sequence[tuple[ProviderCharge, Payment, int | None]]:
        """Open charges whose payments are expired or cancelled, in the order of row ids.

        With each the milliseconds that its bank's clock is ahead, if they are known.
        """
        ended = (PaymentStatus.EXPIRED, PaymentStatus.CANCELLED)
        query = (
            select(ProviderCharge, Payment, ProviderAccount.clock_offset_ms)
            .join(Payment, Payment.id == ProviderCharge.payment_id)
            .join(ProviderAccount, ProviderAccount.id == ProviderCharge.account_id)
            .where(
                ProviderCharge.status == ProviderChargeStatus.OPEN,
                ProviderCharge.id > after_id,
                Payment.status.in_(ended),
            )
        )
        ordered = query.order_by(ProviderCharge.id).limit(limit)
        return [(row[0], row[1], row[2]) for row in self._session.execute(ordered)]

    def accounts_due(self, now: datetime) -> Sequence[int]:
        """The row ids of the accounts that have charges whose next call is due."""
        query = select(ProviderCharge.account_id).where(_is_due(now))
        return self._session.scalars(query.distinct()).all()

    def due(self, account_id: int, now: datetime, limit: int) -> Sequence[ProviderCharge]:
        """The account's charges whose next call is due, the oldest due time first."""
        query = select(ProviderCharge).where(ProviderCharge.account_id == account_id, _is_due(now))
        ordered = query.order_by(ProviderCharge.next_at, ProviderCharge.id)
        return self._session.scalars(ordered.limit(limit)).all()

    def acquire(self, row: int, now: datetime) -> bool:
        """Acquire the lease to call the bank; False if another process was first."""
        due_row = update(ProviderCharge).where(ProviderCharge.id == row, _is_due(now))
        return self._lease(due_row, now)

    def acquire_early(self, row: int, attempts: int, now: datetime) -> bool:
        """Acquire the lease of a charge before its pause ends; False if another process has it.

        A charge without a fault is being worked on, or nobody has tried yet.
        """
        pausing_row = update(ProviderCharge).where(
            ProviderCharge.id == row,
            ProviderCharge.status == ProviderChargeStatus.OPENING,
            ProviderCharge.attempts == attempts,
            or_(ProviderCharge.fault.is_not(None), _is_due(now)),
        )
        return self._lease(pausing_row, now)

    def _lease(self, rows: Update, now: datetime) -> bool:
        """`fault` is empty during a lease: so a pause, which anybody may end, looks different."""
        values = {"next_at": now + LEASE, "attempts": ProviderCharge.attempts + 1, "fault": None}
        return rows_changed(self._session, rows.values(**values)) == 1

    def change(
        self,
        row: int,
        from_statuses: Collection[ProviderChargeStatus],
        values: Mapping[str, Any],
        *,
        lease: int | None = None,
    ) -> bool:
        """Write these columns if the charge still has one of these statuses; False if not.

        With `lease`, also not if another process has acquired the lease since.
        """
        current = update(ProviderCharge).where(
            ProviderCharge.id == row, ProviderCharge.status.in_(from_statuses)
        )
        if lease is not None:
            current = current.where(ProviderCharge.attempts == lease)
        return rows_changed(self._session, current.values(**values)) == 1


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Whether a call is due; also if the clock was set back since the charge was stored."""
    # A charge from the future is so young that the lease is its longest pause.
    is_from_future = and_(
        ProviderCharge.created_at > now, is_too_far(ProviderCharge.next_at, now, LEASE)
    )
    return or_(is_over(ProviderCharge.next_at, now, PAUSE_MAX), is_from_future)
