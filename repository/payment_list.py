"""A merchant's list of payments: the one query behind the API, the portal and its exports.

Its cost does not grow with the merchant's payments: it reads a page of each status along its index,
or a window of rows for a text search (docs/decisions/0023-portal-queries.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, case, exists, func, literal, or_, select, union_all
from sqlalchemy.orm import Session

from core.errors import InvalidMoney
from core.money import typed_centavos
from core.typed import identifier
from db_models import Payment, PaymentStatus, Receipt, Verdict
from repository.paging import Cursor, Keyset, Page, cut

SEARCH_WINDOW = 5_000
"""How many payments one page of a search reads; the next page reads on from there. Also how many
payments a total looks at."""

FAILED = "failed"
"""Expired or cancelled: a filter beside the statuses."""

REFUNDED, REFUSED = "refunded", "refused"
"""Filters for paid payments with a refund, and for unpaid ones whose money went back.

Such payments are rare and have no index, so they are searched in a window of rows as a text is.
"""

NEWEST_FIRST = Keyset(Payment.created_at, Payment.id, cursor=Payment.txid)

_NEWEST_RECEIPT_FIRST = Keyset(
    Payment.resolved_at,
    Payment.created_at,
    Payment.amount_centavos,
    Payment.refunded_centavos,
    Payment.id,
    cursor=Payment.txid,
)
"""The order of `ix_payments_takings`, so that a page reads its own rows alone."""


@dataclass(frozen=True)
class PaymentFilters:
    """Filters on a merchant's payments; None means all. Both times are inclusive."""

    status: str | None = None
    order_id: str | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    text: str | None = None


def page_of_merchant(
    session: Session,
    merchant_id: int,
    filters: PaymentFilters,
    cursor: Cursor | None,
    limit: int,
    now: datetime,
) -> Page[Payment]:
    """A page of the merchant's payments, newest first.

    A search for a text or a rare state reads SEARCH_WINDOW payments per page, so a short or empty
    page may have a next page. Raises InvalidCursor if the merchant has no payment with the cursor's
    id.
    """
    search = _MerchantList(session, merchant_id, filters, cursor, now)
    is_search = filters.text is not None or filters.status in (REFUNDED, REFUSED)
    page = search.window_page(limit) if is_search else search.page(limit)
    return Page(page.items[::-1], page.next) if search.is_newer else page


def page_by_receipt(
    session: Session,
    merchant_id: int,
    span: tuple[datetime | None, datetime | None],
    cursor: Cursor | None,
    limit: int,
) -> Page[Payment]:
    """A page of the merchant's paid payments by the instant of payment, newest first.

    `span` has the first and the last instant; None is no end. Raises InvalidCursor.
    """
    own = Payment.merchant_id == merchant_id
    query = select(Payment).where(own, Payment.status == PaymentStatus.CONFIRMED)
    first, last = span
    if first is not None:
        query = query.where(Payment.resolved_at >= first)
    if last is not None:
        query = query.where(Payment.resolved_at <= last)
    return _NEWEST_RECEIPT_FIRST.page(
        session, query, own, after=cursor.id if cursor else None, limit=limit
    )


@dataclass(frozen=True)
class ListTotals:
    """Sums over the newest payments that meet the filters, in centavos."""

    count: int
    centavos: int
    received_centavos: int
    refunded_centavos: int
    is_complete: bool
    """Whether every payment of the list was looked at."""


def totals_of_merchant(
    session: Session, merchant_id: int, filters: PaymentFilters, now: datetime
) -> ListTotals:
    """The totals of the newest SEARCH_WINDOW payments; runs one statement."""
    return _MerchantList(session, merchant_id, filters, None, now).totals()


