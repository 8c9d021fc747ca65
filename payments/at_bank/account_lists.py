"""Read the lists of one account that are due, during a visit that holds the account's lease.

A list that the bank refuses rests for minutes, up to half an hour, while single charges are asked
about as before; the account shows the fault until the list is read again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from core.runtime.throttle import Throttle
from db_models import ProviderAccount
from payments.at_bank import health, late_returns
from payments.at_bank.booking import Way
from payments.at_bank.walking import DAY, NEAR, WALKS, Walk, WalkReport, is_due, rests, walk_list
from providers.callbacks import NONE_CAME
from providers.port import Provider
from repository.database import in_unit_of_work, reading

WANTED_SECONDS = 60.0
"""The shortest pause between two lists that callbacks want."""
REFUSAL_PAUSE, REFUSAL_PAUSE_MAX = timedelta(minutes=1), timedelta(minutes=30)
"""How long a list rests that the bank refuses: it doubles with each refusal, give or take a
quarter."""

WANTED_LISTS = Throttle(WANTED_SECONDS)


class AccountLists:
    """The lists of one account, in one visit."""

    def __init__(
        self, provider: Provider, account: ProviderAccount, goes_on: Callable[[], bool]
    ) -> None:
        """Nothing was read yet."""
        self._provider = provider
        self._account = account
        self._goes_on = goes_on
        self.is_complete = True
        """Whether no list is left half read."""
        self.has_answer = False

    def read_due(self, *, is_first: bool) -> None:
        """Read what is due. Raises ProviderAway and AccountRefusal."""
        account = self._account
        with reading() as work:
            marks = work.provider_money.walk_marks([walk.row_of(account.id) for walk in WALKS])
            moment = work.now
        near, day = (marks.get(walk.row_of(account.id)) for walk in WALKS)
        wanted_at = account.window_wanted_at
        is_wanted = wanted_at is not None and not rests(near, moment)
        if wanted_at is not None and is_wanted and WANTED_LISTS.allow(str(account.id)):
            self._walk_wanted(wanted_at)
        elif is_first or is_due(NEAR, near, moment):
            self.walk(NEAR, Way.WINDOW)
        if is_due(DAY, day, moment):
            self.walk(DAY, Way.WINDOW)
        if late_returns.is_due(account.id):
            self.has_answer |= late_returns.read(self._provider, account.id, self._goes_on)

    def walk(self, walk: Walk, way: Way) -> WalkReport:
        """Read one list, unless it rests. Raises ProviderAway and AccountRefusal."""
        account_id, row = self._account.id, walk.row_of(self._account.id)
        with reading() as work:
            mark = work.provider_money.walk_marks([row]).get(row)
            moment = work.now
        if rests(mark, moment):
            return WalkReport(False, 0)
        pause = _refusal_pause(row)
        report, is_refused = WalkReport(False, 0), False
        try:
            report = walk_list(self._provider, account_id, walk, way, self._goes_on, pause)
            is_refused = report.refusal is not None
        finally:
            # A list that rests is due when its rest ends.
            self.is_complete &= report.is_complete or is_refused
        self.has_answer = True
        if report.refusal is not None:
            _last_pauses[row] = pause
            health.note_fault(account_id, health.LIST_REFUSED + report.refusal)
        else:
            _last_pauses.pop(row, None)
            if health.is_list_fault(self._account.fault):
                health.note_list(account_id)
        return report

    def _walk_wanted(self, wanted_at: datetime) -> None:
        """Read the list that a callback wants; what comes meanwhile wants another one."""
        change_account(self._account.id, {"window_wanted_at": None})
        report = WalkReport(False, 0)
        try:
            report = self.walk(NEAR, Way.CALLBACK)
        finally:
            if not report.is_complete:
                change_account(self._account.id, {"window_wanted_at": wanted_at})
        if report.news:
            note_callback(self._account.id)


def change_account(account_id: int, values: Mapping[str, Any]) -> None:
    """Write columns of the account."""
    in_unit_of_work(lambda work: work.provider_accounts.change(account_id, values))


def note_callback(account_id: int) -> None:
    """A callback has named money that the bank confirms, so callbacks come."""
    with reading() as work:
        account = work.provider_accounts.find(account_id)
        moment = work.now
    values: dict[str, Any] = {"callback_came_at": moment}
    if account is not None and account.callback_fault == NONE_CAME:
        values["callback_fault"] = None
    change_account(account_id, values)


def _refusal_pause(row: str) -> timedelta:
    """How long the list rests if the bank refuses it now."""
    last = _last_pauses.get(row)
    growing = REFUSAL_PAUSE if last is None else last * 2
    return min(growing, REFUSAL_PAUSE_MAX) * random.uniform(0.75, 1.25)  # noqa: S311


_last_pauses: dict[str, timedelta] = {}
"""The last rest of each list that its bank refuses, in this process."""
