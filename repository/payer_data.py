"""Queries on what banks reported about payers: names and documents, in receipts and signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from db_models import Account, Payment, Receipt, Signal, SignalKind
from repository.connections import rows_changed

EXPORT_MAX = 10_000
"""The number of receipts in one export."""


@dataclass(frozen=True)
class ReceiptRange:
    """Receipts that follow each other by id: the last id, and when the newest was stored."""

    last_id: int
    newest_at: datetime


class PayerData:
    """Queries on names and documents of payers. `person` is a document or an end-to-end id."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def next_range(self, after_id: int, limit: int) -> ReceiptRange | None:
        """The next receipts by id, at most `limit`; None after the last."""
        following = (
            select(Receipt.id, Receipt.told_at)
            .where(Receipt.id > after_id)
            .order_by(Receipt.id)
            .limit(limit)
            .subquery()
        )
        ends = select(func.max(following.c.id), func.max(following.c.told_at))
        last_id, newest_at = self._session.execute(ends).one()
        return None if last_id is None else ReceiptRange(last_id, newest_at)

    def erase_range(self, after_id: int, last_id: int, before: datetime) -> int:
        """Erase payers from the receipts of a range that were stored before an instant."""
        statement = update(Receipt).where(
            Receipt.id > after_id,
            Receipt.id <= last_id,
            Receipt.told_at < before,
            or_(Receipt.payer_name.is_not(None), Receipt.payer_document.is_not(None)),
        )
        return rows_changed(self._session, statement.values(**_NO_PAYER))

    def receipts_of(self, person: str) -> Sequence[tuple[Receipt, str | None, str | None]]:
        """A person's receipts, oldest first, with the payment's id and the merchant's name."""
        query = (
            select(Receipt, Payment.txid, Account.name)
            .outerjoin(Payment, Payment.id == Receipt.payment_id)
            .outerjoin(Account, Account.id == Receipt.merchant_id)
            .where(_of_person(person))
            .order_by(Receipt.id)
            .limit(EXPORT_MAX)
        )
        rows = self._session.execute(query)
        return [(receipt, txid, merchant) for receipt, txid, merchant in rows]

    def erase_person(self, person: str) -> int:
        """Erase a person from all receipts; amounts and ids stay."""
        statement = update(Receipt).where(_of_person(person)).values(**_NO_PAYER)
        return rows_changed(self._session, statement)

    def delete_signals_of(self, document: str) -> int:
        """Delete the signals whose subject is this payer."""
        return rows_changed(self._session, delete(Signal).where(*_payer_signal(document)))

    def signals_of(self, document: str) -> Sequence[Signal]:
        """The signals whose subject is this payer."""
        query = select(Signal).where(*_payer_signal(document)).order_by(Signal.id)
        return self._session.scalars(query.limit(EXPORT_MAX)).all()

    def delete_signals_before(self, before: datetime, limit: int) -> int:
        """Delete a batch of signals whose subject is a payer and whose count is this old."""
        old = self._session.scalars(
            select(Signal.id)
            .where(Signal.kind == SignalKind.REFUSED_PAYER, Signal.last_at < before)
            .order_by(Signal.id)
            .limit(limit)
        ).all()
        if not old:
            return 0
        return rows_changed(self._session, delete(Signal).where(Signal.id.in_(old)))


def _of_person(person: str) -> ColumnElement[bool]:
    return or_(Receipt.payer_document == person, Receipt.end_to_end_id == person)


def _payer_signal(document: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Signal.kind == SignalKind.REFUSED_PAYER, Signal.subject == document


_NO_PAYER: dict[str, None] = {"payer_name": None, "payer_document": None}
