"""Read the Pix of the last 90 days from which money went back, once a day and little by little.

A bank returns money by itself (MED) up to 90 days after its Pix, and its callback may never come.
The lists of money are read for a day after a Pix alone, so an older return is on none of them.

A pass reads window after window, a few pages a minute, so that it takes nothing from what is more
urgent. Its mark is stored, so the next visit goes on, also in another process. Where the bank has
no filter for returns, all its Pix are read at the same low rate.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from payments.at_bank import lists
from payments.at_bank.booking import Way
from payments.at_bank.turns import in_turn
from payments.at_bank.walking import DAY
from providers.port import AccountRefusal, Provider, ProviderRefusal
from repository.database import Work, in_unit_of_work, now, reading
from repository.reconciliations import Mark, list_of_account

log = structlog.get_logger()

INTERVAL = timedelta(hours=24)
"""From the end of a pass to the beginning of the next one."""
PAGES_AT_ONCE = 5
PAUSE = timedelta(minutes=1)
"""Between two parts of a pass, each of PAGES_AT_ONCE pages: 7,200 pages a day at most."""
OVERLAP = timedelta(minutes=10)
STEP = timedelta(days=1) - OVERLAP
"""How far a window goes beyond the one before; with the overlap it is a day."""


@dataclass(frozen=True)
class _Span:
    """From when to when a pass reads."""

    start: datetime
    end: datetime


def row_of(account_id: int) -> str:
    """The name of the pass's row in `reconciliations`."""
    return list_of_account("returns", account_id)


def is_due(account_id: int) -> bool:
    """Whether a pass should begin or go on."""
    with reading() as work:
        mark = work.provider_money.walk_marks([row_of(account_id)]).get(row_of(account_id))
        return is_mark_due(mark, work.now)


def is_mark_due(mark: Mark | None, moment: datetime) -> bool:
    """Whether the mark's rest is over; a rest from before the clock was set back is."""
    return mark is None or not moment < mark.held_until <= moment + 2 * INTERVAL


def read(provider: Provider, account_id: int, goes_on: Callable[[], bool]) -> bool:
    """Read the next pages while `goes_on`; the caller holds the account's lease.

    True if the bank answered. Raises ProviderAway and AccountRefusal; what was read until then is
    booked and marked.
    """
    moment = now()
    begun_at, mark = in_unit_of_work(partial(_begin, account_id))
    oldest = max(begun_at, moment - provider.returns_listed_for())
    span = _Span(oldest, moment - DAY.interval)
    rest, pages = PAUSE, 0
    try:
        while pages < PAGES_AT_ONCE and goes_on():
            if mark.window_to is None and max(mark.walked_to, span.start) >= span.end:
                mark = replace(mark, walked_to=begun_at)
                rest = INTERVAL * random.uniform(0.95, 1.0)  # noqa: S311
                break
            mark = _read_page(provider, account_id, span, mark, goes_on)
            pages += 1
    finally:
        in_unit_of_work(partial(_store, row_of(account_id), mark, moment + rest))
    return pages > 0


def _read_page(
    provider: Provider, account_id: int, span: _Span, mark: Mark, goes_on: Callable[[], bool]
) -> Mark:
    """Read one page and book what is on it; returns how far the pass is then."""
    is_begun = mark.window_to is not None
    start = mark.walked_to if is_begun else max(mark.walked_to, span.start)
    end = mark.window_to or min(start + STEP, span.end)
    following = replace(mark, walked_to=end, window_to=None, cursor=None)
    ask = partial(provider.returned_page, start - OVERLAP, end, mark.cursor)
    try:
        page = in_turn(ask, goes_on)
    except AccountRefusal:
        raise
    except ProviderRefusal as refusal:
        # Some banks list no such old days: the younger ones are read nevertheless.
        log.warning(
            "provider.old_list_refused", account=account_id, code=refusal.code, since=str(start)
        )
        return following
    lists.book_page(account_id, page.money, Way.WINDOW)
    if page.next is not None and page.next != mark.cursor:
        return replace(mark, walked_to=start, window_to=end, cursor=page.next)
    return following


def _begin(account_id: int, work: Work) -> tuple[datetime, Mark]:
    """Since when money of this bank account is stored, and how far the pass is."""
    accounts = [work.provider_accounts.find(one) for one in _entry_ids(account_id, work)]
    begun_at = min((one.created_at for one in accounts if one is not None), default=work.now)
    name = row_of(account_id)
    mark = work.reconciliations.acquire(name, work.now, work.now, begun_at, by_force=True)
    return begun_at, mark or Mark(begun_at, None, None, work.now)


def _entry_ids(account_id: int, work: Work) -> list[int]:
    return sorted(work.provider_accounts.entries_like(account_id))


def _store(name: str, mark: Mark, not_before: datetime, work: Work) -> None:
    work.reconciliations.release(name, mark, not_before)
