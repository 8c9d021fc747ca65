"""Read a bank's list of Pix from a mark to the present: window by window, page by page.

One walk follows its mark every hour, and after a stop. Another covers the last 25 hours once a day,
because a bank may list a Pix late. Both go on where they ended, also in another process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from payments.at_bank import lists
from payments.at_bank.booking import Way
from payments.at_bank.turns import in_turn
from providers.port import AccountRefusal, Provider, ProviderRefusal
from repository.database import Work, in_unit_of_work, now
from repository.reconciliations import DAY_LIST, NEAR_LIST, Mark, list_of_account

log = structlog.get_logger()


@dataclass(frozen=True)
class Walk:
    """A list of Pix that is read again and again, from a mark to the present."""

    name: str
    interval: timedelta
    overlap: timedelta
    step_max: timedelta = timedelta(hours=22)
    """How far one window goes beyond the mark; with the overlap it is less than a day."""

    def row_of(self, account_id: int) -> str:
        """The name of its row in `reconciliations`."""
        return list_of_account(self.name, account_id)


NEAR = Walk(NEAR_LIST, timedelta(hours=1), timedelta(minutes=10))
DAY = Walk(DAY_LIST, timedelta(hours=24), timedelta(hours=1))
WALKS = (NEAR, DAY)
REST_MAX = timedelta(hours=1)
"""Longer than any list rests."""


@dataclass(frozen=True)
class WalkReport:
    """How far a walk came."""

    is_complete: bool
    """Whether it has reached the present; if not, the next one goes on."""
    news: int
    """How many Pix were booked for the first time."""
    refusal: str | None = None
    """The code if the bank has refused the list."""


def is_due(walk: Walk, mark: Mark | None, moment: datetime) -> bool:
    """Whether the list should be read again, by its stored mark; None for never."""
    if rests(mark, moment):
        return False
    return mark is None or abs(moment - mark.walked_to) >= walk.interval


def rests(mark: Mark | None, moment: datetime) -> bool:
    """Whether the list is left alone, because the bank has refused it.

    A rest from before the clock was set back counts as over.
    """
    return mark is not None and moment < mark.held_until <= moment + REST_MAX


def walk_list(
    provider: Provider,
    account_id: int,
    walk: Walk,
    way: Way,
    goes_on: Callable[[], bool],
    refusal_pause: timedelta,
) -> WalkReport:
    """Read the list while `goes_on`; the caller holds the account's lease.

    If the bank refuses it, the list rests for `refusal_pause`. Raises ProviderAway and
    AccountRefusal; what was read until then is booked and marked.
    """
    goal = now()
    mark = in_unit_of_work(partial(_mark_of, walk, account_id))
    news, rest = 0, timedelta(0)
    try:
        while goes_on():
            # If the clock was set back, the mark lies after the goal: read the overlap alone.
            latest = max(min(goal, mark.walked_to + walk.step_max), mark.walked_to)
            end = mark.window_to or latest
            start = min(mark.walked_to, goal) - walk.overlap
            mark = replace(mark, window_to=end)
            try:
                page = in_turn(partial(provider.money_page, start, end, mark.cursor), goes_on)
            except AccountRefusal:
                raise
            except ProviderRefusal as refusal:
                # The bank may refuse the cursor: the next walk begins the window anew.
                mark, rest = replace(mark, cursor=None), refusal_pause
                log.warning("provider.list_refused", account=account_id, code=refusal.code)
                return WalkReport(False, news, refusal.code)
            news += lists.book_page(account_id, page.money, way)
            if page.next is not None and page.next != mark.cursor:
                mark = replace(mark, cursor=page.next)
                continue
            mark = replace(mark, walked_to=end, window_to=None, cursor=None)
            if end >= goal:
                return WalkReport(True, news)
        return WalkReport(False, news)
    finally:
        in_unit_of_work(partial(_store_mark, walk.row_of(account_id), mark, rest))


def _mark_of(walk: Walk, account_id: int, work: Work) -> Mark:
    """How far the list was read; that of a new account begins with the account."""
    account = work.provider_accounts.find(account_id)
    begun_at = account.created_at if account is not None else work.now
    first = max(begun_at, work.now - walk.interval)
    name = walk.row_of(account_id)
    mark = work.reconciliations.acquire(name, work.now, work.now, first, by_force=True)
    return mark or Mark(first, None, None, work.now)


def _store_mark(name: str, mark: Mark, rest: timedelta, work: Work) -> None:
    work.reconciliations.release(name, mark, mark.held_until + rest)
