"""Reconciliation: ask the bank regularly for payments whose notification was lost.

Each run reads the bank's list of settled transfers, window by window. Then it looks up single
payments that are pending or have just expired, at growing intervals. Both settle payments by
`service.confirm`. The list also brings money for static codes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from core.errors import ConcurrentUpdate
from payments import lifecycle, look_ups, traces
from payments.service import CLOCK_SKEW
from providers.port import BankMoney, MoneyPage, ProviderAway, SigningBank
from repository.database import Work, in_unit_of_work, now, reading
from repository.reconciliations import Mark, UnpaidPayment

log = structlog.get_logger()

LIST, TEST_LIST = "settled", "settled-test"
"""The marks of the two lists, each with its lease: of the test bank, and of any other."""
LEASE = timedelta(seconds=30)
"""The lease: how long one process may run alone. After a crash the next run waits this long."""
IN_FLIGHT = timedelta(seconds=5)
"""The list is read up to this long ago: the notification of a newer transfer may be on its way,
and the bank returns the money if a notification gets a 4xx."""
OVERLAP = CLOCK_SKEW
"""How far a window overlaps the window before, because a bank's clock may be slow."""
WINDOW_MAX = timedelta(days=1)
FIRST_WINDOW = timedelta(hours=1)
PAGES_MAX = 200
LOOK_UPS_MAX = 50
PART_SECONDS = 5.0
"""How long each of the two parts may send new requests, so that both end within the lease."""
UNANSWERED_MAX = 2
"""This many failed requests in a row end a run: the bank is unavailable."""


@dataclass
class Reconciler:
    """One process's reconciliation with one bank. Any number of processes may run it: one holds
    the lease.

    The first run after a start takes the lease by force: its holder may have been killed.
    """

    bank: SigningBank
    interval: timedelta
    started: bool = False

    def run(self, keep_going: Callable[[], bool] = lambda: True) -> int:
        """Read the list and look up payments; returns how many payments were settled.

        A no-op if another process holds the lease. Raises DatabaseUnavailable and ConcurrentUpdate.
        """
        started_at = now()
        # Before the first run no notification was answered, so no notification is on its way.
        goal = started_at - IN_FLIGHT if self.started else started_at
        mark = self._acquire_lease(started_at)
        if mark is None:
            return 0
        new_mark, settled = _read_list(self.bank, mark, goal, keep_going)
        settled += _look_up_payments(self.bank, keep_going)
        # The lease ends a little before this process's next run, so that the run can acquire it.
        next_run = started_at + self.interval * 0.9
        in_unit_of_work(lambda work: work.reconciliations.release(self._list, new_mark, next_run))
        if settled:
            log.info("reconciliation.settled", payments=settled, is_test=self.bank.is_test)
        return settled

    @property
    def _list(self) -> str:
        return TEST_LIST if self.bank.is_test else LIST

    def _acquire_lease(self, at: datetime) -> Mark | None:
        by_force = not self.started

        def take(work: Work) -> Mark | None:
            first = at - FIRST_WINDOW
            until = at + LEASE
            return work.reconciliations.acquire(self._list, at, until, first, by_force=by_force)

        mark = in_unit_of_work(take)
        self.started = True
        return mark


def _read_list(
    bank: SigningBank, mark: Mark, goal: datetime, keep_going: Callable[[], bool]
) -> tuple[Mark, int]:
    """Read pages up to `goal` or the limits of one run; returns the new mark and the settled count.

    Stops at the last page that was read if the bank does not answer.
    """
    deadline = time.monotonic() + PART_SECONDS
    settled = 0
    for _ in range(PAGES_MAX):
        # If the clock was set back, the mark lies after the goal: read the overlap alone.
        end = mark.window_to or max(min(goal, mark.walked_to + WINDOW_MAX), mark.walked_to)
        mark = replace(mark, window_to=end)
        try:
            start = min(mark.walked_to, goal) - OVERLAP
            page = bank.money_page(start, end, mark.cursor)
        except ProviderAway as error:
            if error.http_status is not None and error.http_status < 500:
                mark = replace(
                    mark, cursor=None
                )  # The bank may refuse the cursor: restart the window.
            break
        settled += _settle_page(bank, page)
        if page.next is not None:
            mark = replace(mark, cursor=page.next)
        else:
            mark = replace(mark, walked_to=end, window_to=None, cursor=None)
            if end >= goal:
                break
        if time.monotonic() > deadline or not keep_going():
            break
    return mark, settled


def _settle_page(bank: SigningBank, page: MoneyPage) -> int:
    """Settle what on the page is ours and has no receipt yet; returns how many were settled."""
    if not page.money:
        return 0
    targets = [_target(one) for one in page.money]
    with reading() as work:
        new_ids = work.reconciliations.without_receipt(targets, bank.half)
    return _settle_all(bank, (one for one in page.money if one.end_to_end_id in new_ids))


def _target(money: BankMoney) -> tuple[str | None, str | None, str]:
    """The payment's id, else the payee's key; and the id of the money."""
    return money.txid, money.pix_key if money.txid is None else None, money.end_to_end_id


def _settle_all(bank: SigningBank, transfers: Iterable[BankMoney]) -> int:
    settled = 0
    for money in transfers:
        try:
            outcome = look_ups.settle(money, is_test=bank.is_test)
        except ConcurrentUpdate:
            continue  # The next window or look-up brings this transfer again.
        if outcome is not None and outcome.refusal is None and not outcome.duplicate:
            settled += 1
    return settled


def _look_up_payments(bank: SigningBank, keep_going: Callable[[], bool]) -> int:
    """Look up the payments whose look-up is due, one by one; returns how many were settled."""
    with reading() as work:
        # Payments that the sweep is about to announce as expired come first.
        queries, at, most = work.reconciliations, work.now, LOOK_UPS_MAX
        payments = {one.id: one for one in queries.about_to_expire(at, most, bank.half)}
        due_payments = [
            *queries.due_look_ups(at, lifecycle.LOOK_UP_PAUSE_MAX, most, bank.half),
            *queries.from_future(at, lifecycle.LOOK_UP_AFTER, most, bank.half),
        ]
    payments |= {one.id: one for one in due_payments}
    deadline = time.monotonic() + PART_SECONDS
    next_look_ups: dict[int, datetime | None] = {}
    settled = unanswered = 0
    for payment in list(payments.values())[:LOOK_UPS_MAX]:
        if time.monotonic() > deadline or unanswered >= UNANSWERED_MAX or not keep_going():
            break
        try:
            settled += _look_up(bank, payment)
            unanswered = 0
        except ProviderAway:
            unanswered += 1
        # Also after a failure, so that one payment that the bank cannot answer delays no other.
        next_look_ups[payment.id] = lifecycle.next_look_up(
            payment.created_at, payment.expires_at, now()
        )
    in_unit_of_work(lambda work: work.reconciliations.schedule_look_ups(next_look_ups))
    return settled


def _look_up(bank: SigningBank, payment: UnpaidPayment) -> int:
    """Look up one payment; returns 1 if that settled it, else 0. Raises ProviderAway."""
    if not look_ups.may_look_up(payment.txid):
        return 0
    transfers = bank.money_of(payment.txid)
    traces.record_look_up(payment.txid)
    return _settle_all(bank, transfers)
