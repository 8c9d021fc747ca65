"""What the last call says of an account at a bank: written seldom, and shown to its merchant."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from datetime import timedelta
from typing import Any

from config import current_parts
from providers.accounts import provider_of
from repository.database import Work, in_unit_of_work

WRITE_SECONDS = 60.0
"""The same news of one account is written at most so often by one process."""
LIST_REFUSED = "list-refused:"
"""What the code of a fault begins with if the bank refuses the list of Pix; its own code follows.
Answers to other questions do not end such a fault."""
_ACCOUNTS_MAX = 1000
_MILLISECOND = timedelta(milliseconds=1)


class AccountNews:
    """When this process last wrote which news of an account."""

    def __init__(self) -> None:
        """Nothing was written yet."""
        self._lock = threading.Lock()
        self._written: OrderedDict[int, tuple[str | None, float]] = OrderedDict()

    def is_new(self, account_id: int, code: str | None) -> bool:
        """Whether this news should be written now; notes that it will be."""
        moment = time.monotonic()
        with self._lock:
            earlier = self._written.pop(account_id, None)
            is_old = earlier is not None and earlier[0] == code
            if is_old and earlier is not None and moment - earlier[1] < WRITE_SECONDS:
                self._written[account_id] = earlier
                return False
            self._written[account_id] = (code, moment)
            if len(self._written) > _ACCOUNTS_MAX:
                self._written.popitem(last=False)
            return True


def note_answer(account_id: int) -> None:
    """The bank gave a usable answer for this account: no fault is left but that of its list."""
    if not current_parts().account_news.is_new(account_id, None):
        return
    offset = provider_of(account_id).clock_offset()
    values: dict[str, Any] = {}
    if offset is not None:
        values["clock_offset_ms"] = offset // _MILLISECOND
    _write(account_id, values, "answered_at", ends_fault=True)


def note_list(account_id: int) -> None:
    """The bank's list was read again, so its fault has ended."""
    in_unit_of_work(lambda work: work.provider_accounts.change(account_id, dict(_NO_FAULT)))


def is_list_fault(code: str | None) -> bool:
    """Whether the bank refuses the account's list of Pix."""
    return code is not None and code.startswith(LIST_REFUSED)


def note_fault(account_id: int, code: str) -> None:
    """A call for this account failed with this code."""
    if current_parts().account_news.is_new(account_id, code):
        _write(account_id, {"fault": code[:64]}, "fault_at")


def _write(
    account_id: int, values: dict[str, Any], instant: str, *, ends_fault: bool = False
) -> None:
    def change(work: Work) -> None:
        row = {**values, instant: work.now}
        if ends_fault:
            account = work.provider_accounts.find(account_id)
            if account is not None and not is_list_fault(account.fault):
                row |= _NO_FAULT
        work.provider_accounts.change(account_id, row)

    in_unit_of_work(change)


_NO_FAULT = {"fault": None, "fault_at": None}
