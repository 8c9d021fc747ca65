"""Pages of a list by its key: a cursor names a row, and no row is read only to be skipped."""

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
"""Every cursor is an id of the wire; other text is not looked up."""


@dataclass(frozen=True)
class Page(Generic[Item]):
    """Items in the order of their list, and the cursor that the list goes on from; None at its end.

    A search that looks at a window of rows may give a short page, even an empty one, that goes on.
    """

    items: Sequence[Item]
    next: str | None


@dataclass(frozen=True)
class Cursor:
    """The row beside which a list goes on: towards the older rows, or towards the newer ones."""

    id: str
    newer: bool = False


class Keyset:
    """The order of a list, and the column whose values are its cursors.

    Rows are ordered by a unique column, or by any other column and then by a unique one.
    """

    def __init__(self, *columns: Any, cursor: Any, descending: bool = True) -> None:
        """Order by one column or two; `cursor` is a unique text column of the same table."""
        self._columns = columns
        self._cursor = cursor
        self._descending = descending

    def reversed(self) -> Keyset:
        """The same list from its other end."""
        return Keyset(*self._columns, cursor=self._cursor, descending=not self._descending)

    def of(self, rows: Any) -> Keyset:
        """The same order over the columns of a subquery."""
        columns = [rows.c[column.key] for column in self._columns]
        return Keyset(*columns, cursor=self._cursor, descending=self._descending)

    def order(self) -> list[Any]:
        """What ORDER BY takes."""
        return [column.desc() if self._descending else column for column in self._columns]

    def beyond(self, key: Sequence[Any]) -> Any:
        """The condition that holds for the rows behind the row with this key."""
        ahead = [
            column < value if self._descending else column > value
            for column, value in zip(self._columns, key, strict=True)
        ]
        if len(ahead) == 1:
            return ahead[0]
        column, value = self._columns[0], key[0]
        # The index is entered by the first half; not every engine enters it by a pair of columns.
        return and_(column <= value if self._descending else column >= value, or_(*ahead))

    def key_of(self, session: Session, cursor: str, *scope: Any) -> Sequence[Any]:
        """The key of the row that a cursor names.

        Raises InvalidCursor unless one of the rows in `scope` (conditions) has this cursor.
        """
        row = None
        if _CURSOR.fullmatch(cursor):
            named = select(*self._columns).where(self._cursor == cursor, *scope)
            row = session.execute(named).one_or_none()
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

        The items are entities where the query selects nothing else, and tuples otherwise. Raises
        InvalidCursor as `key_of` does; with `unknown_is_end` an id that no row has gives an empty
        last page instead, for lists whose rows may be gone by then.
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
        """The cursor and the key of the last row of a full window; None where rows are missing.

        `window` selects the columns of the key; it is full with `size` rows.
        """
        rows = window.subquery()
        unique = self._columns[-1]
        last = select(rows.c[unique.key]).order_by(*self.of(rows).order())
        named = unique == last.offset(size - 1).limit(1).scalar_subquery()
        end = select(self._cursor, *self._columns).where(named)
        return session.execute(end).one_or_none()


def cut(
    items: Sequence[Item], limit: int, cursor_of: Callable[[Item], str], end: str | None = None
) -> Page[Item]:
    """A page of at most `limit` items; `end` is its cursor where no more than those were found."""
    if len(items) <= limit:
        return Page(items, end)
    return Page(items[:limit], cursor_of(items[limit - 1]))
