"""Queries on signals, and the counts they are made of.

Each count reads no more than the last rows of a table, by its primary key: the cost stays the same
whatever the table holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, func, insert, select, update
from sqlalchemy.orm import Session

from db_models import (
    Account,
    AuditAction,
    AuditEntry,
    Payment,
    Receipt,
    Signal,
    SignalKind,
    Verdict,
)
from repository.connections import rows_changed
from repository.paging import Keyset, Page

TAIL_ROWS = 20_000
"""How far back a count looks at most, in rows."""
UNSEEN_MAX = 100
"""As far as unseen signals are counted: a badge says no more than that there are many."""
OF_PAYMENT_MAX = 5
_NEWEST_FIRST = Keyset(Signal.id, cursor=Signal.public_id)
_OF_A_PAYMENT = (SignalKind.WRONG_PINS, SignalKind.WRONG_AMOUNTS)
"""The kinds whose subject is a payment's id."""
"""The audit entry of a wrong PIN; its subject is the payment's id."""


@dataclass(frozen=True)
class Count:
    """How often something happened to one merchant, and to which payment last."""

    kind: SignalKind
    merchant_id: int
    subject: str
    times: int
    payment_id: int


class Signals:
    """Queries on signals."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def creations(self, since: datetime, at_least: int) -> list[Count]:
        """Merchants with so many new payments since then."""
        newest = func.max(Payment.id)
        query = (
            select(Payment.merchant_id, func.count(), newest)
            .where(Payment.id > self._tail(Payment), Payment.created_at >= since)
            .group_by(Payment.merchant_id)
            .having(func.count() >= at_least)
        )
        rows = self._session.execute(query).all()
        return [Count(SignalKind.CREATION_BURST, row[0], "", row[1], row[2]) for row in rows]

    def wrong_amounts(self, since: datetime, at_least: int) -> list[Count]:
        """Payments for which so many wrong amounts arrived since then."""
        query = (
            self._refused(since)
            .add_columns(Payment.txid)
            .join(Payment, Payment.id == Receipt.payment_id)
            .where(Receipt.reason == "amount-mismatch")
            .group_by(Receipt.merchant_id, Payment.txid)
            .having(func.count() >= at_least)
        )
        rows = self._session.execute(query).all()
        return [Count(SignalKind.WRONG_AMOUNTS, row[0], row[3], row[1], row[2]) for row in rows]

    def refused_payers(self, since: datetime, at_least: int) -> list[Count]:
        """Payers, by document, whose money was refused so often since then."""
        query = (
            self._refused(since)
            .add_columns(Receipt.payer_document)
            .where(Receipt.payer_document.is_not(None))
            .group_by(Receipt.merchant_id, Receipt.payer_document)
            .having(func.count() >= at_least)
        )
        rows = self._session.execute(query).all()
        return [Count(SignalKind.REFUSED_PAYER, row[0], row[3], row[1], row[2]) for row in rows]

    def wrong_pins(self, since: datetime, at_least: int) -> list[Count]:
        """Payments for which so many wrong PINs were given since then."""
        query = (
            select(Payment.merchant_id, Payment.txid, func.count(), func.max(Payment.id))
            .select_from(AuditEntry)
            .join(Payment, Payment.txid == AuditEntry.subject)
            .where(
                AuditEntry.id > self._tail(AuditEntry),
                AuditEntry.occurred_at >= since,
                AuditEntry.action == AuditAction.PIN_REFUSED,
            )
            .group_by(Payment.merchant_id, Payment.txid)
            .having(func.count() >= at_least)
        )
        rows = self._session.execute(query).all()
        return [Count(SignalKind.WRONG_PINS, row[0], row[1], row[2], row[3]) for row in rows]

    def open_one(self, count: Count, since: datetime) -> Signal | None:
        """The signal of the same thing that was still counted up since then, or None."""
        same = (
            select(Signal)
            .where(
                Signal.merchant_id == count.merchant_id,
                Signal.kind == count.kind,
                Signal.subject == count.subject,
                Signal.last_at >= since,
            )
            .order_by(Signal.id.desc())
            .limit(1)
        )
        return self._session.scalars(same).one_or_none()

    def insert(self, values: Mapping[str, Any]) -> None:
        """Store a new signal."""
        self._session.execute(insert(Signal).values(**values))

    def raise_to(self, signal_id: int, count: Count, now: datetime) -> bool:
        """Write a higher count down; False where it is no higher."""
        higher = update(Signal).where(Signal.id == signal_id, Signal.times < count.times)
        values = {"times": count.times, "payment_id": count.payment_id, "last_at": now}
        return rows_changed(self._session, higher.values(**values)) == 1

    def of_merchant(
        self, merchant_id: int, limit: int, after: str | None = None
    ) -> Page[tuple[Signal, str]]:
        """A page of a merchant's signals with the payment's id, newest first.

        Raises InvalidCursor.
        """
        own = Signal.merchant_id == merchant_id
        query = (
            select(Signal, Payment.txid).join(Payment, Payment.id == Signal.payment_id).where(own)
        )
        return _NEWEST_FIRST.page(
            self._session, query, own, after=after, limit=limit, unknown_is_end=True
        )

    def newest(self, limit: int) -> Sequence[tuple[Signal, str, str]]:
        """The newest signals of all merchants, each with the payment's id and the login."""
        query = (
            select(Signal, Payment.txid, Account.login)
            .join(Payment, Payment.id == Signal.payment_id)
            .join(Account, Account.id == Signal.merchant_id)
            .order_by(Signal.id.desc())
            .limit(limit)
        )
        return [(signal, txid, login) for signal, txid, login in self._session.execute(query)]

    def unseen(self, merchant_id: int) -> int:
        """How many of a merchant's signals nobody has looked at, up to UNSEEN_MAX."""
        return int(self._session.execute(select(self._unseen(merchant_id))).scalar_one())

    def unseen_and_of_payment(self, merchant_id: int, txid: str) -> tuple[int, list[Signal]]:
        """The same, and the newest signals about one payment, by one statement."""
        unseen = select(self._unseen(merchant_id).label("unseen")).subquery()
        about_it = and_(
            Signal.merchant_id == merchant_id,
            Signal.kind.in_(_OF_A_PAYMENT),
            Signal.subject == txid,
        )
        query = (
            select(unseen.c.unseen, Signal)
            .select_from(unseen.outerjoin(Signal, about_it))
            .order_by(Signal.id.desc())
            .limit(OF_PAYMENT_MAX)
        )
        rows = self._session.execute(query).all()
        return int(rows[0][0]), [signal for _, signal in rows if signal is not None]

    def mark_seen(self, merchant_id: int, now: datetime, up_to: str | None = None) -> int:
        """Write down that a merchant looked at all of them; gives how many were new.

        `up_to` leaves those alone that came after the one named: nobody has seen them.
        """
        unseen = update(Signal).where(Signal.merchant_id == merchant_id, Signal.seen_at.is_(None))
        if up_to is not None:
            newest = select(Signal.id).where(
                Signal.public_id == up_to, Signal.merchant_id == merchant_id
            )
            last = self._session.scalars(newest).one_or_none()
            if last is None:
                return 0
            unseen = unseen.where(Signal.id <= last)
        return rows_changed(self._session, unseen.values(seen_at=now))

    def _unseen(self, merchant_id: int) -> Any:
        some = (
            select(Signal.id)
            .where(Signal.merchant_id == merchant_id, Signal.seen_at.is_(None))
            .limit(UNSEEN_MAX)
            .subquery()
        )
        return select(func.count()).select_from(some).scalar_subquery()

    def _refused(self, since: datetime) -> Select[Any, Any, Any]:
        return select(Receipt.merchant_id, func.count(), func.max(Receipt.payment_id)).where(
            Receipt.id > self._tail(Receipt),
            Receipt.told_at >= since,
            Receipt.verdict == Verdict.REFUSED,
            Receipt.merchant_id.is_not(None),
            Receipt.payment_id.is_not(None),
        )

    def _tail(self, model: Any) -> int:
        """The row id before the last rows of a table."""
        return (self._session.execute(select(func.max(model.id))).scalar() or 0) - TAIL_ROWS
