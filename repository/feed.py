"""Queries on the feed: events get positions after their commit, and merchants read them in order.

Events commit in any order, so neither their row ids nor their times are an order that a reader can
follow without skipping one that commits late. A position is given out after the commit, and the
transactions that give out positions follow each other: each one moves the counter from the value
that it read. So a reader that sees position N sees every position before N.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, bindparam, exists, func, insert, select, update
from sqlalchemy.orm import Session

from core import ids
from core.errors import InvalidCursor
from db_models import (
    Account,
    EventName,
    FeedCounter,
    FeedEntry,
    Payment,
    PaymentEvent,
    Receipt,
    Refund,
    WebhookEndpoint,
)
from repository.connections import Unit
from repository.paging import Page
from repository.payments import payment_of_row
from repository.statements import QuickStatement, clear_column


@dataclass(frozen=True)
class Unnumbered:
    """An event without a position, with its merchant."""

    event_id: int
    name: str
    merchant_id: int
    payment_id: int | None
    occurred_at: datetime
    has_endpoints: bool
    """Whether the merchant has an endpoint that gets new events."""


@dataclass(frozen=True)
class FeedEvent:
    """An event of the feed, with the rows that its body is rebuilt from."""

    position: int
    public_id: str
    type: str
    occurred_at: datetime
    state: Mapping[str, Any]
    payment: Payment | None
    receipt: Receipt | None
    refund: Refund | None


class Feed:
    """Queries on feed_entries."""

    def __init__(self, unit: Unit) -> None:
        """Use the connection of the unit of work; events are read without a session."""
        self._unit = unit

    @property
    def _session(self) -> Session:
        return self._unit.session

    def unnumbered(self, limit: int) -> tuple[list[Unnumbered], int]:
        """Events without a position, oldest first, and the last position, read at one instant."""
        rows = _UNNUMBERED.rows(self._unit.connection, {"limit": limit})
        events = [Unnumbered(*row[:6]) for row in rows]
        return events, (int(rows[0][6]) if rows else 0)

    def number(self, events: Sequence[Unnumbered], last_position: int) -> bool:
        """Give these events the positions after `last_position`, in their order.

        False if another process gave out positions since `last_position` was read. Raises
        ConcurrentUpdate if another process is giving out positions at this moment: a wait could be
        long if that process is stopped.
        """
        connection = self._unit.connection
        _LOCK_COUNTER.row(connection, {})
        places = {"as_read": last_position, "last": last_position + len(events)}
        if _MOVE_COUNTER.change(connection, places) != 1:
            return False
        rows = [
            {
                "position": position,
                "public_id": ids.new_public_id(),
                "event_id": event.event_id,
                "merchant_id": event.merchant_id,
                "type": event.name,
                "occurred_at": event.occurred_at,
            }
            for position, event in enumerate(events, start=last_position + 1)
        ]
        _INSERT_ENTRIES.insert_many(connection, rows)
        clear_column(connection, _UNNUMBERED_MARK, [event.event_id for event in events])
        return True

    def position_of(self, merchant_id: int, public_id: str) -> int:
        """The position of a merchant's event. Raises InvalidCursor for any other id.

        Events of a test half are deleted after TEST_DATA_DAYS. A reader that stopped at a deleted
        one goes on with the oldest that is left: it may read some twice, but misses none.
        """
        position = None
        if ids.is_txid(public_id):
            query = select(FeedEntry.position).where(
                FeedEntry.public_id == public_id, FeedEntry.merchant_id == merchant_id
            )
            position = self._session.scalar(query)
            if position is None and self._deletes_events(merchant_id):
                return 0
        if position is None:
            raise InvalidCursor
        return int(position)

    def _deletes_events(self, merchant_id: int) -> bool:
        is_half = exists().where(Account.id == merchant_id, Account.test_of_id.is_not(None))
        return bool(self._session.scalar(select(is_half)))

    def last(self, merchant_id: int) -> tuple[str | None, int]:
        """The id and position of the merchant's newest event; None and 0 if there is none."""
        query = (
            select(FeedEntry.public_id, FeedEntry.position)
            .where(FeedEntry.merchant_id == merchant_id)
            .order_by(FeedEntry.position.desc())
        )
        row = self._session.execute(query.limit(1)).one_or_none()
        return (None, 0) if row is None else (row[0], row[1])

    def after(
        self, merchant_id: int, position: int, limit: int, type_: str | None = None
    ) -> Page[FeedEvent]:
        """The merchant's events after a position, in order; the cursor is an event's id."""
        query = _EVENTS.where(FeedEntry.merchant_id == merchant_id, FeedEntry.position > position)
        if type_ is not None:
            query = query.where(FeedEntry.type == type_)
        events = self._events(query.order_by(FeedEntry.position).limit(limit + 1))
        is_last = len(events) <= limit
        return Page(events[:limit], None if is_last else events[limit - 1].public_id)

    def newest(self, merchant_id: int, limit: int) -> list[FeedEvent]:
        """The merchant's newest events, newest first."""
        query = _EVENTS.where(FeedEntry.merchant_id == merchant_id)
        return self._events(query.order_by(FeedEntry.position.desc()).limit(limit))

    def at(self, positions: Sequence[int]) -> dict[int, FeedEvent]:
        """The events at these positions; no statement for none."""
        if not positions:
            return {}
        events = self._events(_EVENTS_AT, {"positions": list(positions)})
        return {event.position: event for event in events}

    def _events(self, query: Select[Any], key: Mapping[str, Any] | None = None) -> list[FeedEvent]:
        """Run a query of `_EVENTS`; two more statements read refunds and receipts, if there are."""
        rows = self._unit.connection.execute(query, key or {}).all()
        states = [row.data["state"] for row in rows]
        refunds = self._by_id(Refund, [state.get("refund_row") for state in states])
        receipt_ids = [
            row.receipt_id or state.get("receipt_row")
            for row, state in zip(rows, states, strict=True)
        ]
        receipts = self._by_id(Receipt, receipt_ids)
        return [
            FeedEvent(
                position=row.position,
                public_id=row.public_id,
                type=row.type,
                occurred_at=row.occurred_at,
                state=state,
                payment=None if row.payment_id is None else payment_of_row(row[_PAYMENT_COLUMNS:]),
                receipt=receipts.get(receipt_id),
                refund=refunds.get(state.get("refund_row")),
            )
            for row, state, receipt_id in zip(rows, states, receipt_ids, strict=True)
        ]

    def _by_id(self, model: Any, row_ids: Sequence[int | None]) -> dict[int | None, Any]:
        present_ids = [row_id for row_id in row_ids if row_id is not None]
        if not present_ids:
            return {}
        rows = self._unit.session.scalars(select(model).where(model.id.in_(present_ids)))
        return {row.id: row for row in rows}


