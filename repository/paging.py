"""Keyset paging: a cursor names a row, and no row is read only to be skipped."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from core import ids
from core.errors import InvalidCursor

Item = TypeVar("Item")

_CURSOR = re.compile(r"[\x21-\x7e]{1,140}")
"""Every cursor is a public id; any other text is refused without a query."""


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Items of a list, and the cursor of the next page; None at the end of the list.

    A search through a window of rows may give a short or empty page that has a next page.
    """

    items: Sequence[Item]
    next: str | None


@dataclass(frozen=True)
class Cursor:
    """The row where a page begins, and the direction: older rows, or newer ones."""

    id: str
    newer: bool = False


class Keyset:
    """The order of a list, and the column that holds its cursors.

    The last column is unique; equal rows of the columns before it follow its order.
    """

    def __init__(self, *columns: Any, cursor: Any, descending: bool = True) -> None:
        """Order by the columns; `cursor` is a unique text column of the same table."""
        self._columns = columns
        self._cursor = cursor
        self._descending = descending

    def reversed(self) -> Keyset:
        """The opposite order."""
        return Keyset(*self._columns, cursor=self._cursor, descending=not self._descending)

    def of(self, rows: Any) -> Keyset:
        """The same order over the columns of a subquery."""
        columns = [rows.c[column.key] for column in self._columns]
        return Keyset(*columns, cursor=self._cursor, descending=self._descending)

    def order(self) -> list[Any]:
        """The columns for ORDER BY."""
        return [column.desc() if self._descending else column for column in self._columns]

    def beyond(self, key: Sequence[Any]) -> Any:
        """The condition for rows that come after the row with this key."""
        column, value = self._columns[0], key[0]
        ahead = column < value if self._descending else column > value
        if len(self._columns) == 1:
            return ahead
        rest = Keyset(*self._columns[1:], cursor=self._cursor, descending=self._descending)
        # The first half lets every engine use the index; not all do so for several columns.
        first = column <= value if self._descending else column >= value
        return and_(first, or_(ahead, rest.beyond(key[1:])))

    def key_of(self, session: Session, cursor: str, *scope: Any) -> Sequence[Any]:
        """The key of the row with this cursor.

        Raises InvalidCursor unless one of the rows in `scope` (conditions) has this cursor.
        """
        row = None
        if _CURSOR.fullmatch(cursor):
            query = select(*self._columns).where(self._cursor == cursor, *scope)
            row = session.execute(query).one_or_none()
        if row is None:
            raise InvalidCursor
        return row

    def page(
        self,
        session: Session,
        query: Any,
        *scope: Any,
        after: str | None,
        limit: int,
        unknown_is_end: bool = False,
    ) -> Page[Any]:
        """A page of a query whose first entity has the cursor's column.

        The items are entities if the query selects one entity, and tuples otherwise. Raises
        InvalidCursor as `key_of` does. With `unknown_is_end` the id of no row gives an empty last
        page instead, for lists whose rows may be deleted.
        """
        if after is not None:
            try:
                key = self.key_of(session, after, *scope)
            except InvalidCursor:
                if unknown_is_end and ids.is_txid(after):
                    return Page([], None)
                raise
            query = query.where(self.beyond(key))
        rows = session.execute(query.order_by(*self.order()).limit(limit + 1)).all()
        items = [row[0] if len(row) == 1 else tuple(row) for row in rows[:limit]]
        is_last = len(rows) <= limit
        return Page(items, None if is_last else getattr(rows[limit - 1][0], self._cursor.key))

    def end_of(self, session: Session, window: Any, size: int) -> Sequence[Any] | None:
        """The cursor and the key of the last row of a full window; None if the window is not full.

        `window` selects the columns of the key; a full window has `size` rows.
        """
        rows = window.subquery()
        unique = self._columns[-1]
        last = select(rows.c[unique.key]).order_by(*self.of(rows).order())
        is_last = unique == last.offset(size - 1).limit(1).scalar_subquery()
        end = select(self._cursor, *self._columns).where(is_last)
        return session.execute(end).one_or_none()


def cut(
    items: Sequence[Item], limit: int, cursor_of: Callable[[Item], str], end: str | None = None
) -> Page[Item]:
    """A page of the first `limit` items; `end` is the cursor if there are no more items."""
    if len(items) <= limit:
        return Page(items, end)
    return Page(items[:limit], cursor_of(items[limit - 1]))
