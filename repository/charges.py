"""Queries on charges of API Pix: payments by their txid, with their Pix, and old revisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    func,
    insert,
    literal,
    or_,
    select,
)
from sqlalchemy.orm.attributes import set_committed_value

from db_models import (
    Account,
    ChargeBatch,
    ChargeBatchItem,
    ChargeRevision,
    Payment,
    PaymentStatus,
    Receipt,
    Refund,
)
from repository.connections import Unit
from repository.halves import of_half
from repository.payments import payment_of_row
from repository.pix import ReceivedPix

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class ChargeFilters:
    """Which charges of a merchant to list; both ends of the span are inclusive."""

    kind: str
    span: Span
    document: str | None = None
    statuses: Sequence[str] | None = None
    has_location: bool | None = None
    batch_number: int | None = None


class Charges:
    """Queries on charges, which are payments."""

    def __init__(self, unit: Unit) -> None:
        """Use the connection of the unit of work."""
        self._unit = unit

    def find(self, merchant: Account, txid: str) -> Payment | None:
        """The merchant's payment with this txid of API Pix, or None."""
        row = self._unit.connection.execute(
            _BY_TXID, {"merchant_id": merchant.id, "pix_txid": txid}
        ).one_or_none()
        return None if row is None else _of(merchant, row)

    def only_payment_with(self, charge_txid: str, half: bool | None = None) -> str | None:
        """The id of the one payment whose merchant chose this txid; None for none, or for two.

        `half` limits it to payments of test halves, or to those of merchants.
        """
        query = select(Payment.txid).where(Payment.charge_txid == charge_txid, of_half(half))
        ids_found = self._unit.session.scalars(query.limit(2)).all()
        return ids_found[0] if len(ids_found) == 1 else None

    def find_with_pix(
        self, merchant: Account, txid: str
    ) -> tuple[Payment | None, ReceivedPix | None]:
        """As `find`, with the Pix that settled it; one statement."""
        rows = self._unit.session.execute(
            _WITH_PIX, {"merchant_id": merchant.id, "pix_txid": txid}
        ).all()
        if not rows:
            return None, None
        payment: Payment = rows[0][0]
        receipt: Receipt | None = rows[0][1]
        set_committed_value(payment, "merchant", merchant)
        if receipt is None:
            return payment, None
        refunds = [row[2] for row in rows if row[2] is not None]
        return payment, _pix_of(payment, receipt, refunds)

    def page(
        self, merchant: Account, filters: ChargeFilters, offset: int, limit: int
    ) -> tuple[int, list[tuple[Payment, ReceivedPix | None]]]:
        """The number of all charges that meet the filters, and a page of them, oldest first.

        One statement, also for a page past the end.
        """
        where = _charges_where(merchant.id, filters)
        total = select(func.count().label("total")).select_from(Payment).where(*where).subquery()
        page = (
            select(Payment.id.label("row"))
            .where(*where)
            .order_by(Payment.created_at, Payment.id)
            .offset(offset)
            .limit(limit)
            .subquery()
        )
        query = (
            select(total.c.total, Payment, Receipt, Refund)
            .select_from(total)
            .outerjoin(page, literal(1) == 1)
            .outerjoin(Payment, Payment.id == page.c.row)
            .outerjoin(Receipt, Receipt.settles_payment_id == Payment.id)
            .outerjoin(Refund, Refund.payment_id == Payment.id)
            .order_by(Payment.created_at, Payment.id, Refund.id)
        )
        rows = self._unit.session.execute(query).all()
        entries: dict[int, tuple[Payment, Receipt | None, list[Refund]]] = {}
        for _, payment, receipt, refund in rows:
            if payment is None:
                continue
            set_committed_value(payment, "merchant", merchant)
            entry = entries.setdefault(payment.id, (payment, receipt, []))
            if refund is not None:
                entry[2].append(refund)
        charges = [
            (payment, _pix_of(payment, receipt, refunds) if receipt else None)
            for payment, receipt, refunds in entries.values()
        ]
        return int(rows[0][0]), charges

    def keep_revision(self, payment: Payment, state: Mapping[str, Any], now: datetime) -> None:
        """Store the state of the payment before a revision."""
        row = {"payment_id": payment.id, "revision": payment.revision, "state": dict(state)}
        self._unit.connection.execute(_INSERT_REVISION, {**row, "replaced_at": now})

    def state_at(self, payment: Payment, revision: int) -> Mapping[str, Any] | None:
        """The state of an old revision; None if there is none."""
        query = select(ChargeRevision.state).where(
            ChargeRevision.payment_id == payment.id, ChargeRevision.revision == revision
        )
        return self._unit.session.scalars(query).one_or_none()


def _pix_of(payment: Payment, receipt: Receipt, refunds: Sequence[Refund]) -> ReceivedPix:
    return ReceivedPix(receipt, payment.pix_txid, refunds, payment.charge_terms)


def _of(merchant: Account, row: Sequence[Any]) -> Payment:
    payment = payment_of_row(row)
    set_committed_value(payment, "merchant", merchant)
    return payment


def has_pix_txid(txid: Any) -> ColumnElement[bool]:
    """Whether a payment has this txid of API Pix; each half has an index."""
    own = and_(Payment.txid == txid, Payment.charge_txid.is_(None))
    return or_(Payment.charge_txid == txid, own)


def _charges_where(merchant_id: int, filters: ChargeFilters) -> list[ColumnElement[bool]]:
    start, end = filters.span
    # All statuses are named, so that the index on merchant, status and creation serves.
    statuses = [*PaymentStatus] if filters.statuses is None else filters.statuses
    rules: list[ColumnElement[bool]] = [
        Payment.merchant_id == merchant_id,
        Payment.status.in_(statuses),
        Payment.created_at.between(start, end),
        Payment.charge_kind == filters.kind,
    ]
    if filters.document is not None:
        rules.append(Payment.payer_document == filters.document)
    if filters.has_location is not None:
        rules.append(Payment.has_location.is_(filters.has_location))
    if filters.batch_number is not None:
        of_batch = (
            select(ChargeBatchItem.payment_id)
            .join(ChargeBatch, ChargeBatch.id == ChargeBatchItem.batch_id)
            .where(
                ChargeBatch.merchant_id == merchant_id, ChargeBatch.number == filters.batch_number
            )
        )
        rules.append(Payment.id.in_(of_batch))
    return rules


_IS_CHARGE = and_(
    Payment.merchant_id == bindparam("merchant_id"), has_pix_txid(bindparam("pix_txid"))
)
_BY_TXID = select(Payment.__table__).where(_IS_CHARGE)
_WITH_PIX = (
    select(Payment, Receipt, Refund)
    .outerjoin(Receipt, Receipt.settles_payment_id == Payment.id)
    .outerjoin(Refund, Refund.payment_id == Payment.id)
    .where(_IS_CHARGE)
    .order_by(Refund.id)
)
_INSERT_REVISION = insert(ChargeRevision.__table__)
