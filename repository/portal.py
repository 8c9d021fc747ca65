"""What the portal reads: sums over spans of time, and a merchant's list a page at a time.

Every query is bounded: by the day it is about, by a page, or by a window of rows looked at. None
grows with how much a merchant has sold (measured in docs/decisions/0023-portal-queries.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, func, literal, or_, select, union_all
from sqlalchemy.orm import Session

from core.errors import InvalidCursor
from db_models import Logo, Payment, PaymentEvent, PaymentStatus, Receipt, Verdict

SEARCH_WINDOW = 5_000
"""How many payments one page of a text search looks at; the next page looks at the next ones."""

EVENTS_MAX, RECEIPTS_MAX = 100, 50
"""Of one payment's timeline."""

FAILED = "failed"
"""Expired or cancelled: as a list may be narrowed by, beside the statuses."""

Span = tuple[datetime, datetime]
"""A start, and an end that no longer belongs to it."""


@dataclass(frozen=True)
class Takings:
    """What was confirmed in a span: how many, how much, and how much of it went back since."""

    count: int = 0
    centavos: int = 0
    refunded_centavos: int = 0


@dataclass(frozen=True)
class Narrowed:
    """By what a list is narrowed; None means everything."""

    status: str | None = None
    order_id: str | None = None
    created_from: datetime | None = None
    created_before: datetime | None = None
    text: str | None = None


@dataclass(frozen=True)
class Place:
    """Where in the list to go on: beside the payment with this txid, to the older or the newer."""

    txid: str
    newer: bool = False


@dataclass(frozen=True)
class Page:
    """Some payments, newest first, and whether and where the list goes on in the way it was read.

    `next` is a txid: of the last payment given, or of the last that a search looked at.
    """

    payments: Sequence[Payment]
    next: str | None


