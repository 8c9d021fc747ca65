"""Queries on Pix: accepted receipts with the txid of their charge and with their refunds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, true, union_all
from sqlalchemy.orm import aliased

from db_models import (
    Account,
    EventName,
    Payment,
    PaymentEvent,
    Receipt,
    Refund,
    Verdict,
)
from repository.connections import Unit
from repository.feed import FeedEvent


@dataclass(frozen=True)
class PixFilters:
    """Filters on a merchant's Pix; None means all. Both ends of the span are inclusive."""

    start: datetime
    end: datetime
    txid: str | None = None
    has_txid: bool | None = None
    has_refund: bool | None = None
    document: str | None = None
    """The payer's CPF or CNPJ."""


@dataclass(frozen=True)
class ReceivedPix:
    """An accepted receipt, the txid that its payment has in API Pix, and its refunds."""

    receipt: Receipt
    charge_txid: str | None
    refunds: Sequence[Refund] = field(default_factory=list)
    """Oldest first."""
    charge_terms: Mapping[str, Any] | None = None
    """`Payment.charge_terms` of that payment."""

    @property
    def txid(self) -> str | None:
        """The charge's txid, or the one in the static code; None if the code had none."""
        is_static = self.receipt.pix_key is not None
        return self.receipt.reference if is_static else self.charge_txid


class PixReceipts:
    """Queries on accepted receipts as API Pix shows them."""

    def __init__(self, unit: Unit) -> None:
        """Use the connection of the unit of work."""
        self._unit = unit

    def page(
        self, merchant_id: int, filters: PixFilters, offset: int, limit: int
    ) -> tuple[list[ReceivedPix], int]:
        """A page in the order of settlement, and how many there are in all. One statement."""
        conditions = _conditions(merchant_id, filters)
        totals = select(func.count().label("total")).where(*conditions).subquery()
        rows = select(Receipt).where(*conditions).order_by(Receipt.paid_at, Receipt.id)
        on_page = aliased(Receipt, rows.limit(limit).offset(offset).subquery())
        query = (
            select(totals.c.total, on_page, _CHARGE_TXID, Payment.charge_terms, Refund)
            .select_from(totals)
            .outerjoin(on_page, true())
            .outerjoin(Payment, Payment.id == on_page.payment_id)
            .outerjoin(Refund, Refund.payment_id == on_page.settles_payment_id)
            .order_by(on_page.paid_at, on_page.id, Refund.id)
        )
        result = self._unit.session.execute(query).all()
        return _gathered(row[1:] for row in result), int(result[0][0])

    def find(self, merchant_id: int, end_to_end_id: str) -> ReceivedPix | None:
        """The merchant's Pix with this id, or None. One statement."""
        query = _ONE.where(
            Receipt.end_to_end_id == end_to_end_id, Receipt.merchant_id == merchant_id
        )
        one_or_none = _gathered(tuple(row) for row in self._unit.session.execute(query))
        return one_or_none[0] if one_or_none else None

    def of_events(self, events: Collection[FeedEvent]) -> dict[int, ReceivedPix]:
        """The Pix that these events of the feed are about, by position.

        The refunds are all that the payment has now. Runs two statements at most.
        """
        payment_ids = {event.payment.id for event in events if event.payment is not None}
        receipts: dict[int | None, Receipt] = {}
        refunds: dict[int, list[Refund]] = {}
        if payment_ids:
            settled = select(Receipt).where(Receipt.settles_payment_id.in_(payment_ids))
            for receipt in self._unit.session.scalars(settled):
                receipts[receipt.settles_payment_id] = receipt
            query = select(Refund).where(Refund.payment_id.in_(payment_ids)).order_by(Refund.id)
            for refund in self._unit.session.scalars(query):
                refunds.setdefault(refund.payment_id, []).append(refund)
        pix = {}
        for event in events:
            payment = event.payment
            about = event.receipt if payment is None else receipts.get(payment.id)
            if about is not None:
                txid = None if payment is None else payment.pix_txid
                own = [] if payment is None else refunds.get(payment.id, [])
                terms = None if payment is None else payment.charge_terms
                pix[event.position] = ReceivedPix(about, txid, own, terms)
        return pix

    def keys_of_events(self, event_ids: Collection[int]) -> dict[int, str]:
        """The Pix keys that events of Pix with a txid belong to, by the row id of the event.

        Money for a static code belongs to the key in the code, other money to its merchant's key.
        Money that is attached to a payment was told when it came.
        """
        key = func.coalesce(Receipt.pix_key, Account.pix_key)
        with_merchant = Account.id == Receipt.merchant_id
        is_charge = Receipt.pix_key.is_(None)
        has_txid = or_(is_charge, Receipt.reference.is_not(None))
        received = (
            select(PaymentEvent.id, key)
            .join(Receipt, Receipt.id == PaymentEvent.receipt_id)
            .join(Account, with_merchant)
            .where(
                PaymentEvent.id.in_(event_ids),
                PaymentEvent.name == EventName.RECEIPT_RECEIVED,
                has_txid,
            )
        )
        is_told = or_(
            and_(PaymentEvent.name == EventName.PAYMENT_CONFIRMED, is_charge),
            PaymentEvent.name.in_((EventName.PAYMENT_REFUNDED, EventName.REFUND_FAILED)),
        )
        of_payment = (
            select(PaymentEvent.id, key)
            .join(Receipt, Receipt.settles_payment_id == PaymentEvent.payment_id)
            .join(Account, with_merchant)
            .where(PaymentEvent.id.in_(event_ids), is_told, has_txid)
        )
        rows = self._unit.session.execute(union_all(received, of_payment))
        return {int(row[0]): row[1] for row in rows if row[1] is not None}


