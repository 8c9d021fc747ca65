"""A merchant's list of payments: the one query behind the API, the portal and its exports.

It reads as much for a merchant with a million payments as for one with ten: a page of each status
along its index, or a window of rows for a text (docs/decisions/0023-portal-queries.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, literal, or_, select, union_all
from sqlalchemy.orm import Session

from db_models import Payment, PaymentStatus, Receipt, Verdict
from repository.paging import Cursor, Keyset, Page, cut

SEARCH_WINDOW = 5_000
"""How many payments one page of a text search looks at; the next page looks at the next ones."""

FAILED = "failed"
"""Expired or cancelled: a filter beside the statuses."""

NEWEST_FIRST = Keyset(Payment.created_at, Payment.id, cursor=Payment.txid)


@dataclass(frozen=True)
class PaymentFilters:
    """Which of a merchant's payments; None means all. Both times belong to the span."""

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

    A text is looked for in SEARCH_WINDOW payments per page: a page may then hold few, or none, and
    still go on. Raises InvalidCursor where the merchant has no payment of this id.
    """
    search = _MerchantList(session, merchant_id, filters, cursor, now)
    page = search.page(limit) if filters.text is None else search.text_page(filters.text, limit)
    return Page(page.items[::-1], page.next) if search.is_newer else page


class _MerchantList:
    """One reading of the list, in the direction that its cursor says."""

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
        self._is_first = cursor is None
        self.is_newer = cursor is not None and cursor.newer
        self._keyset = NEWEST_FIRST.reversed() if self.is_newer else NEWEST_FIRST
        self._start = None
        if cursor is not None:
            own = Payment.merchant_id == merchant_id
            self._start = NEWEST_FIRST.key_of(session, cursor.id, own)

    def page(self, limit: int) -> Page[Payment]:
        """The next payments by the filters alone."""
        return cut(self._read(self._keys(limit + 1), limit + 1), limit, _cursor_of)

    def text_page(self, text: str, limit: int) -> Page[Payment]:
        """The payments with this text among the next SEARCH_WINDOW.

        A payment whose order, id or end-to-end id is the text is found wherever it stands, and
        given on the first page if that has room. Later pages leave it out then.
        """
        exact = self._exact(text, limit + 1)
        is_new = []
        if exact and not self._is_first:
            is_new = [Payment.id.not_in(self._first_page(text, limit))]
            exact = self._exact(text, limit + 1, *is_new)
        window = self._keys(SEARCH_WINDOW)
        in_description = Payment.description.icontains(text, autoescape=True)
        found = self._read(window, limit + 1, in_description, *is_new)
        # A full page ends before its window does.
        is_full = len(found) > limit
        end = None if is_full else self._keyset.end_of(self._session, window, SEARCH_WINDOW)
        behind = [] if end is None else [one for one in exact if self._is_behind(one, end[1:])]
        within = {payment.id: payment for payment in [*found, *exact] if payment not in behind}
        items = sorted(within.values(), key=_key_of, reverse=not self.is_newer)
        if self._is_first:
            items += behind[: max(0, limit - len(items))]
        return cut(items, limit, _cursor_of, None if end is None else end[0])

    def _first_page(self, text: str, limit: int) -> set[int]:
        """The row ids on the first page of the same search."""
        first = _MerchantList(self._session, self._merchant_id, self._filters, None, self._now)
        return {payment.id for payment in first.text_page(text, limit).items}

    def _is_behind(self, payment: Payment, key: Sequence[Any]) -> bool:
        """Whether the list comes to the payment after the row with this key."""
        there = tuple(key)
        return _key_of(payment) > there if self.is_newer else _key_of(payment) < there

    def _read(self, keys: Any, limit: int, *conditions: Any) -> list[Payment]:
        """The payments of these keys for which the conditions hold, in the order of the reading."""
        chosen = keys.subquery()
        query = select(Payment).join(chosen, chosen.c.id == Payment.id).where(*conditions)
        return list(self._session.scalars(query.order_by(*self._keyset.order()).limit(limit)))

    def _exact(self, text: str, limit: int, *conditions: Any) -> list[Payment]:
        """The payments whose order, id or end-to-end id is the text."""
        settled = select(Receipt.payment_id).where(
            Receipt.end_to_end_id == text, Receipt.verdict == Verdict.ACCEPTED
        )
        # Each way by its own index; together, no engine uses all three.
        ways = [
            self._select(self._has_status(), *conditions, of)
            for of in (
                Payment.order_id == text,
                Payment.txid == text,
                Payment.id == settled.scalar_subquery(),
            )
        ]
        found = union_all(*(self._bounded(way, limit) for way in ways)).subquery()
        query = select(Payment).where(Payment.id.in_(select(found.c.id)))
        return list(self._session.scalars(query.order_by(*self._keyset.order()).limit(limit)))

    def _keys(self, limit: int) -> Any:
        """The keys of the next `limit` payments by every filter but the text.

        Each status is read by itself along `ix_payments_created`, and their heads are merged.
        """
        if self._filters.order_id is not None:
            return self._bounded(self._select(self._has_status()), limit)
        branches = [self._of_status(status, limit) for status in self._statuses()]
        if self._filters.status in (PaymentStatus.EXPIRED, FAILED):
            branches.append(self._due())
        if len(branches) == 1:
            return branches[0]
        heads = union_all(*branches).subquery()
        keys = select(heads.c.id, heads.c.created_at)
        return keys.order_by(*self._keyset.of(heads).order()).limit(limit)

    def _statuses(self) -> list[str]:
        status = self._filters.status
        if status == FAILED:
            return [str(PaymentStatus.EXPIRED), str(PaymentStatus.CANCELLED)]
        return [str(one) for one in PaymentStatus] if status is None else [status]

    def _select(self, *conditions: Any) -> Select[int, datetime]:
        """Keys of the merchant's payments by order and time, behind the row of the cursor."""
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

    def _bounded(self, query: Any, limit: int) -> Any:
        inner = query.order_by(*self._keyset.order()).limit(limit).subquery()
        return select(inner.c.id, inner.c.created_at)

    def _of_status(self, status: str, limit: int) -> Any:
        query = self._select(Payment.status == status)
        if status == PaymentStatus.PENDING and self._filters.status is not None:
            query = query.where(Payment.expires_at >= self._now)
        return self._bounded(query, limit)

    def _due(self) -> Any:
        """Expired by the clock and not yet written down: what the sweep takes in a second.

        Without order or limit, so that it is read along `ix_payments_due`.
        """
        inner = self._select(self._is_due()).subquery()
        return select(inner.c.id, inner.c.created_at)

    def _is_due(self) -> Any:
        return and_(Payment.status == PaymentStatus.PENDING, Payment.expires_at < self._now)

    def _has_status(self) -> Any:
        """The condition of the status filter, by the clock."""
        status = self._filters.status
        if status is None:
            return literal(True)
        if status == PaymentStatus.PENDING:
            return and_(Payment.status == status, Payment.expires_at >= self._now)
        written = Payment.status.in_(self._statuses())
        if status in (PaymentStatus.EXPIRED, FAILED):
            return or_(written, self._is_due())
        return written


def _cursor_of(payment: Payment) -> str:
    return payment.txid


def _key_of(payment: Payment) -> tuple[datetime, int]:
    return payment.created_at, payment.id
