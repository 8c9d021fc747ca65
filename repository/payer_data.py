"""Queries on payers: names and documents in receipts, payments, stored answers and signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from db_models import Account, IdempotentRequest, Payment, Receipt, Signal, SignalKind
from repository.connections import rows_changed

EXPORT_MAX = 10_000
"""The number of receipts, and of payments, in one export."""

Source = type[Receipt] | type[Payment]
"""A table with payers: receipts name them as the bank does, payments as the shop does."""


@dataclass(frozen=True)
class RowRange:
    """Rows that follow each other by id: the last id, and when the newest was stored."""

    last_id: int
    newest_at: datetime


class PayerData:
    """Queries on names and documents of payers. `person` is a document or an end-to-end id."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def next_range(self, source: Source, after_id: int, limit: int) -> RowRange | None:
        """The next rows by id, at most `limit`; None after the last."""
        following = (
            select(source.id, _stored_at(source).label("stored_at"))
            .where(source.id > after_id)
            .order_by(source.id)
            .limit(limit)
            .subquery()
        )
        ends = select(func.max(following.c.id), func.max(following.c.stored_at))
        last_id, newest_at = self._session.execute(ends).one()
        return None if last_id is None else RowRange(last_id, newest_at)

    def erase_range(self, source: Source, after_id: int, last_id: int, before: datetime) -> int:
        """Erase payers from the rows of a range that were stored before an instant."""
        statement = update(source).where(
            source.id > after_id,
            source.id <= last_id,
            _stored_at(source) < before,
            or_(*(getattr(source, name).is_not(None) for name in _no_payer(source))),
        )
        return rows_changed(self._session, statement.values(**_no_payer(source)))

    def receipts_of(self, person: str) -> Sequence[tuple[Receipt, str | None, str | None]]:
        """A person's receipts, oldest first, with the payment's id and the merchant's name."""
        query = (
            select(Receipt, Payment.txid, Account.name)
            .outerjoin(Payment, Payment.id == Receipt.payment_id)
            .outerjoin(Account, Account.id == Receipt.merchant_id)
            .where(_of_person(Receipt, person))
            .order_by(Receipt.id)
            .limit(EXPORT_MAX)
        )
        rows = self._session.execute(query)
        return [(receipt, txid, merchant) for receipt, txid, merchant in rows]

    def payments_of(self, person: str) -> Sequence[tuple[Payment, str]]:
        """The payments whose shop named this person, oldest first, with the merchant's name."""
        query = (
            select(Payment, Account.name)
            .join(Account, Account.id == Payment.merchant_id)
            .where(_of_person(Payment, person))
            .order_by(Payment.id)
            .limit(EXPORT_MAX)
        )
        return [(payment, merchant) for payment, merchant in self._session.execute(query)]

    def erase_person(self, person: str) -> int:
        """Erase a person from all receipts and payments; amounts and ids stay."""
        self._erase_answers(person)
        statements = [
            update(source).where(_of_person(source, person)).values(**_no_payer(source))
            for source in (Receipt, Payment)
        ]
        return sum(rows_changed(self._session, statement) for statement in statements)

    def _erase_answers(self, person: str) -> None:
        """Erase a person from the answers that are stored for repeated creations."""
        for payment, _ in self.payments_of(person):
            stored = select(IdempotentRequest).where(
                IdempotentRequest.merchant_id == payment.merchant_id,
                IdempotentRequest.location.endswith(payment.txid),
            )
            for row in self._session.scalars(stored):
                body = row.answer.get("payment")
                if isinstance(body, dict) and body.get("payer"):
                    row.answer = {**row.answer, "payment": {**body, "payer": None}}
        self._session.flush()

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


def _of_person(source: Source, person: str) -> ColumnElement[bool]:
    has_payer = or_(source.payer_name.is_not(None), source.payer_document.is_not(None))
    is_person = or_(source.payer_document == person, source.end_to_end_id == person)
    return and_(has_payer, is_person) if source is Payment else is_person


def _stored_at(source: Source) -> InstrumentedAttribute[datetime]:
    return Receipt.told_at if source is Receipt else Payment.created_at


def _payer_signal(document: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return Signal.kind == SignalKind.REFUSED_PAYER, Signal.subject == document


def _no_payer(source: Source) -> dict[str, None]:
    """The columns with a payer's data, as they are after the erasure."""
    columns = dict.fromkeys(("payer_name", "payer_document"))
    return {**columns, "payer_message": None} if source is Receipt else columns
