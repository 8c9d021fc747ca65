"""Queries for the service, which may see the payments of which it is notified, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, exists, or_, select, update
from sqlalchemy.orm import Session

from bank.database import Database
from bank.errors import UnknownTransfer
from bank.identifiers import is_identifier
from bank.languages import translate as _
from bank.models import KnownKey, Notice, Transfer

_Result = TypeVar("_Result")


def read_for_service(
    database: Database,
    now: datetime,
    query: Callable[[Session], _Result],
    payments_in: Callable[[_Result], Iterable[Transfer]],
) -> _Result:
    """The query's result; from now on the service counts on the money of these payments.

    So the bank does not give it back any more because its notices are refused. The query runs
    again after that is stored, since the money may have gone back just before.
    """
    with database.reading() as session:
        result = query(session)
    notices = [payment.notice for payment in payments_in(result)]
    unseen = [notice.id for notice in notices if notice and not (notice.done_at or notice.shown_at)]
    if not unseen:
        return result
    with database.writing() as session:
        session.execute(update(Notice).where(Notice.id.in_(unseen)).values(shown_at=now))
    with database.reading() as session:
        return query(session)


def service_payment(session: Session, end_to_end_id: str) -> Transfer:
    """The payment with this id. Raises UnknownTransfer, also if the service may not see it."""
    query = select(Transfer).where(Transfer.identifier == end_to_end_id, _is_visible())
    payment = session.scalars(query).first() if is_identifier(end_to_end_id) else None
    if payment is None:
        raise UnknownTransfer(_("Não há transferência com este identificador neste banco."))
    return payment


def payments_of_charge(session: Session, txid: str, limit: int) -> Sequence[Transfer]:
    """Payments of one charge, oldest first, without those of static codes with the same txid."""
    query = select(Transfer).where(Transfer.txid == txid, Transfer.kind == "payment")
    return session.scalars(query.order_by(Transfer.id).limit(limit)).all()


def settled_between(
    session: Session, start: datetime, end: datetime, limit: int, after: str | None
) -> tuple[Sequence[Transfer], str | None]:
    """Payments from `start` until before `end`, oldest first, and the next page's cursor."""
    query = select(Transfer).where(_is_visible(), Transfer.made_at >= start, Transfer.made_at < end)
    if after is not None:
        cursor = select(Transfer.made_at, Transfer.id).where(Transfer.identifier == after)
        row = session.execute(cursor).first()
        if row is None:
            return [], None
        made_at, row_id = row
        query = query.where(
            or_(Transfer.made_at > made_at, and_(Transfer.made_at == made_at, Transfer.id > row_id))
        )
    ordered = query.order_by(Transfer.made_at, Transfer.id).limit(limit + 1)
    rows = session.scalars(ordered).all()
    return rows[:limit], rows[limit - 1].identifier if len(rows) > limit else None


def _is_visible() -> ColumnElement[bool]:
    """Payments with a notice, and older ones of static codes to a key that a charge has named."""
    is_known_key = Transfer.payee_key.in_(select(KnownKey.key))
    is_notified = exists().where(Notice.transfer_id == Transfer.id)
    return and_(Transfer.kind == "payment", or_(is_notified, is_known_key))