class _MerchantList:
    """One page of the list, read in the direction of its cursor."""

    def __init__(
        self,
        session: Session,
        merchant_id: int,
        filters: PaymentFilters,
        cursor: Cursor | None,
        now: datetime,
    ) -> None:
        self._session = session
        self._merchant_id = merchant_id
        self._filters = filters
        self._now = now
        self._id = None if filters.text is None else identifier(filters.text)
        self._is_first = cursor is None
        self.is_newer = cursor is not None and cursor.newer
        self._keyset = NEWEST_FIRST.reversed() if self.is_newer else NEWEST_FIRST
        self._start = None
        if cursor is not None:
            own = Payment.merchant_id == merchant_id
            self._start = NEWEST_FIRST.key_of(session, cursor.id, own)

    def page(self, limit: int) -> Page[Payment]:
        """The next payments by every filter but those that need a window."""
        return cut(self._read(self._keys(limit + 1), limit + 1), limit, _cursor_of)

    def totals(self) -> ListTotals:
        """The totals of the first SEARCH_WINDOW payments by these filters."""
        rows = self._keys(SEARCH_WINDOW).subquery()
        is_match = and_(
            literal(True), *self._window_conditions(*self._ids(), Payment.end_to_end_id == self._id)
        )
        is_paid = and_(is_match, Payment.status == PaymentStatus.CONFIRMED)
        sums = [
            func.coalesce(func.sum(case((condition, amount), else_=0)), 0)
            for condition, amount in (
                (is_match, literal(1)),
                (is_match, Payment.amount_centavos),
                (is_paid, Payment.amount_centavos),
                (is_paid, Payment.refunded_centavos),
            )
        ]
        query = select(func.count(), *sums).select_from(Payment)
        rows_read, count, centavos, received, refunded = self._session.execute(
            query.join(rows, rows.c.id == Payment.id)
        ).one()
        return ListTotals(
            count=int(count),
            centavos=int(centavos),
            received_centavos=int(received),
            refunded_centavos=int(refunded),
            is_complete=rows_read < SEARCH_WINDOW,
        )

    def _window_conditions(self, *ways: Any) -> list[Any]:
        """The filters that have no index: a rare state, and a text in the payment.

        The text is a part of the description or of a payer's name, or it is the amount; `ways` are
        further conditions, of which one is enough.
        """
        conditions: list[Any] = []
        if self._filters.status == REFUNDED:
            conditions.append(Payment.refunded_centavos > 0)
        elif self._filters.status == REFUSED:
            conditions.append(Payment.refusal.is_not(None))
        text = self._filters.text
        if text is not None:
            is_payer = Receipt.payer_name.icontains(text, autoescape=True)
            all_ways = [
                *ways,
                Payment.description.icontains(text, autoescape=True),
                exists().where(Receipt.payment_id == Payment.id, is_payer),
            ]
            with suppress(InvalidMoney):
                all_ways.append(Payment.amount_centavos == typed_centavos(text))
            conditions.append(or_(*all_ways))
        return conditions

    def window_page(self, limit: int) -> Page[Payment]:
        """The payments that meet the filters without an index among the next SEARCH_WINDOW.

        A payment that the text names by an id is found anywhere in the list.
        The first page shows it if it has room; later pages then leave it out.
        """
        exact = self._exact(limit + 1)
        is_new = []
        if exact and not self._is_first:
            is_new = [Payment.id.not_in(self._first_page(limit))]
            exact = self._exact(limit + 1, *is_new)
        window = self._keys(SEARCH_WINDOW)
        matches = self._read(window, limit + 1, *self._window_conditions(), *is_new)
        # A full page ends before its window does.
        is_full = len(matches) > limit
        end = None if is_full else self._keyset.end_of(self._session, window, SEARCH_WINDOW)
        behind = (
            [] if end is None else [match for match in exact if self._is_behind(match, end[1:])]
        )
        within = {match.id: match for match in [*matches, *exact] if match not in behind}
        items = sorted(within.values(), key=_key_of, reverse=not self.is_newer)
        if self._is_first:
            items += behind[: max(0, limit - len(items))]
        return cut(items, limit, _cursor_of, None if end is None else end[0])

    def _first_page(self, limit: int) -> set[int]:
        """The row ids on the first page of the same search."""
        first = _MerchantList(self._session, self._merchant_id, self._filters, None, self._now)
        return {payment.id for payment in first.window_page(limit).items}

    def _is_behind(self, payment: Payment, key: Sequence[Any]) -> bool:
        """Whether the payment comes after the row with this key in the order of reading."""
        row_key = tuple(key)
        return _key_of(payment) > row_key if self.is_newer else _key_of(payment) < row_key

    def _read(self, keys: Any, limit: int, *conditions: Any) -> list[Payment]:
        """The payments with these keys that meet the conditions, in the order of reading."""
        rows = keys.subquery()
        query = select(Payment).join(rows, rows.c.id == Payment.id).where(*conditions)
        return list(self._session.scalars(query.order_by(*self._keyset.order()).limit(limit)))

    def _ids(self) -> tuple[Any, ...]:
        """The conditions on a payment's own row under which the text is an id of the payment."""
        return (
            Payment.order_id == self._filters.text,
            Payment.txid == self._id,
            Payment.watch_code == self._id,
        )

    def _exact(self, limit: int, *conditions: Any) -> list[Payment]:
        """The payments that the text names by one of their ids, if there is a text."""
        if self._id is None:
            return []
        settled = select(Receipt.payment_id).where(
            Receipt.end_to_end_id == self._id, Receipt.verdict == Verdict.ACCEPTED
        )
        # One query per index: no engine uses all these indexes in one query.
        queries = [
            self._select(self._has_status(), *conditions, is_exact)
            for is_exact in (*self._ids(), Payment.id == settled.scalar_subquery())
        ]
        matches = union_all(*(self._limit_keys(query, limit) for query in queries)).subquery()
        query = select(Payment).where(Payment.id.in_(select(matches.c.id)))
        return list(self._session.scalars(query.order_by(*self._keyset.order()).limit(limit)))

    def _keys(self, limit: int) -> Any:
        """The keys of the next `limit` payments by every filter but the text.

        Each status is read separately along `ix_payments_created`; the first rows are merged.
        """
        if self._filters.order_id is not None:
            return self._limit_keys(self._select(self._has_status()), limit)
        branches = [self._of_status(status, limit) for status in self._statuses()]
        if self._filters.status in (PaymentStatus.EXPIRED, FAILED, REFUSED):
            branches.append(self._overdue())
        if len(branches) == 1:
            return branches[0]
        heads = union_all(*branches).subquery()
        keys = select(heads.c.id, heads.c.created_at)
        return keys.order_by(*self._keyset.of(heads).order()).limit(limit)

    def _statuses(self) -> list[str]:
        status = self._filters.status
        if status == FAILED:
            return [str(PaymentStatus.EXPIRED), str(PaymentStatus.CANCELLED)]
        if status == REFUNDED:
            return [str(PaymentStatus.CONFIRMED)]
        if status == REFUSED:
            return [str(each) for each in PaymentStatus if each != PaymentStatus.CONFIRMED]
        return [str(each) for each in PaymentStatus] if status is None else [status]

    def _select(self, *conditions: Any) -> Select[int, datetime]:
        """Keys of the merchant's payments by order id and time, after the row of the cursor."""
        query = select(Payment.id, Payment.created_at).where(
            Payment.merchant_id == self._merchant_id, *conditions
        )
        if self._filters.order_id is not None:
            query = query.where(Payment.order_id == self._filters.order_id)
        if self._filters.created_from is not None:
            query = query.where(Payment.created_at >= self._filters.created_from)
        if self._filters.created_to is not None:
            query = query.where(Payment.created_at <= self._filters.created_to)
        if self._start is not None:
            query = query.where(self._keyset.beyond(self._start))
        return query

    def _limit_keys(self, query: Any, limit: int) -> Any:
        inner = query.order_by(*self._keyset.order()).limit(limit).subquery()
        return select(inner.c.id, inner.c.created_at)

    def _of_status(self, status: str, limit: int) -> Any:
        query = self._select(Payment.status == status)
        if status == PaymentStatus.PENDING and self._filters.status is not None:
            query = query.where(Payment.expires_at >= self._now)
        return self._limit_keys(query, limit)

    def _overdue(self) -> Any:
        """Payments that the clock has expired and the sweep has not written yet: few at a time.

        The query has no order and no limit, so that engines read it along `ix_payments_due`.
        """
        inner = self._select(self._is_overdue()).subquery()
        return select(inner.c.id, inner.c.created_at)

    def _is_overdue(self) -> Any:
        return and_(Payment.status == PaymentStatus.PENDING, Payment.expires_at < self._now)

    def _has_status(self) -> Any:
        """The condition of the status filter, with deadlines judged by the clock."""
        status = self._filters.status
        if status is None:
            return literal(True)
        if status == PaymentStatus.PENDING:
            return and_(Payment.status == status, Payment.expires_at >= self._now)
        has_stored_status = Payment.status.in_(self._statuses())
        if status == REFUNDED:
            return and_(has_stored_status, Payment.refunded_centavos > 0)
        if status == REFUSED:
            return and_(has_stored_status, Payment.refusal.is_not(None))
        if status in (PaymentStatus.EXPIRED, FAILED):
            return or_(has_stored_status, self._is_overdue())
        return has_stored_status


def _cursor_of(payment: Payment) -> str:
    return payment.txid


def _key_of(payment: Payment) -> tuple[datetime, int]:
    return payment.created_at, payment.id
