"""Queries for asking the bank: whose turn it is, how far it got, and what is known already."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, bindparam, insert, or_, select, update
from sqlalchemy.orm import Session

from db_models import Payment, PaymentStatus, Receipt, Reconciliation

_UNPAID = (PaymentStatus.PENDING, PaymentStatus.EXPIRED)


@dataclass(frozen=True)
class Mark:
    """How far a list was walked; `held_until` proves whose turn it is."""

    walked_to: datetime
    window_to: datetime | None
    cursor: str | None
    held_until: datetime


@dataclass(frozen=True)
class UnpaidPayment:
    """A payment that nobody is known to have paid."""

    id: int
    txid: str
    created_at: datetime
    expires_at: datetime


class Reconciliations:
    """Queries for asking the bank."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def take(
        self, name: str, now: datetime, until: datetime, first: datetime, *, by_force: bool
    ) -> Mark | None:
        """Take the turn until then; None where somebody has it, or had it just now.

        A list never walked begins at `first`. `by_force` takes the turn from whoever has it.
        """
        row = self._session.get(Reconciliation, name)
        if row is None:
            values = {"name": name, "walked_to": first, "not_before": until}
            self._session.execute(insert(Reconciliation).values(**values))
            return Mark(first, None, None, until)
        if row.not_before > now and not by_force:
            return None
        mark = Mark(row.walked_to, row.window_to, row.cursor, until)
        return mark if self._move(name, row.not_before, {"not_before": until}) else None

    def give_back(self, name: str, mark: Mark, not_before: datetime) -> bool:
        """Write how far it got; False, and nothing written, where the turn was lost meanwhile."""
        values = {
            "walked_to": mark.walked_to,
            "window_to": mark.window_to,
            "cursor": mark.cursor,
            "not_before": not_before,
        }
        return self._move(name, mark.held_until, values)

    def _move(self, name: str, held_until: datetime, values: Mapping[str, Any]) -> bool:
        done = self._session.execute(
            update(Reconciliation)
            .where(Reconciliation.name == name, Reconciliation.not_before == held_until)
            .values(**values)
            .execution_options(synchronize_session=False)
        )
        return cast("CursorResult[Any]", done).rowcount == 1

    def to_ask_about(self, now: datetime, limit: int) -> Sequence[UnpaidPayment]:
        """Unpaid payments whose look-up is due, the longest waiting first."""
        due = self._waiting().where(Payment.look_up_at <= now)
        return self._some(due.order_by(Payment.look_up_at, Payment.id), limit)

    def about_to_expire(self, now: datetime, limit: int) -> Sequence[UnpaidPayment]:
        """Payments whose deadline has passed and that nobody has written down as expired."""
        due = self._waiting().where(
            Payment.status == PaymentStatus.PENDING, Payment.expires_at < now
        )
        return self._some(due.order_by(Payment.expires_at), limit)

    def _waiting(self) -> Any:
        columns = (Payment.id, Payment.txid, Payment.created_at, Payment.expires_at)
        return select(*columns).where(Payment.status.in_(_UNPAID))

    def _some(self, query: Any, limit: int) -> Sequence[UnpaidPayment]:
        return [UnpaidPayment(*row) for row in self._session.execute(query.limit(limit))]

    def ask_again(self, when: Mapping[int, datetime | None]) -> None:
        """Write when to ask about each of these next; those settled meanwhile stay untouched."""
        if not when:
            return
        table = Payment.__table__
        statement = (
            update(table)
            .where(
                table.c.id == bindparam("row"),
                # Not `IN`: many rows at once take no list.
                or_(*(table.c.status == status for status in _UNPAID)),
            )
            .values(look_up_at=bindparam("next"))
        )
        # In one fixed order: two that write the same rows must not wait for each other.
        rows = [{"row": key, "next": when[key]} for key in sorted(when)]
        self._session.connection().execute(statement, rows)

    def unknown_of(self, transfers: Collection[tuple[str, str]]) -> frozenset[tuple[str, str]]:
        """Of (txid, end_to_end_id) pairs, those for payments of ours whose receipt is missing."""
        txids = {txid for txid, _ in transfers}
        ids = {end_to_end_id for _, end_to_end_id in transfers}
        ours = set(self._session.scalars(select(Payment.txid).where(Payment.txid.in_(txids))))
        told = select(Receipt.end_to_end_id).where(Receipt.end_to_end_id.in_(ids))
        known = set(self._session.scalars(told))
        return frozenset(pair for pair in transfers if pair[0] in ours and pair[1] not in known)
