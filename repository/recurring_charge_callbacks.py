"""Queries on callbacks of recurring charges: deliveries that tell a step of one.

As those of recurrences, they are stored by the transaction of the step.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select

from db_models import Account, EndpointKind, RecurringChargeChange
from repository.connections import Unit, rows_changed
from repository.recurrence_callbacks import new_delivery
from repository.recurring_charges import RecurringChargeRecord, RecurringCharges


@dataclass(frozen=True)
class RecurringChargeNews:
    """A charge, one step of it, and the merchant's Pix key."""

    record: RecurringChargeRecord
    change: RecurringChargeChange
    pix_key: str | None


class RecurringChargeCallbacks:
    """Queries on deliveries of recurring charges."""

    def __init__(self, unit: Unit) -> None:
        """Use the session of the unit of work."""
        self._session = unit.session

    def insert(self, record: RecurringChargeRecord, change: RecurringChargeChange) -> bool:
        """Store a delivery of this step that is due now; False without an address.

        One statement.
        """
        payment, row = record.payment, {"charge_change_id": change.id}
        at, merchant_id = change.changed_at, payment.merchant_id
        statement = new_delivery(EndpointKind.COBR, merchant_id, payment.id, at, row)
        return rows_changed(self._session, statement) == 1

    def changes(self, change_ids: Collection[int]) -> dict[int, RecurringChargeNews]:
        """These steps with their charges, by the step's id; no statement for none."""
        if not change_ids:
            return {}
        query = select(RecurringChargeChange).where(RecurringChargeChange.id.in_(change_ids))
        steps = self._session.scalars(query).all()
        charges = RecurringCharges(self._session)
        records = charges.by_payments({step.payment_id for step in steps})
        merchants = {record.payment.merchant_id for record in records.values()}
        rows = self._session.execute(
            select(Account.id, Account.pix_key).where(Account.id.in_(merchants))
        )
        keys = {row[0]: row[1] for row in rows}
        news = {}
        for step in steps:
            record = records[step.payment_id]
            key = keys.get(record.payment.merchant_id)
            news[step.id] = RecurringChargeNews(record, step, key)
        return news
