"""Deletion of test halves' old rows (docs/decisions/0084).

Each statement that deletes or changes rows says itself that they belong to a test half, so a wrong
id in its list touches no merchant's money. The list of ids keeps it at the rows of its batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, not_, or_, select, update
from sqlalchemy.orm import Session

from db_models import (
    Account,
    ChargeAttempt,
    ChargeBatch,
    ChargeBatchItem,
    ChargeRevision,
    FeedEntry,
    Location,
    PayerBankOrder,
    Payment,
    PaymentEvent,
    PaymentTrace,
    ProviderCharge,
    ProviderHint,
    Receipt,
    RecoveryUpload,
    Recurrence,
    RecurrenceChange,
    RecurrenceLocation,
    RecurrenceRequest,
    RecurrenceRequestChange,
    RecurringCharge,
    RecurringChargeChange,
    Refund,
    RobotPayment,
    Signal,
    WebhookAttempt,
    WebhookDelivery,
)
from repository import old_test_rules as rules
from repository.connections import rows_changed

DELIVERIES_MAX = 1000
"""Deliveries per transaction: a merchant may have sent one event again a thousand times."""

Rows = Sequence[int]
_OF_PAYMENTS: tuple[Any, ...] = (
    Receipt,
    Refund,
    ChargeRevision,
    PaymentTrace,
    RecoveryUpload,
    Signal,
    RobotPayment,
    Location,
    ChargeBatchItem,
)
"""What nothing refers to any more, once events, deliveries and links are gone."""


KINDS: dict[str, Callable[..., Select[Any]]] = {
    "payments": rules.payments,
    "receipts": rules.receipts,
    "recurrences": rules.recurrences,
    "batches": rules.batches,
    "locations": rules.locations,
    "recurrence_locations": rules.recurrence_locations,
}
"""In this order: a recurrence is old once its charges are gone, and so is a batch."""


class OldTestRows:
    """Find and delete rows of test halves that ended before an instant.

    Each kind of `KINDS` has rows that are found by it, and deleted with all that refers to them.
    """

    def __init__(self, session: Session, now: datetime, before: datetime) -> None:
        """Use the session of the unit of work."""
        self._session = session
        self._now = now
        self._before = before

    def next_halves(self, after_id: int, limit: int) -> Rows:
        """The next row ids of test halves."""
        query = select(Account.id).where(Account.id > after_id, Account.test_of_id.is_not(None))
        return self._session.scalars(query.order_by(Account.id).limit(limit)).all()

    def find(self, kind: str, half: int, limit: int) -> Rows:
        """The ids of the next old rows of a test half."""
        return self._ids(self._query(kind, half).limit(limit))

    def delete(self, kind: str, half: int, ids: Rows) -> int:
        """Delete those of these rows that are still old; return how many rows that were, in all.

        Two processes may delete the same ids. The unit of work raises ConcurrentUpdate if a row
        that stays refers to them.
        """
        delete_rows: Callable[[Rows], int] = getattr(self, f"_delete_{kind}")
        locked = self._ids(self._query(kind, half, ids).with_for_update())
        # Rows that others stored while the lock was waited for are seen by a second statement.
        return delete_rows(self._ids(self._query(kind, half, locked)))

    def _query(self, kind: str, half: int, ids: Rows | None = None) -> Select[Any]:
        return KINDS[kind](half, self._now, self._before, ids)

    def _delete_payments(self, rows: Rows) -> int:
        """Delete payments, or, if they have very many deliveries, a part of those alone."""
        receipts = self._ids(select(Receipt.id).where(Receipt.payment_id.in_(rows)))
        events = [
            *self._ids(select(PaymentEvent.id).where(PaymentEvent.payment_id.in_(rows))),
            *self._ids(select(PaymentEvent.id).where(PaymentEvent.receipt_id.in_(receipts))),
        ]
        changes = self._ids(
            select(RecurringChargeChange.id).where(RecurringChargeChange.payment_id.in_(rows))
        )
        total, is_part = self._delete_deliveries(events, WebhookDelivery.charge_change_id, changes)
        if is_part:
            return total
        total += self._delete_events(events)
        self._forget_links(rows)
        total += self._delete_recurring_charges(rows)
        total += self._delete_provider_charges(rows)
        for table in _OF_PAYMENTS:
            total += self._delete(table, table.payment_id, rows, rules.of_payment(table.payment_id))
        return total + self._delete(Payment, Payment.id, rows, rules.of_half(Payment.merchant_id))

    def _delete_receipts(self, rows: Rows) -> int:
        """Delete money without a payment."""
        events = self._ids(select(PaymentEvent.id).where(PaymentEvent.receipt_id.in_(rows)))
        total, is_part = self._delete_deliveries(events)
        if is_part:
            return total
        total += self._delete_events(events)
        return total + self._delete(Receipt, Receipt.id, rows, rules.of_half(Receipt.merchant_id))

    def _delete_recurrences(self, rows: Rows) -> int:
        """Delete recurrences with their requests."""
        requests = self._ids(
            select(RecurrenceRequest.id).where(RecurrenceRequest.recurrence_id.in_(rows))
        )
        changes = self._ids(
            select(RecurrenceChange.id).where(RecurrenceChange.recurrence_id.in_(rows))
        )
        total, is_part = self._delete_deliveries((), WebhookDelivery.recurrence_change_id, changes)
        if is_part:
            return total
        total += self._delete_orders(select(Recurrence.id_rec).where(Recurrence.id.in_(rows)))
        total += self._delete_orders(
            select(RecurrenceRequest.id_solic_rec).where(RecurrenceRequest.id.in_(requests))
        )
        total += self._delete(
            RecurrenceRequestChange,
            RecurrenceRequestChange.request_id,
            requests,
            rules.request_change_of_half(),
        )
        for table in (RecurrenceRequest, RecurrenceChange):
            total += self._delete(
                table, table.recurrence_id, rows, rules.of_recurrence(table.recurrence_id)
            )
        return total + self._delete(
            Recurrence, Recurrence.id, rows, rules.of_half(Recurrence.merchant_id)
        )

    def _delete_batches(self, rows: Rows) -> int:
        """Delete batches of charges, with the items whose charge was never made."""
        total = self._delete(
            ChargeBatchItem,
            ChargeBatchItem.batch_id,
            rows,
            rules.of_half(ChargeBatchItem.merchant_id),
        )
        return total + self._delete(
            ChargeBatch, ChargeBatch.id, rows, rules.of_half(ChargeBatch.merchant_id)
        )

    def _delete_locations(self, rows: Rows) -> int:
        """Delete locations that show no charge."""
        free = (Location.payment_id.is_(None), rules.of_half(Location.merchant_id))
        return self._delete(Location, Location.id, rows, *free)

    def _delete_recurrence_locations(self, rows: Rows) -> int:
        """Delete locations that show no recurrence."""
        table = RecurrenceLocation
        return self._delete(table, table.id, rows, rules.of_half(table.merchant_id))

    def _delete_deliveries(
        self, events: Rows, column: Any = None, changes: Rows = ()
    ) -> tuple[int, bool]:
        """Delete at most DELIVERIES_MAX deliveries; whether there were more."""
        positions = self._ids(select(FeedEntry.position).where(FeedEntry.event_id.in_(events)))
        rows = list(self._deliveries(WebhookDelivery.feed_position, positions))
        if column is not None:
            rows += self._deliveries(column, changes)
        is_part = len(rows) > DELIVERIES_MAX
        rows = rows[:DELIVERIES_MAX]
        total = self._delete(
            WebhookAttempt,
            WebhookAttempt.delivery_id,
            rows,
            rules.attempt_of_half(),
        )
        return total + self._delete(
            WebhookDelivery,
            WebhookDelivery.id,
            rows,
            # The process that sends one now stores its attempt afterwards.
            not_(rules.is_leased(self._now)),
            rules.delivery_of_half(),
        ), is_part

    def _deliveries(self, column: Any, values: Rows) -> Rows:
        query = select(WebhookDelivery.id).where(column.in_(values)).limit(DELIVERIES_MAX + 1)
        return self._ids(query) if values else ()

    def _delete_events(self, events: Rows) -> int:
        entries = self._delete(
            FeedEntry, FeedEntry.event_id, events, rules.of_half(FeedEntry.merchant_id)
        )
        return entries + self._delete(PaymentEvent, PaymentEvent.id, events, rules.event_of_half())

    def _forget_links(self, payments: Rows) -> None:
        """Renewals of these payments, and money that meant them, stay until their own end."""
        of_half = or_(rules.of_half(Receipt.merchant_id), rules.of_payment(Receipt.payment_id))
        unbooked_money = update(Receipt).where(Receipt.meant_payment_id.in_(payments), of_half)
        renewals = update(Payment).where(
            Payment.renewed_from_id.in_(payments), rules.of_half(Payment.merchant_id)
        )
        for statement in (
            unbooked_money.values(meant_payment_id=None),
            renewals.values(renewed_from_id=None),
        ):
            self._session.execute(statement, execution_options={"synchronize_session": False})

    def _delete_recurring_charges(self, payments: Rows) -> int:
        total = self._delete_orders(
            select(ChargeAttempt.end_to_end_id).where(ChargeAttempt.payment_id.in_(payments))
        )
        for table in (RecurringChargeChange, ChargeAttempt, RecurringCharge):
            total += self._delete(
                table, table.payment_id, payments, rules.of_payment(table.payment_id)
            )
        return total

    def _delete_orders(self, subjects: Select[Any]) -> int:
        """Delete orders that a bank never answered; `subjects` reads rows of this batch."""
        names = self._session.scalars(subjects).all()
        return self._delete(PayerBankOrder, PayerBankOrder.subject, names, rules.order_of_half())

    def _delete_provider_charges(self, payments: Rows) -> int:
        txids = self._session.scalars(
            select(ProviderCharge.txid).where(ProviderCharge.payment_id.in_(payments))
        ).all()
        total = self._delete(
            ProviderHint,
            ProviderHint.txid,
            txids,
            rules.hint_of_half(),
        )
        return total + self._delete(
            ProviderCharge,
            ProviderCharge.payment_id,
            payments,
            rules.of_payment(ProviderCharge.payment_id),
        )

    def _delete(
        self, table: Any, column: Any, values: Sequence[Any], *of_half: ColumnElement[bool]
    ) -> int:
        if not values:
            return 0
        statement = delete(table).where(column.in_(values), *of_half)
        options = {"synchronize_session": False}
        return rows_changed(self._session, statement.execution_options(**options))

    def _ids(self, query: Select[Any]) -> Rows:
        return self._session.scalars(query).all()
