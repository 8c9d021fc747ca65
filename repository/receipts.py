"""Queries on receipts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, case, insert, select, update
from sqlalchemy.orm import Session

from core.receipt_errors import ReceiptNotFound
from db_models import Payment, Receipt, Till, Verdict
from repository.connections import Unit, rows_changed
from repository.detached import Detached
from repository.paging import Keyset, Page
from repository.statements import QuickStatement


@dataclass(frozen=True)
class ReceiptFilters:
    """Filters on a merchant's receipts; None means all."""

    verdict: str | None = None
    without_payment: bool | None = None


@dataclass(frozen=True)
class ListedReceipt:
    """A receipt with the txid of its payment and the name of its till, if it has them."""

    receipt: Receipt
    txid: str | None
    refunded_centavos: int
    """What the merchant gave back of this money."""
    till_name: str | None


class Receipts:
    """Queries on receipts."""

    def __init__(self, unit: Unit) -> None:
        """Use the connection of the unit of work."""
        self._unit = unit

    @property
    def _session(self) -> Session:
        return self._unit.session

    def find_by_end_to_end_id(self, end_to_end_id: str) -> Receipt | None:
        """The receipt of this id, or None; it belongs to no session."""
        key = {"end_to_end_id": end_to_end_id}
        row = _BY_END_TO_END_ID.row(self._unit.connection, key)
        return None if row is None else _RECEIPTS.of(row)

    def insert(self, values: Mapping[str, Any]) -> int:
        """Store a new receipt; return its row id."""
        return _INSERT.insert(self._unit.connection, values)

    def defer_insert(self, values: Mapping[str, Any]) -> None:
        """Store a new receipt by the COMMIT at the latest."""
        _INSERT.defer_insert(self._unit.connection, values, lambda key: key)

    def newest_of_till(
        self, till_id: int, since: datetime, amount_centavos: int | None
    ) -> Receipt | None:
        """The newest receipt of a till after `since`, with this amount if it is given."""
        query = select(Receipt).where(Receipt.till_id == till_id, Receipt.told_at > since)
        if amount_centavos is not None:
            query = query.where(Receipt.amount_centavos == amount_centavos)
        return self._session.scalars(query.order_by(Receipt.id.desc()).limit(1)).one_or_none()

    def attach(self, receipt_id: int, payment_id: int) -> bool:
        """Give an accepted receipt its payment; False if it has one, or is refused."""
        statement = update(Receipt).where(
            Receipt.id == receipt_id,
            Receipt.payment_id.is_(None),
            Receipt.verdict == Verdict.ACCEPTED,
        )
        return rows_changed(self._session, statement.values(payment_id=payment_id)) == 1

    def accepted_of(self, payment_id: int) -> Receipt | None:
        """The receipt that settled this payment, or None; it belongs to no session."""
        row = _ACCEPTED_OF.row(self._unit.connection, {"payment_id": payment_id})
        return None if row is None else _RECEIPTS.of(row)

    def payers_of(self, payment_ids: Collection[int]) -> dict[int, str | None]:
        """Who paid each of these payments, by row id; runs one statement, or none."""
        if not payment_ids:
            return {}
        query = select(Receipt.settles_payment_id, Receipt.payer_name)
        rows = self._session.execute(query.where(Receipt.settles_payment_id.in_(payment_ids)))
        return {int(payment_id): name for payment_id, name in rows if payment_id is not None}

    def of_merchant(
        self, merchant_id: int, filters: ReceiptFilters, after: str | None, limit: int
    ) -> Page[ListedReceipt]:
        """A page of the merchant's receipts, newest first.

        `after` is an end_to_end_id. Raises InvalidCursor.
        """
        own = Receipt.merchant_id == merchant_id
        query = _LISTED.where(own)
        if filters.verdict is not None:
            query = query.where(Receipt.verdict == filters.verdict)
        if filters.without_payment is not None:
            is_free = Receipt.payment_id.is_(None)
            query = query.where(is_free if filters.without_payment else ~is_free)
        page = _NEWEST_FIRST.page(self._session, query, own, after=after, limit=limit)
        return Page([ListedReceipt(*row) for row in page.items], page.next)

    def by_row_ids(self, ids: Collection[int]) -> dict[int, ListedReceipt]:
        """These receipts by their row ids; runs one statement."""
        rows = self._session.execute(_LISTED.where(Receipt.id.in_(ids)))
        return {row[0].id: ListedReceipt(*row) for row in rows}

    def own(self, merchant_id: int, end_to_end_id: str) -> ListedReceipt:
        """The merchant's receipt. Raises ReceiptNotFound, also for another merchant's."""
        query = _LISTED.where(
            Receipt.end_to_end_id == end_to_end_id, Receipt.merchant_id == merchant_id
        )
        row = self._session.execute(query).one_or_none()
        if row is None:
            raise ReceiptNotFound
        return ListedReceipt(*row)


# Built once: building a statement costs more than executing it.
_INSERT = QuickStatement(insert(Receipt.__table__))
_RECEIPTS = Detached(Receipt)
_BY_END_TO_END_ID = QuickStatement(
    select(Receipt.__table__).where(Receipt.end_to_end_id == bindparam("end_to_end_id"))
)
_ACCEPTED_OF = QuickStatement(
    select(Receipt.__table__).where(Receipt.settles_payment_id == bindparam("payment_id"))
)
_NEWEST_FIRST = Keyset(Receipt.id, cursor=Receipt.end_to_end_id)
_LISTED = (
    select(
        Receipt,
        Payment.txid,
        case((Receipt.settles_payment_id == Payment.id, Payment.refunded_centavos), else_=0),
        Till.name,
    )
    .outerjoin(Payment, Payment.id == Receipt.payment_id)
    .outerjoin(Till, Till.id == Receipt.till_id)
)
