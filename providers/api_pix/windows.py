"""Windows and pages of the lists of API Pix, with cursors that need no memory."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from providers.api_pix.profiles import AccountProfile
from providers.api_pix.reading import Paging

PAGES_MAX = 2_000
"""Of one window: a bank that always has another page must come to an end."""
DAY = timedelta(days=1)

_CURSOR = re.compile(
    r"(\d{1,6})\.(\d{1,6})\.(\d{1,9})\.([0-9a-f]{0,16})(?:\.(-?\d{1,6}))?(\.beyond)?", re.ASCII
)


@dataclass(frozen=True)
class WindowPlace:
    """Where a walk through a window stands."""

    part: int = 0
    """The part of the window, from 0: banks limit how long a window may be."""
    page: int = 0
    items: int = 0
    """How many items the pages before had."""
    before: str = ""
    """The fingerprint of the page before, to notice a bank that ignores the page's number."""
    shift_seconds: int = 0
    """How far the window is shifted, the same for all its pages: else some Pix are on none."""
    is_beyond: bool = False
    """Whether the page lies beyond all that the bank has counted: it may refuse such a page."""

    @classmethod
    def of(cls, cursor: str | None) -> WindowPlace:
        """The place of a cursor. Raises ValueError."""
        if cursor is None:
            return cls()
        match = _CURSOR.fullmatch(cursor)
        if match is None:
            raise ValueError("this is not a cursor of a list")
        numbers = (int(match[1]), int(match[2]), int(match[3]))
        return cls(*numbers, match[4], int(match[5] or 0), match[6] is not None)

    def __str__(self) -> str:
        text = f"{self.part}.{self.page}.{self.items}.{self.before}.{self.shift_seconds}"
        return text + ".beyond" if self.is_beyond else text


def bounds(
    start: datetime, end: datetime, place: WindowPlace, *, window_days: float
) -> tuple[datetime, datetime]:
    """The part of the window at this place, by the bank's clock, in whole seconds around it."""
    step = _step(window_days)
    first = start + place.part * step
    last = min(first + step, end)
    offset = timedelta(seconds=place.shift_seconds)
    return _whole(first + offset), _whole(last + offset + timedelta(seconds=1) - _TICK)


def next_place(
    place: WindowPlace,
    paging: Paging,
    ids: Iterable[str],
    *,
    count: int,
    page_size: int,
    parts: int,
) -> WindowPlace | None:
    """Where the walk goes on after a page of `count` items; None at the end of the window."""
    fingerprint = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
    is_repeated = place.page > 0 and fingerprint == place.before
    if count and not is_repeated and place.page + 1 < PAGES_MAX:
        # Some banks count wrongly, or not at all, or give less than was asked for. A request too
        # many costs little, and a page too few loses money: a full page is never believed to be
        # the last one.
        number, items = place.page + 1, place.items + count
        is_counted = paging.pages is not None and number < paging.pages
        is_left = paging.items is not None and items < paging.items
        is_promised = is_counted or is_left
        if is_promised or count >= page_size or paging.is_unknown:
            is_beyond = not is_promised and not paging.is_unknown
            return replace(place, page=number, items=items, before=fingerprint, is_beyond=is_beyond)
    if place.part + 1 < parts:
        return WindowPlace(place.part + 1, shift_seconds=place.shift_seconds)
    return None


def parts_of(start: datetime, end: datetime, window_days: float) -> int:
    """In how many parts the window is read."""
    return max(1, -(-(end - start) // _step(window_days)))


def list_query(
    profile: AccountProfile, window: tuple[datetime, datetime], page: int
) -> dict[str, str]:
    """The query of a list, by the bank's habits."""
    start, end = (_written(at, has_milliseconds=profile.ms_in_query) for at in window)
    query = {"inicio": start, "fim": end, "paginacao.paginaAtual": str(page)}
    if profile.sends_page_size:
        query["paginacao.itensPorPagina"] = str(profile.page_size)
    return query


def _written(moment: datetime, *, has_milliseconds: bool) -> str:
    """An instant of a query: UTC with `Z`, as an offset's `+` is lost at some banks."""
    utc = moment.astimezone(UTC)
    return utc.strftime("%Y-%m-%dT%H:%M:%S") + (".000Z" if has_milliseconds else "Z")


_TICK = timedelta(microseconds=1)


def _step(window_days: float) -> timedelta:
    """How long a part is: whole seconds around it must still fit into the bank's window."""
    return min(DAY, timedelta(days=window_days) - timedelta(seconds=2))


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
