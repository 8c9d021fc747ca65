"""Visit the accounts at real banks at which something is due, side by side.

Each account is visited by one process at a time, which holds its lease. A bank that is away or slow
delays nobody else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import structlog
from flask import Flask

from config import parts_of
from core.errors import BalcaoError
from payments import lifecycle
from payments.at_bank import callback_checks, late_returns
from payments.at_bank.visiting import Visit, is_listed
from payments.at_bank.walking import WALKS, is_due
from repository.database import reading

log = structlog.get_logger()

AT_ONCE = 8
"""Accounts that one process visits at once."""
SLOW_CHECKS_SECONDS = 15.0
"""How often a process looks which lists are due, and measures."""


class MoneyWatch:
    """One process's visits to the accounts. Any number of processes may run it."""

    def __init__(self, app: Flask, keep_going: Callable[[], bool] = lambda: True) -> None:
        """No visit is running yet."""
        self._app = app
        self._keep_going = keep_going
        self._lock = threading.Lock()
        self._under_way: set[int] = set()
        self._visited_at: dict[int, float] = {}
        self._unreleased: set[int] = set()
        """Accounts whose leases this process may hold without a visit, as its database was away."""
        self._slow_check_at = float("-inf")
        self._with_due_walks: frozenset[int] = frozenset()

    def run(self) -> int:
        """Begin the visits that are due, in the background; returns how many."""
        due_ids = self._due_accounts()
        # The account that waits longest comes first, so that slow banks cannot hold all places.
        ordered = sorted(due_ids, key=lambda one: self._visited_at.get(one, float("-inf")))
        return sum(self._begin(account_id) for account_id in ordered)

    def join(self, seconds: float) -> bool:
        """Wait for the visits that are under way; False if they have not ended in time."""
        deadline = time.monotonic() + seconds
        while self._under_way and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self._under_way

    def visit(self, account_id: int) -> bool:
        """Visit one account now; False if another process does, or if it rests."""
        is_first = account_id not in self._visited_at
        self._visited_at[account_id] = time.monotonic()
        by_force = is_first or account_id in self._unreleased
        self._unreleased.add(account_id)
        visit = Visit.begin(account_id, by_force=by_force, keep_going=self._keep_going)
        if visit is None:
            self._unreleased.discard(account_id)
            return False
        try:
            visit.run(is_first=is_first)
        finally:
            if visit.is_released:
                self._unreleased.discard(account_id)
        if visit.is_complete:
            self._with_due_walks -= {account_id}
        else:
            self._with_due_walks |= {account_id}
        return True

    @property
    def unfinished(self) -> frozenset[int]:
        """The accounts whose lists were not read to the end, or are due."""
        return self._with_due_walks

    def _due_accounts(self) -> frozenset[int]:
        if time.monotonic() >= self._slow_check_at + SLOW_CHECKS_SECONDS:
            self._slow_check_at = time.monotonic()
            self._with_due_walks = self._find_due_walks()
            self._measure()
        with reading() as work:
            due_ids = work.provider_money.accounts_with_due_work(
                work.now, lifecycle.LOOK_UP_PAUSE_MAX
            )
        return due_ids | self._with_due_walks

    def _find_due_walks(self) -> frozenset[int]:
        with reading() as work:
            accounts = [one for one in work.provider_accounts.all() if is_listed(one, work.now)]
            names = [walk.row_of(one.id) for one in accounts for walk in WALKS]
            names += [late_returns.row_of(one.id) for one in accounts]
            marks = work.provider_money.walk_marks(names)
            moment = work.now
        return frozenset(
            one.id
            for one in accounts
            if one.id not in self._visited_at
            or callback_checks.is_check_due(one, moment)
            or any(is_due(walk, marks.get(walk.row_of(one.id)), moment) for walk in WALKS)
            or late_returns.is_mark_due(marks.get(late_returns.row_of(one.id)), moment)
        )

    def _measure(self) -> None:
        with reading() as work:
            unknown = work.provider_money.unknown_charges(work.now - timedelta(minutes=1))
            misfits = work.provider_money.open_misfits()
        metrics = parts_of(self._app).metrics.money
        metrics.unknown_charges.set(unknown)
        metrics.misfits.set(misfits)

    def _begin(self, account_id: int) -> bool:
        with self._lock:
            if account_id in self._under_way or len(self._under_way) >= AT_ONCE:
                return False
            self._under_way.add(account_id)
        thread = threading.Thread(target=self._work, args=(account_id,), daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no thread: the next run tries again
            self._under_way.discard(account_id)
            return False
        return True

    def _work(self, account_id: int) -> None:
        try:
            with self._app.app_context():
                self.visit(account_id)
        except BalcaoError as error:
            log.warning("provider.visit_postponed", account=account_id, code=error.code)
        except Exception:
            log.exception("provider.visit_failed", account=account_id)
        finally:
            with self._lock:
                self._under_way.discard(account_id)
