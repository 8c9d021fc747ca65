"""Reconciliation: finding the money whose notice never arrived, by asking the bank regularly.

A list of what the bank settled is walked window by window; beside it single payments that wait, or
have just expired, are asked about, ever more rarely. Either settles by `service.confirm`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from core.errors import ConcurrentUpdate
from payments import bank_client, lifecycle, traces
from payments.bank_client import BankUnanswering, SettledPage
from payments.service import CLOCK_SKEW
from repository.database import Work, in_unit_of_work, now, reading
from repository.reconciliations import Mark, UnpaidPayment

log = structlog.get_logger()

LIST = "settled"
TURN = timedelta(seconds=30)
"""How long one process walks at most; after a crash the next one begins so much later."""
IN_FLIGHT = timedelta(seconds=5)
"""How old money is before the list is asked about it: its notice may be under way, and a bank that
is answered 4xx in that moment gives the money back."""
OVERLAP = CLOCK_SKEW
"""How far each window reaches back into the one before: a bank's clock may be behind by that."""
WINDOW_MAX = timedelta(days=1)
FIRST_WINDOW = timedelta(hours=1)
PAGES_MAX = 200
LOOK_UPS_MAX = 50
PART_SECONDS = 5.0
"""How long walking, and asking, each may begin new questions; together they end within the turn."""
UNANSWERED_MAX = 2
"""So many questions in a row without an answer end a run: the bank is away."""


@dataclass
class Reconciler:
    """One process's reconciliation. Any number may exist: a conditional update decides whose turn.

    The first run after a start waits for no turn: whoever had it may have died with it.
    """

    interval: timedelta
    started: bool = False

    def run(self, keep_going: Callable[[], bool] = lambda: True) -> int:
        """Walk and ask, within its turn; gives how many payments were settled.

        Raises DatabaseUnavailable and ConcurrentUpdate.
        """
        begun = now()
        # While nobody served, no notice was answered: after a start there is none to wait for.
        goal = begun - IN_FLIGHT if self.started else begun
        mark = self._take(begun)
        if mark is None:
            return 0
        walked, settled = _walk(mark, goal, keep_going)
        settled += _ask_about_waiting(keep_going)
        # A little sooner than the interval: one's own next run must not come just too early.
        again = begun + self.interval * 0.9
        in_unit_of_work(lambda work: work.reconciliations.release(LIST, walked, again))
        if settled:
            log.info("reconciliation.settled", payments=settled)
        return settled

    def _take(self, begun: datetime) -> Mark | None:
        by_force = not self.started

        def take(work: Work) -> Mark | None:
            first = begun - FIRST_WINDOW
            return work.reconciliations.acquire(LIST, begun, begun + TURN, first, by_force=by_force)

        mark = in_unit_of_work(take)
        self.started = True
        return mark


def _walk(mark: Mark, goal: datetime, keep_going: Callable[[], bool]) -> tuple[Mark, int]:
    """Read pages up to `goal`, or until it is enough for one run; gives how far it got.

    A bank that does not answer ends the walk where it stands.
    """
    until = time.monotonic() + PART_SECONDS
    settled = 0
    for _ in range(PAGES_MAX):
        # A clock that was set back leaves the mark ahead of the goal: then the overlap is read.
        end = mark.window_to or max(min(goal, mark.walked_to + WINDOW_MAX), mark.walked_to)
        mark = replace(mark, window_to=end)
        try:
            start = min(mark.walked_to, goal) - OVERLAP
            page = bank_client.settled_between(start, end, mark.cursor)
        except BankUnanswering as error:
            if error.answered is not None and error.answered < 500:
                mark = replace(mark, cursor=None)  # it knows the place no more: the window anew
            break
        settled += _settle_page(page)
        if page.next is not None:
            mark = replace(mark, cursor=page.next)
        else:
            mark = replace(mark, walked_to=end, window_to=None, cursor=None)
            if end >= goal:
                break
        if time.monotonic() > until or not keep_going():
            break
    return mark, settled


def _settle_page(page: SettledPage) -> int:
    """Settle what is for payments of ours and has no receipt yet; gives how many were settled."""
    if not page.told:
        return 0
    transfers = [(told.bank_payment_id, told.end_to_end_id or "") for told in page.told]
    with reading() as work:
        missing = work.reconciliations.without_receipt(transfers)
    settled = 0
    for told in page.told:
        if (told.bank_payment_id, told.end_to_end_id) not in missing:
            continue
        try:
            outcome = bank_client.settle(told)
        except ConcurrentUpdate:
            continue  # somebody else is at it; the next window reaches back here
        if outcome is not None and outcome.refusal is None and not outcome.duplicate:
            settled += 1
    return settled


def _ask_about_waiting(keep_going: Callable[[], bool]) -> int:
    """Ask about payments whose look-up is due, one by one; gives how many were settled."""
    with reading() as work:
        # What the sweep is about to announce comes first.
        waiting = {
            one.id: one for one in work.reconciliations.about_to_expire(work.now, LOOK_UPS_MAX)
        }
        due = work.reconciliations.due_look_ups(work.now, LOOK_UPS_MAX)
    waiting |= {one.id: one for one in due}
    until = time.monotonic() + PART_SECONDS
    next_time: dict[int, datetime | None] = {}
    settled = unanswered = 0
    for one in list(waiting.values())[:LOOK_UPS_MAX]:
        if time.monotonic() > until or unanswered >= UNANSWERED_MAX or not keep_going():
            break
        try:
            settled += _ask(one)
            unanswered = 0
        except BankUnanswering:
            unanswered += 1
        # Also where no answer came: one payment the bank chokes on must not hold up the others.
        next_time[one.id] = lifecycle.next_look_up(one.created_at, one.expires_at, now())
    in_unit_of_work(lambda work: work.reconciliations.schedule_look_ups(next_time))
    return settled


def _ask(one: UnpaidPayment) -> int:
    """Ask about one payment; gives whether that settled it. Raises BankUnanswering."""
    if not bank_client.may_ask(one.txid):
        return 0
    held = bank_client.held_for(one.txid)
    traces.note_asked(one.txid)
    settled = 0
    for told in held:
        try:
            outcome = bank_client.settle(told)
        except ConcurrentUpdate:
            continue
        if outcome is not None and outcome.refusal is None and not outcome.duplicate:
            settled += 1
    return settled