class PortalQueries:
    """Queries on a merchant's payments, each by an index."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def takings(self, merchant_id: int, spans: Sequence[Span]) -> list[Takings]:
        """What was confirmed in each span, in their order, by one statement."""
        if not spans:
            return []
        sums = [
            select(
                literal(number).label("number"),
                func.count(),
                func.coalesce(func.sum(Payment.amount_centavos), 0),
                func.coalesce(func.sum(Payment.refunded_centavos), 0),
            ).where(
                Payment.merchant_id == merchant_id,
                Payment.status == PaymentStatus.CONFIRMED,
                Payment.resolved_at >= start,
                Payment.resolved_at < end,
            )
            for number, (start, end) in enumerate(spans)
        ]
        rows = self._session.execute(union_all(*sums) if len(sums) > 1 else sums[0]).all()
        found = {int(number): Takings(int(n), int(c), int(r)) for number, n, c, r in rows}
        return [found[number] for number in range(len(spans))]

    def created(self, merchant_id: int, span: Span) -> tuple[int, int]:
        """How many payments were made in the span, and how many of those are paid by now."""
        start, end = span
        rows = self._session.execute(
            select(Payment.status, func.count())
            .where(
                Payment.merchant_id == merchant_id,
                Payment.status.in_(list(PaymentStatus)),
                Payment.created_at >= start,
                Payment.created_at < end,
            )
            .group_by(Payment.status)
        ).all()
        counts: dict[str, int] = {status: int(number) for status, number in rows}
        return sum(counts.values()), counts.get(PaymentStatus.CONFIRMED, 0)

    def paid_lately(
        self, merchant_id: int, since: datetime, limit: int
    ) -> list[tuple[datetime, timedelta]]:
        """When the newest confirmed payments were paid, and how long after they were made."""
        rows = self._session.execute(
            select(Payment.resolved_at, Payment.created_at)
            .where(
                Payment.merchant_id == merchant_id,
                Payment.status == PaymentStatus.CONFIRMED,
                Payment.resolved_at >= since,
            )
            .order_by(Payment.resolved_at.desc())
            .limit(limit)
        ).all()
        return [(paid, paid - made) for paid, made in rows if paid is not None]

    def page(
        self,
        merchant_id: int,
        narrowed: Narrowed,
        place: Place | None,
        limit: int,
        now: datetime,
    ) -> Page:
        """A page of the merchant's payments, newest first.

        A text is looked for in SEARCH_WINDOW payments per page: a page may then hold few, or none,
        and still go on. Raises InvalidCursor where the merchant has no payment of that place.
        """
        keys = _Keys(merchant_id, narrowed, self._anchor(merchant_id, place), place, now)
        if narrowed.text is None:
            found = self._in_order(keys.of_list(limit + 1), None, keys.newer, limit + 1)
            return _page(found, limit, keys.newer, None)
        window = keys.of_list(SEARCH_WINDOW)
        found = self._in_order(window, narrowed.text, keys.newer, limit + 1)
        exact = self._session.scalars(keys.exactly(narrowed.text, limit + 1)).all()
        known = {payment.id for payment in found}
        found = [*found, *(payment for payment in exact if payment.id not in known)]
        found.sort(key=lambda one: (one.created_at, one.id), reverse=not keys.newer)
        looked_to = None if len(found) > limit else self._end_of(keys, window)
        return _page(found[: limit + 1], limit, keys.newer, looked_to)

    def by_txids(self, merchant_id: int, txids: Sequence[str]) -> Sequence[Payment]:
        """Those of these payments that are the merchant's, newest first."""
        mine = select(Payment).where(Payment.txid.in_(txids), Payment.merchant_id == merchant_id)
        return self._session.scalars(mine.order_by(*_order(newer=False))).all()

    def events_of(self, payment_id: int) -> Sequence[PaymentEvent]:
        """What happened to a payment, in order."""
        found = select(PaymentEvent).where(PaymentEvent.payment_id == payment_id)
        return self._session.scalars(found.order_by(PaymentEvent.id).limit(EVENTS_MAX)).all()

    def receipts_of(self, payment_id: int) -> Sequence[Receipt]:
        """What banks told about a payment, in order: the accepted one, and refused ones."""
        found = select(Receipt).where(Receipt.payment_id == payment_id)
        return self._session.scalars(found.order_by(Receipt.id).limit(RECEIPTS_MAX)).all()

    def renewal_of(self, payment_id: int) -> str | None:
        """The txid of the payment that renewed this one, if any."""
        return self._session.scalars(
            select(Payment.txid).where(Payment.renewed_from_id == payment_id)
        ).one_or_none()

    def txid_of(self, payment_id: int) -> str | None:
        """The txid of a payment by its row id."""
        return self._session.scalars(
            select(Payment.txid).where(Payment.id == payment_id)
        ).one_or_none()

    def logo(self, public_id: str) -> bytes | None:
        """A logo's picture (PNG), or None."""
        return self._session.scalars(
            select(Logo.png).where(Logo.public_id == public_id)
        ).one_or_none()

    def replace_logo(
        self, account_id: int, public_id: str | None, png: bytes, now: datetime
    ) -> None:
        """Put a picture in the place of the account's logo; None only takes the old one away."""
        table = Logo.__table__
        self._session.execute(table.delete().where(table.c.account_id == account_id))
        if public_id is not None:
            row = {"public_id": public_id, "account_id": account_id, "png": png, "created_at": now}
            self._session.execute(table.insert().values(**row))

    def _anchor(self, merchant_id: int, place: Place | None) -> tuple[datetime, int] | None:
        if place is None:
            return None
        found = self._session.execute(
            select(Payment.created_at, Payment.id).where(
                Payment.txid == place.txid, Payment.merchant_id == merchant_id
            )
        ).one_or_none()
        if found is None:
            raise InvalidCursor
        return found[0], found[1]

    def _in_order(self, keys: Any, text: str | None, newer: bool, limit: int) -> list[Payment]:
        """The payments of these keys, in the order they are read in."""
        chosen = keys.subquery()
        query = select(Payment).join(chosen, chosen.c.id == Payment.id)
        if text is not None:
            query = query.where(Payment.description.icontains(text, autoescape=True))
        return list(self._session.scalars(query.order_by(*_order(newer)).limit(limit)))

    def _end_of(self, keys: _Keys, window: Any) -> str | None:
        """The txid where a full window ends; None where there was nothing more to look at."""
        ordered = window.subquery()
        created_at, number = ordered.c.created_at, ordered.c.id
        order = (created_at, number) if keys.newer else (created_at.desc(), number.desc())
        last = select(number).order_by(*order).offset(SEARCH_WINDOW - 1).limit(1)
        found = select(Payment.txid).where(Payment.id == last.scalar_subquery())
        return self._session.scalars(found).one_or_none()


def _order(newer: bool) -> tuple[Any, Any]:
    if newer:
        return Payment.created_at, Payment.id
    return Payment.created_at.desc(), Payment.id.desc()


def _page(found: list[Payment], limit: int, newer: bool, looked_to: str | None) -> Page:
    shown = found[:limit]
    goes_on = shown[-1].txid if len(found) > limit else looked_to
    return Page(shown[::-1] if newer else shown, goes_on)


