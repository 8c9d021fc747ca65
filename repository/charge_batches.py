"""Queries on batches of charges with a due date, and on the requests that wait in them.

Who changes a request locks it before its item, so that no two transactions wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, func, insert, literal, select, union_all, update

from db_models import (
    Account,
    BatchItemStatus,
    ChargeBatch,
    ChargeBatchItem,
    ChargeBatchRequest,
    Payment,
)
from repository.connections import Unit


@dataclass(frozen=True)
class WaitingRequest:
    """A request for one item, which the present transaction carries out."""

    id: int
    batch_id: int
    position: int
    merchant: Account
    txid: str
    payment_id: int | None
    """The item's charge, if it exists."""
    body: Mapping[str, Any]
    is_revision: bool
    author: Mapping[str, str]


@dataclass(frozen=True)
class ListedItem:
    """An item of a batch, with the creation of its charge, if it exists."""

    txid: str
    status: str
    problem: Mapping[str, Any] | None
    charge_created_at: datetime | None


@dataclass(frozen=True)
class ListedBatch:
    """A batch with its items, in the order of the request that created it."""

    number: int
    description: str
    created_at: datetime
    items: list[ListedItem] = field(default_factory=list)


class ChargeBatches:
    """Queries on charge_batches, charge_batch_items and charge_batch_requests."""

    def __init__(self, unit: Unit, merchant_of: Callable[[int], Account]) -> None:
        """Use the connection of the unit of work; `merchant_of` finds a merchant by row id."""
        self._unit = unit
        self._merchant_of = merchant_of

    def lock(self, merchant_id: int, number: int) -> ChargeBatch | None:
        """The merchant's batch, which no other transaction can change before this one ends."""
        query = select(ChargeBatch).where(*_own(merchant_id, number))
        return self._unit.session.scalars(query.with_for_update()).one_or_none()

    def positions(self, batch_id: int) -> dict[str, int]:
        """The positions of the batch's items, by txid."""
        query = select(ChargeBatchItem.txid, ChargeBatchItem.position)
        rows = self._unit.connection.execute(query.where(ChargeBatchItem.batch_id == batch_id))
        return {row.txid: row.position for row in rows}

    def txids_in_use(self, merchant_id: int, txids: Sequence[str]) -> set[str]:
        """Which of these txids belong to a charge or to an item of the merchant."""
        query: Any = union_all(
            select(Payment.charge_txid).where(
                Payment.merchant_id == merchant_id, Payment.charge_txid.in_(txids)
            ),
            select(Payment.txid).where(
                Payment.merchant_id == merchant_id,
                Payment.charge_txid.is_(None),
                Payment.txid.in_(txids),
            ),
            select(ChargeBatchItem.txid).where(
                ChargeBatchItem.merchant_id == merchant_id, ChargeBatchItem.txid.in_(txids)
            ),
        )
        return set(self._unit.connection.execute(query).scalars())

    def has_item(self, merchant_id: int, txid: str) -> bool:
        """Whether an item of the merchant has this txid."""
        query = select(ChargeBatchItem.position).where(
            ChargeBatchItem.merchant_id == merchant_id, ChargeBatchItem.txid == txid
        )
        return self._unit.connection.execute(query).first() is not None

    def count_waiting(self, merchant_id: int, most: int, but_batch: int | None) -> int:
        """How many requests of the merchant wait, but for those of a batch, up to `most`."""
        rows = select(ChargeBatchRequest.id).where(ChargeBatchRequest.merchant_id == merchant_id)
        if but_batch is not None:
            rows = rows.where(ChargeBatchRequest.batch_id != but_batch)
        query = select(func.count()).select_from(rows.limit(most).subquery())
        return int(self._unit.connection.execute(query).scalar_one())

    def insert(
        self, merchant_id: int, number: int, description: str, txids: Iterable[str], now: datetime
    ) -> int:
        """Store a batch and its items; return its row id."""
        row = {"merchant_id": merchant_id, "number": number, "description": description}
        result = self._unit.connection.execute(
            insert(ChargeBatch.__table__), {**row, "created_at": now}
        )
        key: Any = result.inserted_primary_key
        batch_id = int(key[0])
        items = [
            {
                "batch_id": batch_id,
                "position": position,
                "merchant_id": merchant_id,
                "txid": txid,
                "status": BatchItemStatus.WAITING,
            }
            for position, txid in enumerate(txids)
        ]
        self._unit.connection.execute(insert(ChargeBatchItem.__table__), items)
        return batch_id

    def describe(self, batch_id: int, description: str) -> None:
        """Change the description of a batch."""
        change = update(ChargeBatch).where(ChargeBatch.id == batch_id)
        self._unit.session.execute(change.values(description=description))

    def waiting_bodies(
        self, batch_id: int, positions: Sequence[int]
    ) -> dict[int, tuple[Mapping[str, Any], bool]]:
        """Lock the requests that wait for these items: body and `is_revision`, by position."""
        table = ChargeBatchRequest
        query = (
            select(table.position, table.body, table.is_revision)
            .where(table.batch_id == batch_id, table.position.in_(positions))
            .with_for_update()
        )
        rows = self._unit.connection.execute(query)
        return {position: (body, is_revision) for position, body, is_revision in rows}

    def replace_requests(self, batch_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Let these requests wait instead of those of the same items; `rows` are columns."""
        positions = [row["position"] for row in rows]
        self._unit.connection.execute(
            delete(ChargeBatchRequest).where(
                ChargeBatchRequest.batch_id == batch_id, ChargeBatchRequest.position.in_(positions)
            )
        )
        self._unit.connection.execute(
            update(ChargeBatchItem)
            .where(ChargeBatchItem.batch_id == batch_id, ChargeBatchItem.position.in_(positions))
            .values(status=BatchItemStatus.WAITING, problem=None)
        )
        self.insert_requests(batch_id, rows)

    def insert_requests(self, batch_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store requests for items for which none waits; `rows` are columns."""
        self._unit.connection.execute(
            insert(ChargeBatchRequest.__table__), [{**row, "batch_id": batch_id} for row in rows]
        )

    def next_turn(self, last_merchant: int, limit: int) -> tuple[int, Sequence[int], bool]:
        """The merchant whose turn it is after the last one, the ids of the oldest requests, and
        whether requests of others wait as well; no ids if none waits.
        """
        table = ChargeBatchRequest
        first = select(func.min(table.merchant_id)).scalar_subquery()
        last = select(func.max(table.merchant_id)).scalar_subquery()
        following = select(func.min(table.merchant_id)).where(table.merchant_id > last_merchant)
        merchant = func.coalesce(following.scalar_subquery(), first)
        query = select(table.merchant_id, table.id, (first != last).label("others_wait"))
        ordered = query.where(table.merchant_id == merchant).order_by(table.id).limit(limit)
        rows = self._unit.connection.execute(ordered).all()
        if not rows:
            return 0, [], False
        return rows[0].merchant_id, [row.id for row in rows], bool(rows[0].others_wait)

    def claim(self, request_id: int) -> WaitingRequest | None:
        """Take a request out of those that wait; None if another transaction was first.

        It waits again if this transaction is rolled back.
        """
        query = select(ChargeBatchRequest.__table__).where(ChargeBatchRequest.id == request_id)
        row = self._unit.connection.execute(query.with_for_update()).one_or_none()
        if row is None or not self.discard(request_id):
            return None
        txid, payment_id = self._unit.connection.execute(
            select(ChargeBatchItem.txid, ChargeBatchItem.payment_id).where(
                ChargeBatchItem.batch_id == row.batch_id, ChargeBatchItem.position == row.position
            )
        ).one()
        return WaitingRequest(
            request_id,
            row.batch_id,
            row.position,
            self._merchant_of(row.merchant_id),
            txid,
            payment_id,
            row.body,
            row.is_revision,
            row.author,
        )

    def discard(self, request_id: int) -> bool:
        """Delete a request; False if it was carried out, or replaced by a newer one."""
        statement = delete(ChargeBatchRequest).where(ChargeBatchRequest.id == request_id)
        result = self._unit.connection.execute(statement)
        return cast("CursorResult[Any]", result).rowcount == 1

    def end(self, request: WaitingRequest, **columns: Any) -> None:
        """Write what became of a request that the present transaction has claimed."""
        change = update(ChargeBatchItem).where(
            ChargeBatchItem.batch_id == request.batch_id,
            ChargeBatchItem.position == request.position,
        )
        self._unit.connection.execute(change.values(**columns))

    def find(self, merchant_id: int, number: int) -> ListedBatch | None:
        """The merchant's batch with its items, or None; one statement."""
        query = (
            select(ChargeBatch, *_ITEM_COLUMNS)
            .join(ChargeBatchItem, ChargeBatchItem.batch_id == ChargeBatch.id)
            .outerjoin(Payment, Payment.id == ChargeBatchItem.payment_id)
            .where(*_own(merchant_id, number))
            .order_by(ChargeBatchItem.position)
        )
        rows = self._unit.session.execute(query).all()
        if not rows:
            return None
        return _listed(rows[0][0], [ListedItem(*row[1:]) for row in rows])

    def page(
        self, merchant_id: int, span: tuple[datetime, datetime], offset: int, limit: int
    ) -> tuple[int, list[ListedBatch]]:
        """The number of all batches of a span, and a page of them, oldest first; two statements."""
        where = (ChargeBatch.merchant_id == merchant_id, ChargeBatch.created_at.between(*span))
        order = (ChargeBatch.created_at, ChargeBatch.id)
        total = select(func.count().label("total")).select_from(ChargeBatch).where(*where)
        totals = total.subquery()
        page = select(ChargeBatch.id.label("row")).where(*where).order_by(*order)
        rows_of_page = page.offset(offset).limit(limit).subquery()
        query = (
            select(totals.c.total, ChargeBatch)
            .select_from(totals)
            .outerjoin(rows_of_page, literal(1) == 1)
            .outerjoin(ChargeBatch, ChargeBatch.id == rows_of_page.c.row)
            .order_by(*order)
        )
        rows = self._unit.session.execute(query).all()
        batches = [batch for _, batch in rows if batch is not None]
        items = self._items_of([batch.id for batch in batches]) if batches else {}
        return int(rows[0][0]), [_listed(batch, items[batch.id]) for batch in batches]

    def _items_of(self, batch_ids: Sequence[int]) -> dict[int, list[ListedItem]]:
        query = (
            select(ChargeBatchItem.batch_id, *_ITEM_COLUMNS)
            .outerjoin(Payment, Payment.id == ChargeBatchItem.payment_id)
            .where(ChargeBatchItem.batch_id.in_(batch_ids))
            .order_by(ChargeBatchItem.batch_id, ChargeBatchItem.position)
        )
        items: dict[int, list[ListedItem]] = {batch_id: [] for batch_id in batch_ids}
        for batch_id, *columns in self._unit.connection.execute(query):
            items[batch_id].append(ListedItem(*columns))
        return items


_ITEM_COLUMNS = (
    ChargeBatchItem.txid,
    ChargeBatchItem.status,
    ChargeBatchItem.problem,
    Payment.created_at,
)


def _own(merchant_id: int, number: int) -> tuple[Any, Any]:
    return ChargeBatch.merchant_id == merchant_id, ChargeBatch.number == number


def _listed(batch: ChargeBatch, items: list[ListedItem]) -> ListedBatch:
    return ListedBatch(batch.number, batch.description, batch.created_at, items)