_CHARGE_TXID = func.coalesce(Payment.charge_txid, Payment.txid)
"""As `Payment.pix_txid`."""
PIX_EVENTS = frozenset(
    {
        EventName.PAYMENT_CONFIRMED,
        EventName.PAYMENT_REFUNDED,
        EventName.REFUND_FAILED,
        EventName.RECEIPT_RECEIVED,
    }
)
"""The events that are told as callbacks of API Pix."""
_ONE = (
    select(Receipt, _CHARGE_TXID, Payment.charge_terms, Refund)
    .outerjoin(Payment, Payment.id == Receipt.payment_id)
    .outerjoin(Refund, Refund.payment_id == Receipt.settles_payment_id)
    .where(Receipt.verdict == Verdict.ACCEPTED)
    .order_by(Refund.id)
)


def _conditions(merchant_id: int, filters: PixFilters) -> list[ColumnElement[bool]]:
    # Answers show milliseconds, so the end of the span includes its whole millisecond.
    last = filters.end.replace(microsecond=filters.end.microsecond // 1000 * 1000 + 999)
    conditions = [
        Receipt.merchant_id == merchant_id,
        Receipt.verdict == Verdict.ACCEPTED,
        Receipt.paid_at >= filters.start,
        Receipt.paid_at <= last,
    ]
    is_charge = Receipt.pix_key.is_(None)
    if filters.txid is not None:
        is_own = and_(Payment.charge_txid.is_(None), Payment.txid == filters.txid)
        charge = select(Payment.id).where(
            or_(Payment.charge_txid == filters.txid, is_own), Payment.merchant_id == merchant_id
        )
        is_of_charge = and_(is_charge, Receipt.payment_id.in_(charge))
        conditions.append(or_(is_of_charge, Receipt.reference == filters.txid))
    if filters.has_txid is not None:
        has_txid = or_(is_charge, Receipt.reference.is_not(None))
        conditions.append(has_txid if filters.has_txid else ~has_txid)
    if filters.has_refund is not None:
        refund = select(Refund.id).where(Refund.payment_id == Receipt.settles_payment_id).exists()
        conditions.append(refund if filters.has_refund else ~refund)
    if filters.document is not None:
        conditions.append(Receipt.payer_document == filters.document)
    return conditions


def _gathered(rows: Iterable[Sequence[Any]]) -> list[ReceivedPix]:
    """One Pix for the rows of each receipt: receipt or None, txid, terms, a refund or None."""
    refunds: dict[int, list[Refund]] = {}
    all_pix: list[ReceivedPix] = []
    for receipt, charge_txid, charge_terms, refund in rows:
        if receipt is None:  # the page is empty
            continue
        if receipt.id not in refunds:
            refunds[receipt.id] = []
            all_pix.append(ReceivedPix(receipt, charge_txid, refunds[receipt.id], charge_terms))
        if refund is not None:
            refunds[receipt.id].append(refund)
    return all_pix
