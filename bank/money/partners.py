"""What the service may see of the ledger: payments to its own charges and keys, no others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from bank.errors import UnknownTransfer
from bank.identifiers import is_identifier
from bank.models import KnownKey, Transfer


def service_payment(session: Session, end_to_end_id: str) -> Transfer:
    """A payment the service may ask about. Raises UnknownTransfer, for others' as for none."""
    named = select(Transfer).where(Transfer.identifier == end_to_end_id, _is_partners())
    found = session.scalars(named).first() if is_identifier(end_to_end_id) else None
    if found is None:
        raise UnknownTransfer("Não há transferência com este identificador neste banco.")
    return found


def payments_of_charge(session: Session, txid: str, limit: int) -> Sequence[Transfer]:
    """Payments of one charge, oldest first; a static code's are of none, whatever it says."""
    paid = select(Transfer).where(Transfer.txid == txid, Transfer.kind == "payment")
    return session.scalars(paid.order_by(Transfer.id).limit(limit)).all()


def settled_between(
    session: Session, start: datetime, end: datetime, limit: int, after: str | None
) -> tuple[Sequence[Transfer], str | None]:
    """Payments made at `start` or later and before `end`, oldest first, and the next cursor."""
    query = select(Transfer).where(
        _is_partners(), Transfer.made_at >= start, Transfer.made_at < end
    )
    if after is not None:
        last = select(Transfer.made_at, Transfer.id).where(Transfer.identifier == after)
        place = session.execute(last).first()
        if place is None:
            return [], None
        made_at, row = place
        query = query.where(
            or_(Transfer.made_at > made_at, and_(Transfer.made_at == made_at, Transfer.id > row))
        )
    ordered = query.order_by(Transfer.made_at, Transfer.id).limit(limit + 1)
    rows = session.scalars(ordered).all()
    return rows[:limit], rows[limit - 1].identifier if len(rows) > limit else None


def _is_partners() -> ColumnElement[bool]:
    """Paid by a charge the service signed, or to a key it told us is its merchant's."""
    known = Transfer.payee_key.in_(select(KnownKey.key))
    return and_(Transfer.kind == "payment", or_(Transfer.txid.is_not(None), known))
