"""Queries on signals, and the counts that raise them.

Each count reads only the last rows of a table by its primary key, so its cost does not grow with
the table.
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
from repository.owners import IS_TEST, OWNER_LOGIN, with_owner
from repository.paging import Keyset, Page

TAIL_ROWS = 20_000
"""A count reads at most this many of the last rows."""
UNSEEN_MAX = 100
"""Unseen signals are counted up to this number; a badge shows no more."""
OF_PAYMENT_MAX = 5
_NEWEST_FIRST = Keyset(Signal.id, cursor=Signal.public_id)
_OF_A_PAYMENT = (SignalKind.WRONG_PINS, SignalKind.WRONG_AMOUNTS)
"""The kinds whose subject is a payment's id."""


@dataclass(frozen=True)
class Count:
    """How often something happened to a merchant, and the last payment it happened to."""

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
        """Merchants with at least so many new payments since then."""
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
        """Payments with at least so many receipts of a wrong amount since then."""
        query = (
            self._refused_receipts(since)
            .add_columns(Payment.txid)
            .join(Payment, Payment.id == Receipt.payment_id)
            .where(Receipt.reason == "amount-mismatch")
            .group_by(Receipt.merchant_id, Payment.txid)
            .having(func.count() >= at_least)
        )
        rows = self._session.execute(query).all()
        return [Count(SignalKind.WRONG_AMOUNTS, row[0], row[3], row[1], row[2]) for row in rows]

    def refused_payers(self, since: datetime, at_least: int) -> list[Count]:
        """Payers, by document, with at least so many refused receipts since then."""
        query = (
            self._refused_receipts(since)
            .add_columns(Receipt.payer_document)
            # A masked document may stand for several payers.
            .where(Receipt.payer_document.is_not(None), Receipt.payer_document.not_like("%*%"))
            .group_by(Receipt.merchant_id, Receipt.payer_document)
            .having(func.count() >= at_least)
        )
        rows = self._session.execute(query).all()
        return [Count(SignalKind.REFUSED_PAYER, row[0], row[3], row[1], row[2]) for row in rows]

    def wrong_pins(self, since: datetime, at_least: int) -> list[Count]:
        """Payments with at least so many wrong PINs since then."""
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

    def find_open(self, count: Count, since: datetime) -> Signal | None:
        """The signal of the same kind and subject whose count rose since then, or None."""
        query = (
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
        return self._session.scalars(query).one_or_none()

    def insert(self, values: Mapping[str, Any]) -> None:
        """Store a new signal."""
        self._session.execute(insert(Signal).values(**values))

    def raise_count(self, signal_id: int, count: Count, now: datetime) -> bool:
        """Write a higher count; False if the stored count is as high already."""
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

    def newest(self, limit: int) -> Sequence[tuple[Signal, str, str, bool]]:
        """The newest signals of all merchants.

        Each has the payment's id, the merchant's login, and whether it is of its test half.
        """
        query = (
            select(Signal, Payment.txid, OWNER_LOGIN, IS_TEST)
            .join(Payment, Payment.id == Signal.payment_id)
            .join(Account, Account.id == Signal.merchant_id)
            .order_by(Signal.id.desc())
            .limit(limit)
        )
        rows = self._session.execute(with_owner(query))
        return [(row[0], row[1], row[2], row[3]) for row in rows]

    def unseen(self, merchant_id: int) -> int:
        """The number of a merchant's unseen signals, counted up to UNSEEN_MAX."""
        return int(self._session.execute(select(self._unseen(merchant_id))).scalar_one())

    def unseen_and_of_payment(self, merchant_id: int, txid: str) -> tuple[int, list[Signal]]:
        """The number of unseen signals, and a payment's newest signals; runs one statement."""
        unseen = select(self._unseen(merchant_id).label("unseen")).subquery()
        is_of_payment = and_(
            Signal.merchant_id == merchant_id,
            Signal.kind.in_(_OF_A_PAYMENT),
            Signal.subject == txid,
        )
        query = (
            select(unseen.c.unseen, Signal)
            .select_from(unseen.outerjoin(Signal, is_of_payment))
            .order_by(Signal.id.desc())
            .limit(OF_PAYMENT_MAX)
        )
        rows = self._session.execute(query).all()
        return int(rows[0][0]), [signal for _, signal in rows if signal is not None]

    def mark_seen(self, merchant_id: int, now: datetime, up_to: str | None = None) -> int:
        """Mark a merchant's signals as seen; return how many were unseen.

        `up_to` is the newest signal that the merchant saw; later ones stay unseen.
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
        bounded = (
            select(Signal.id)
            .where(Signal.merchant_id == merchant_id, Signal.seen_at.is_(None))
            .limit(UNSEEN_MAX)
            .subquery()
        )
        return select(func.count()).select_from(bounded).scalar_subquery()

    def _refused_receipts(self, since: datetime) -> Select[Any, Any, Any]:
        return select(Receipt.merchant_id, func.count(), func.max(Receipt.payment_id)).where(
            Receipt.id > self._tail(Receipt),
            Receipt.told_at >= since,
            Receipt.verdict == Verdict.REFUSED,
            Receipt.merchant_id.is_not(None),
            Receipt.payment_id.is_not(None),
        )

    def _tail(self, model: Any) -> int:
        """The row id before the last TAIL_ROWS rows of a table."""
        return (self._session.execute(select(func.max(model.id))).scalar() or 0) - TAIL_ROWS
