"""Queries on payment_events: stored with the change, announced after the commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, insert, select, update

from db_models import EventName, Payment, PaymentEvent
from repository.connections import Unit

RELAY_PATIENCE = timedelta(seconds=4)
"""The process that stored an event has this long to announce it before the relay does."""


@dataclass(frozen=True)
class StoredEvent:
    """One event of one payment, as it is stored and announced."""

    name: EventName
    payment_id: int
    merchant_id: int
    txid: str
    status: str
    sequence: int
    occurred_at: datetime
    message: str
    id: int = 0
    reason: str | None = None
    """A code for the reason, where the service itself needs it; stored and not announced."""


class Events:
    """Queries on payment_events."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit

    def insert(self, event: StoredEvent) -> StoredEvent:
        """Store one event; return it with its id."""
        result = self._unit.connection.execute(_INSERT, _row(event))
        key: Any = result.inserted_primary_key
        return replace(event, id=int(key[0]))

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
        return [replace(event, id=ids[event.payment_id, event.sequence]) for event in events]

    def unannounced(self, now: datetime, limit: int) -> list[StoredEvent]:
        """Events whose process should have announced them by now, oldest first."""
        rows = self._unit.session.execute(
            select(PaymentEvent, Payment.txid, Payment.merchant_id)
            .join(Payment, Payment.id == PaymentEvent.payment_id)
            .where(PaymentEvent.relay_at <= now)
            .order_by(PaymentEvent.relay_at, PaymentEvent.id)
            .limit(limit)
        )
        return [_stored_event(event, txid, merchant_id) for event, txid, merchant_id in rows]

    def has_revision(self, payment_id: int) -> bool:
        """Whether the payment's deadline was moved."""
        query = select(PaymentEvent.id).where(
            PaymentEvent.payment_id == payment_id, PaymentEvent.name == EventName.PAYMENT_REVISED
        )
        return self._unit.session.scalars(query.limit(1)).first() is not None

    def newest(self, limit: int, before_id: int | None = None) -> list[StoredEvent]:
        """Events, newest first; `before_id` gives those before that event."""
        query = select(PaymentEvent, Payment.txid, Payment.merchant_id).join(
            Payment, Payment.id == PaymentEvent.payment_id
        )
        if before_id is not None:
            query = query.where(PaymentEvent.id < before_id)
        rows = self._unit.session.execute(query.order_by(PaymentEvent.id.desc()).limit(limit))
        return [_stored_event(event, txid, merchant_id) for event, txid, merchant_id in rows]

    def claim(self, event_id: int, now: datetime) -> bool:
        """Claim one unannounced event for this process; False if another process was first."""
        result = self._unit.connection.execute(
            update(PaymentEvent)
            .where(PaymentEvent.id == event_id, PaymentEvent.relay_at <= now)
            .values(relay_at=now + RELAY_PATIENCE)
        )
        return cast("CursorResult[Any]", result).rowcount == 1

    def mark_announced(self, event_ids: Sequence[int]) -> None:
        """Mark these events as announced, so that the relay skips them."""
        self._unit.connection.execute(
            update(PaymentEvent).where(PaymentEvent.id.in_(event_ids)).values(relay_at=None)
        )


_INSERT = insert(PaymentEvent.__table__)


def _row(event: StoredEvent) -> dict[str, Any]:
    data = {"status": event.status, "message": event.message}
    if event.reason is not None:
        data["reason"] = event.reason
    return {
        "payment_id": event.payment_id,
        "name": event.name,
        "sequence": event.sequence,
        "occurred_at": event.occurred_at,
        "data": data,
        "relay_at": event.occurred_at + RELAY_PATIENCE if event.name.is_announced else None,
    }


def _stored_event(event: PaymentEvent, txid: str, merchant_id: int) -> StoredEvent:
    return StoredEvent(
        name=EventName(event.name),
        payment_id=event.payment_id,
        merchant_id=merchant_id,
        txid=txid,
        status=event.data["status"],
        sequence=event.sequence,
        occurred_at=event.occurred_at,
        message=event.data["message"],
        id=event.id,
    )