class _Keys:
    """Row ids of a list in its order, each status by itself along `ix_payments_created`."""

    def __init__(
        self,
        merchant_id: int,
        narrowed: Narrowed,
        anchor: tuple[datetime, int] | None,
        place: Place | None,
        now: datetime,
    ) -> None:
        self._merchant_id = merchant_id
        self._narrowed = narrowed
        self._anchor = anchor
        self._now = now
        self.newer = place is not None and place.newer

    def of_list(self, limit: int) -> Any:
        """The keys of the next `limit` payments, by whatever narrows them but the text."""
        if self._narrowed.order_id is not None:
            mine = self._select().where(Payment.order_id == self._narrowed.order_id)
            return self._bounded(mine.where(self._standing()), limit)
        branches = [self._branch(status, limit) for status in self._statuses()]
        if self._narrowed.status in (PaymentStatus.EXPIRED, FAILED):
            branches.append(self._due())
        if len(branches) == 1:
            return branches[0]
        together = union_all(*branches).subquery()
        keys = select(together.c.id, together.c.created_at)
        created_at, number = together.c.created_at, together.c.id
        order = (created_at, number) if self.newer else (created_at.desc(), number.desc())
        return keys.order_by(*order).limit(limit)

    def exactly(self, text: str, limit: int) -> Select[Payment]:
        """The payments that have the text as their order, their id or their end-to-end id."""
        told = select(Receipt.payment_id).where(
            Receipt.end_to_end_id == text, Receipt.verdict == Verdict.ACCEPTED
        )
        ways = [
            self._select().where(Payment.order_id == text),
            self._select().where(Payment.txid == text),
            self._select().where(Payment.id == told.scalar_subquery()),
        ]
        standing = self._standing()
        found = union_all(*(self._bounded(way.where(standing), limit) for way in ways)).subquery()
        keys = select(found.c.id)
        return (
            select(Payment).where(Payment.id.in_(keys)).order_by(*_order(self.newer)).limit(limit)
        )

    def _statuses(self) -> list[str]:
        status = self._narrowed.status
        if status == FAILED:
            return [str(PaymentStatus.EXPIRED), str(PaymentStatus.CANCELLED)]
        return [str(one) for one in PaymentStatus] if status is None else [status]

    def _select(self) -> Select[int, datetime]:
        """Keys within the dates asked for, beyond the place the list goes on from."""
        query = select(Payment.id, Payment.created_at).where(
            Payment.merchant_id == self._merchant_id
        )
        if self._narrowed.created_from is not None:
            query = query.where(Payment.created_at >= self._narrowed.created_from)
        if self._narrowed.created_before is not None:
            query = query.where(Payment.created_at < self._narrowed.created_before)
        if self._anchor is not None:
            at, number = self._anchor
            # The first half is what the index is entered by; a pair is not, on every engine.
            if self.newer:
                beyond = and_(
                    Payment.created_at >= at, or_(Payment.created_at > at, Payment.id > number)
                )
            else:
                beyond = and_(
                    Payment.created_at <= at, or_(Payment.created_at < at, Payment.id < number)
                )
            query = query.where(beyond)
        return query

    def _bounded(self, query: Any, limit: int) -> Any:
        inner = query.order_by(*_order(self.newer)).limit(limit).subquery()
        return select(inner.c.id, inner.c.created_at)

    def _branch(self, status: str, limit: int) -> Any:
        query = self._select().where(Payment.status == status)
        if status == PaymentStatus.PENDING and self._narrowed.status is not None:
            query = query.where(Payment.expires_at >= self._now)
        return self._bounded(query, limit)

    def _due(self) -> Any:
        """Expired by the clock and not yet written down: what the sweep takes in a second.

        Without order or limit, so that it is read along `ix_payments_due`.
        """
        due = self._select().where(
            Payment.status == PaymentStatus.PENDING, Payment.expires_at < self._now
        )
        inner = due.subquery()
        return select(inner.c.id, inner.c.created_at)

    def _standing(self) -> Any:
        """The condition of the status asked for, by the clock."""
        status = self._narrowed.status
        due = and_(Payment.status == PaymentStatus.PENDING, Payment.expires_at < self._now)
        if status is None:
            return literal(True)
        if status == PaymentStatus.EXPIRED:
            return or_(Payment.status == PaymentStatus.EXPIRED, due)
        if status == FAILED:
            gone = (PaymentStatus.EXPIRED, PaymentStatus.CANCELLED)
            return or_(Payment.status.in_(gone), due)
        if status == PaymentStatus.PENDING:
            return and_(Payment.status == status, Payment.expires_at >= self._now)
        return Payment.status == status
