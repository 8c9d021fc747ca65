"""Payment events: recorded with the change, told after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, insert, select, update

from db_models import EventName, Payment, PaymentEvent
from repository.connections import Unit

RELAY_PATIENCE = timedelta(seconds=4)
"""How long whoever recorded an event has to tell it before the relay does."""


@dataclass(frozen=True)
class Recorded:
    """One thing that happened to one payment, as it is stored and told."""

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
    """Why, where code decides by it; stored with the event and not announced."""


class Events:
    """Queries on payment_events."""

    def __init__(self, unit: Unit) -> None:
        """Use the connection of the unit of work."""
        self._unit = unit

    def insert(self, event: Recorded) -> Recorded:
        """Store one event; gives it back with its id."""
        done = self._unit.connection.execute(_INSERT, _row(event))
        key: Any = done.inserted_primary_key
        return replace(event, id=int(key[0]))

    def insert_many(self, events: Sequence[Recorded]) -> list[Recorded]:
        """Store the same kind of event for several payments; gives them back with their ids."""
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

    def untold(self, now: datetime, limit: int) -> list[Recorded]:
        """Events whose recorder had its time and did not tell them, oldest first."""
        rows = self._unit.session.execute(
            select(PaymentEvent, Payment.txid, Payment.merchant_id)
            .join(Payment, Payment.id == PaymentEvent.payment_id)
            .where(PaymentEvent.relay_at <= now)
            .order_by(PaymentEvent.relay_at, PaymentEvent.id)
            .limit(limit)
        )
        return [_recorded(event, txid, merchant_id) for event, txid, merchant_id in rows]

    def newest(self, limit: int, before_id: int | None = None) -> list[Recorded]:
        """Events in the order they were stored, newest first; `before_id` goes on further back."""
        query = select(PaymentEvent, Payment.txid, Payment.merchant_id).join(
            Payment, Payment.id == PaymentEvent.payment_id
        )
        if before_id is not None:
            query = query.where(PaymentEvent.id < before_id)
        rows = self._unit.session.execute(query.order_by(PaymentEvent.id.desc()).limit(limit))
        return [_recorded(event, txid, merchant_id) for event, txid, merchant_id in rows]

    def claim(self, event_id: int, now: datetime) -> bool:
        """Take one untold event for this process; False where another took it first."""
        done = self._unit.connection.execute(
            update(PaymentEvent)
            .where(PaymentEvent.id == event_id, PaymentEvent.relay_at <= now)
            .values(relay_at=now + RELAY_PATIENCE)
        )
        return cast("CursorResult[Any]", done).rowcount == 1

    def mark_told(self, event_ids: Sequence[int]) -> None:
        """Write down that these were told, so that the relay leaves them alone."""
        self._unit.connection.execute(
            update(PaymentEvent).where(PaymentEvent.id.in_(event_ids)).values(relay_at=None)
        )


_INSERT = insert(PaymentEvent.__table__)


def _row(event: Recorded) -> dict[str, Any]:
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


def _recorded(event: PaymentEvent, txid: str, merchant_id: int) -> Recorded:
    return Recorded(
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