def _unnumbered_select() -> Select[Any]:
    event, payment = PaymentEvent.__table__, Payment.__table__
    receipt, endpoint = Receipt.__table__, WebhookEndpoint.__table__
    merchant_id = func.coalesce(payment.c.merchant_id, receipt.c.merchant_id)
    first_endpoint = (
        select(endpoint.c.id)
        .where(
            endpoint.c.merchant_id == merchant_id,
            endpoint.c.enabled.is_(True),
            endpoint.c.deleted_at.is_(None),
        )
        .limit(1)
        .correlate(payment, receipt)
    )
    return (
        select(
            event.c.id,
            event.c.name,
            merchant_id,
            event.c.payment_id,
            event.c.occurred_at,
            first_endpoint.scalar_subquery().is_not(None),
            select(_COUNTER.c.position).where(_COUNTER.c.id == 1).scalar_subquery(),
        )
        .select_from(
            event.outerjoin(payment, payment.c.id == event.c.payment_id).outerjoin(
                receipt, receipt.c.id == event.c.receipt_id
            )
        )
        # An event of nobody must not stop the numbering of all others.
        .where(event.c.unnumbered.is_(True), merchant_id.is_not(None))
        .order_by(event.c.id)
        .limit(bindparam("limit"))
    )


# Built once: building a statement costs more than executing it.
_COUNTER = FeedCounter.__table__
_UNNUMBERED = QuickStatement(_unnumbered_select())
_LOCK_COUNTER = QuickStatement(
    select(_COUNTER.c.position).where(_COUNTER.c.id == 1).with_for_update(nowait=True)
)
_MOVE_COUNTER = QuickStatement(
    update(_COUNTER)
    .where(_COUNTER.c.id == 1, _COUNTER.c.position == bindparam("as_read"))
    .values(position=bindparam("last"))
)
_INSERT_ENTRIES = QuickStatement(insert(FeedEntry.__table__))
_UNNUMBERED_MARK = PaymentEvent.__table__.c.unnumbered
_HEAD = (
    FeedEntry.position,
    FeedEntry.public_id,
    FeedEntry.type,
    PaymentEvent.occurred_at,
    PaymentEvent.data,
    PaymentEvent.receipt_id,
    PaymentEvent.payment_id,
)
_PAYMENT_COLUMNS = len(_HEAD)
"""The columns of the payment begin here."""
_EVENTS = (
    select(*_HEAD, *(column.label(f"payment_{column.name}_") for column in Payment.__table__.c))
    .join(PaymentEvent, PaymentEvent.id == FeedEntry.event_id)
    .outerjoin(Payment, Payment.id == PaymentEvent.payment_id)
)
_EVENTS_AT = _EVENTS.where(FeedEntry.position.in_(bindparam("positions", expanding=True)))
FEED_TYPES = tuple(name.value for name in EventName if name.is_in_feed)
"""The types of events in the feed."""
