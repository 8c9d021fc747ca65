"""Queries on payment_events: stored with the change, announced after the commit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, CursorResult, func, insert, select, update

from db_models import EventName, Payment, PaymentEvent, Receipt
from repository.connections import Unit
from repository.due import is_over
from repository.statements import QuickStatement, clear_column

RELAY_PATIENCE = timedelta(seconds=4)
"""The process that stored an event has this long to announce it before the relay does."""


class StoredEvent(NamedTuple):
    """One event of one payment, or of one receipt without a payment, as it is stored and announced.

    `payment_id` and `receipt_id` are row ids; an event has one of the two. `txid` is the payment's
    id on the wire.
    """

    name: EventName
    payment_id: int | None
    merchant_id: int
    txid: str | None
    status: str
    sequence: int
    occurred_at: datetime
    message: str
    id: int = 0
    reason: str | None = None
    """A code for the reason, where the service itself needs it; stored and not announced."""
    receipt_id: int | None = None
    end_to_end_id: str | None = None
    amount_centavos: int | None = None
    """The amount of a receipt without a payment."""
    author: Mapping[str, str] | None = None
    """The API key and the request behind the change (`audit.author`); stored and not announced."""
    state: Mapping[str, Any] | None = None
    """What may change later, as it stood at the event (`payments.snapshots`); not announced."""


class Events:
    """Queries on payment_events."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def insert(
        self,
        event: StoredEvent,
        on_stored: Callable[[StoredEvent], object],
        payment: Payment | None = None,
    ) -> None:
        """Store one event by the COMMIT at the latest; `on_stored` gets it with its id.

        `payment` is the event's; it may have no row id if its own INSERT was deferred just before.
        """
        row, statement = _row(event), _INSERT
        if payment is not None and event.payment_id is None:
            del row["payment_id"]
            statement = _INSERT_OF_LAST

        def add_ids(key: int) -> None:
            payment_id = event.payment_id if payment is None else payment.id
            on_stored(event._replace(id=key, payment_id=payment_id))

        statement.defer_insert(self._unit.connection, row, add_ids)

    def insert_many(self, events: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Store the same kind of event for several payments; return them with their ids."""
        if not events:
            return []
        self._unit.session.execute(insert(PaymentEvent), [_row(event) for event in events])
        keys = self._unit.session.execute(
            select(PaymentEvent.payment_id, PaymentEvent.sequence, PaymentEvent.id).where(
                PaymentEvent.payment_id.in_([event.payment_id for event in events]),
                PaymentEvent.name == events[0].name,
            )
        )
        ids = {(payment_id, sequence): key for payment_id, sequence, key in keys}
        keys_of = [(event, ids[int(event.payment_id or 0), event.sequence]) for event in events]
        return [event._replace(id=key) for event, key in keys_of]

    def unannounced(self, now: datetime, limit: int) -> list[StoredEvent]:
        """Events whose process should have announced them by now, oldest first."""
        query = _with_subject().where(_is_due(now))
        ordered = query.order_by(PaymentEvent.relay_at, PaymentEvent.id).limit(limit)
        return [_stored_event(*row) for row in self._unit.session.execute(ordered)]

    def has_revision(self, payment_id: int) -> bool:
        """Whether the payment's deadline was moved."""
        query = select(PaymentEvent.id).where(
            PaymentEvent.payment_id == payment_id, PaymentEvent.name == EventName.PAYMENT_REVISED
        )
        return self._unit.session.scalars(query.limit(1)).first() is not None

    def newest(self, limit: int, before_id: int | None = None) -> list[StoredEvent]:
        """Events, newest first; `before_id` gives those before that event."""
        query = _with_subject()
        if before_id is not None:
            query = query.where(PaymentEvent.id < before_id)
        ordered = query.order_by(PaymentEvent.id.desc()).limit(limit)
        return [_stored_event(*row) for row in self._unit.session.execute(ordered)]

    def claim(self, event_id: int, now: datetime) -> bool:
        """Claim one unannounced event for this process; False if another process was first."""
        result = self._unit.connection.execute(
            update(PaymentEvent)
            .where(PaymentEvent.id == event_id, _is_due(now))
            .values(relay_at=now + RELAY_PATIENCE)
        )
        return cast("CursorResult[Any]", result).rowcount == 1

    def mark_announced(self, event_ids: Sequence[int]) -> None:
        """Mark these events as announced, so that the relay skips them."""
        clear_column(self._unit.connection, PaymentEvent.__table__.c.relay_at, event_ids)


_INSERT = QuickStatement(insert(PaymentEvent.__table__))
_INSERT_OF_LAST = QuickStatement(
    insert(PaymentEvent.__table__).values(payment_id=func.last_insert_id())
)
"""For an event of the row that this connection inserted last; only MySQL and MariaDB need it."""


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Whether the relay may take an event."""
    return is_over(PaymentEvent.relay_at, now, RELAY_PATIENCE)


def _row(event: StoredEvent) -> dict[str, Any]:
    data: dict[str, Any] = {"status": event.status, "message": event.message}
    if event.reason is not None:
        data["reason"] = event.reason
    if event.author:
        data["author"] = dict(event.author)
    if event.state is not None:
        data["state"] = dict(event.state)
    return {
        "payment_id": event.payment_id,
        "receipt_id": event.receipt_id,
        "name": event.name,
        "sequence": event.sequence,
        "occurred_at": event.occurred_at,
        "data": data,
        "relay_at": event.occurred_at + RELAY_PATIENCE if event.name.is_announced else None,
        "unnumbered": True if event.name.is_in_feed else None,
    }


def _with_subject() -> Any:
    """Events with the columns of their payment or receipt that an announcement needs."""
    return (
        select(
            PaymentEvent,
            Payment.txid,
            Payment.merchant_id,
            Receipt.end_to_end_id,
            Receipt.merchant_id,
            Receipt.amount_centavos,
        )
        .outerjoin(Payment, Payment.id == PaymentEvent.payment_id)
        .outerjoin(Receipt, Receipt.id == PaymentEvent.receipt_id)
    )


def _stored_event(
    event: PaymentEvent,
    txid: str | None,
    payments_merchant_id: int | None,
    end_to_end_id: str | None,
    receipts_merchant_id: int | None,
    amount_centavos: int | None,
) -> StoredEvent:
    return StoredEvent(
        name=EventName(event.name),
        payment_id=event.payment_id,
        merchant_id=int(payments_merchant_id or receipts_merchant_id or 0),
        txid=txid,
        status=event.data["status"],
        sequence=event.sequence,
        occurred_at=event.occurred_at,
        message=event.data["message"],
        id=event.id,
        receipt_id=event.receipt_id,
        end_to_end_id=end_to_end_id,
        amount_centavos=amount_centavos,
    )
