"""Walks through lists end, and lose nothing, however wrongly a bank counts its pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from providers.api_pix.reading import Paging
from providers.api_pix.windows import PAGES_MAX, WindowPlace, bounds, next_place, parts_of

START = datetime(2026, 11, 30, 10, 0, 0, 400_000, tzinfo=UTC)


def walk(
    pages: list[list[str]], paging: Paging, *, size: int = 2, last_repeats: bool = False
) -> int:
    """How many pages are asked for."""
    place: WindowPlace | None = WindowPlace()
    count = 0
    while place is not None:
        ids = pages[min(place.page, len(pages) - 1)] if last_repeats else pages[place.page]
        count += 1
        place = next_place(place, paging, ids, count=len(ids), page_size=2, parts=1)
        place = None if place is None else WindowPlace.of(str(place))
    return count


@pytest.mark.parametrize(
    ("paging", "requests"),
    [
        (Paging(3, 5, 2), 3),
        (Paging(None, 5, 2), 3),
        (Paging(1, 5, 2), 3),
        (Paging(3, None, None), 3),
        (Paging(None, None, None), 4),
        (Paging(1, 5, 100), 3),
        (Paging(99, None, None), 4),
    ],
)
def test_all_pages_are_read_however_they_are_counted(paging: Paging, requests: int):
    assert walk([["a", "b"], ["c", "d"], ["e"], []], paging) == requests


def test_a_full_last_page_costs_one_more_request():
    assert walk([["a", "b"], []], Paging(None, None, None)) == 2
    assert walk([["a", "b"], []], Paging(1, 2, 2)) == 2
    assert walk([["a"], []], Paging(1, 1, 2)) == 1


def test_pages_beyond_counts_that_are_too_low_are_read():
    """Both counts may be wrong at once; a full page is the sign that there is more."""
    pages = [["a", "b"], ["c", "d"], ["e"], []]
    assert walk(pages, Paging(1, 2, 2)) == 3
    assert walk(pages, Paging(1, 1, 2)) == 3
    place = next_place(WindowPlace(), Paging(1, 2, 2), ["a", "b"], count=2, page_size=2, parts=1)
    assert place is not None
    assert place.is_beyond
    assert WindowPlace.of(str(place)) == place


def test_a_bank_that_ignores_the_number_of_the_page_comes_to_an_end():
    assert walk([["a", "b"]], Paging(900, 1800, 2), last_repeats=True) == 2


def test_a_bank_that_always_has_another_page_comes_to_an_end():
    pages = [[f"{number}a", f"{number}b"] for number in range(PAGES_MAX + 5)]
    assert walk(pages, Paging(10**9, 10**9, 2)) == PAGES_MAX


def test_a_long_window_is_read_in_parts_that_overlap():
    end = START + timedelta(days=2, hours=3)
    assert parts_of(START, end, 4.0) == 3
    assert parts_of(START, START + timedelta(days=1), 4.0) == 1
    windows = [bounds(START, end, WindowPlace(part), window_days=4.0) for part in range(3)]
    assert windows[0][0] <= START
    assert windows[-1][1] >= end
    for (_, first_end), (second_start, _) in pairwise(windows):
        assert second_start <= first_end
    assert all(at.microsecond == 0 for window in windows for at in window)
    place = next_place(WindowPlace(), Paging(1, 0, 2), [], count=0, page_size=2, parts=3)
    assert place == WindowPlace(1)


def test_a_part_fits_into_the_shortest_window_of_a_bank():
    start, end = bounds(START, START + timedelta(days=1), WindowPlace(), window_days=0.5)
    assert end - start <= timedelta(hours=12)


def test_the_bank_s_clock_moves_the_window():
    offset = timedelta(hours=3)
    place = WindowPlace(shift_seconds=3 * 3600)
    start, end = bounds(START, START + timedelta(minutes=1), place, window_days=4.0)
    assert start <= START + offset
    assert end >= START + timedelta(minutes=1) + offset


def test_all_pages_and_parts_of_a_window_are_shifted_alike():
    first = WindowPlace(shift_seconds=-10_800)
    second = next_place(first, Paging(2, 4, 2), ["a", "b"], count=2, page_size=2, parts=2)
    assert second is not None
    assert WindowPlace.of(str(second)).shift_seconds == -10_800
    last = next_place(second, Paging(2, 3, 2), ["c"], count=1, page_size=2, parts=2)
    assert last == WindowPlace(1, shift_seconds=-10_800)


@pytest.mark.parametrize("cursor", ["", "x", "1.2.3", "1.2.3.zz", "9999999.1.1.", "-1.0.0."])
def test_a_wrong_cursor_is_refused(cursor: str):
    with pytest.raises(ValueError, match="not a cursor"):
        WindowPlace.of(cursor)
