"""Calls to banks in the background: bounded for each account, so that no bank holds up another.

A call goes on when its request gives up waiting, and two requests for one charge share one call.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog
from flask import Flask, g, has_request_context

from core.errors import BalcaoError
from db_models import EventName
from payments.at_bank.drafts import AT_BANK, PAUSED
from payments.at_bank.leases import LeaseKeeper
from providers.port import ProviderAway, ProviderRefusal
from repository.bank_leases import BankLease
from repository.events import StoredEvent

log = structlog.get_logger()

AT_ONCE = 24
"""Calls at once for one account in one process."""
WAITING_MAX = 1000
"""Calls of one account that wait for their turn; the job makes further ones after their lease."""
LEFT_ALONE_MAX_SECONDS = 60.0
_TICK_SECONDS = 0.05
_IN_REQUEST = "charge_calls"
"""Where a request has the calls that its own commits have begun, by txid."""


@dataclass
class Call:
    """One call for one charge, to be waited for by any number of requests."""

    error: Exception | None = None
    """What it raised, once it has ended."""
    is_decided: bool = False
    """Whether the bank's answer is stored; else another process may be asking."""
    _end: threading.Event = field(default_factory=threading.Event)

    def wait(self, seconds: float) -> bool:
        """Wait for the end; False if it has not come in time."""
        return self._end.wait(max(0.0, seconds))

    def finish(self, error: Exception | None) -> None:
        """Wake everybody who waits."""
        self.error = error
        self._end.set()


@dataclass(frozen=True)
class LeftAlone:
    """A bank that wants to be left alone."""

    code: str
    """Why; a code of ProviderAway."""
    retry_after: timedelta


@dataclass
class _AccountQueue:
    """The calls of one account."""

    running: int = 0
    waiting: deque[Callable[[], None]] = field(default_factory=deque)


@dataclass(frozen=True)
class _Task:
    """What one call does, and the lease under which it does it."""

    account_id: int
    key: str
    do: Callable[[], object]
    lease: BankLease | None


def own_call(txid: str) -> Call | None:
    """The call that this request's own commit has begun for the charge; it may have ended."""
    return g.get(_IN_REQUEST, {}).get(txid) if has_request_context() else None


class ChargeCalls:
    """The calls of one process, by account and txid."""

    def __init__(self, app: Flask, open_charge: Callable[[str, int], object]) -> None:
        """`open_charge` opens the charge with this txid; the second value is that of its lease."""
        self.leases = LeaseKeeper(app)
        """The leases of the calls in progress, and of those that wait for their turn."""
        self._app = app
        self._open_charge = open_charge
        self._lock = threading.Lock()
        self._queues: dict[int, _AccountQueue] = {}
        self._calls: dict[str, Call] = {}
        self._left_alone: dict[int, tuple[float, str]] = {}
        """Until when banks want to be left alone by the monotonic clock, and why, by account."""
        self._is_stopping = False

    def hear(self, events: Sequence[StoredEvent]) -> None:
        """Open the charges of payments that a transaction has created; a listener of commits."""
        for event in events:
            if event.name is not EventName.PAYMENT_CREATED or event.txid is None:
                continue
            state = event.state or {}
            account_id = state.get(AT_BANK)
            if account_id is not None:
                call = (
                    self._refused_call(account_id)
                    if state.get(PAUSED)
                    else self.open(account_id, event.txid, 1)
                )
                if call is not None and has_request_context():
                    g.setdefault(_IN_REQUEST, {})[event.txid] = call

    def open(self, account_id: int, txid: str, lease: int) -> Call | None:
        """Begin to open a charge whose lease the caller holds; None if too many calls wait."""
        do = partial(self._open_charge, txid, lease)
        return self.begin(account_id, txid, do, BankLease(lease, account_id, txid))

    def begin(
        self, account_id: int, txid: str, do: Callable[[], object], lease: BankLease | None = None
    ) -> Call | None:
        """Begin a call in the background; returns the one in progress for this txid, if any.

        `lease` is renewed until the call ends. None if too many calls of the account wait, or if
        the process stops.
        """
        with self._lock:
            call = self._calls.get(txid)
            if call is not None:
                return call
            queue = self._queues.setdefault(account_id, _AccountQueue())
            if self._is_stopping or len(queue.waiting) >= WAITING_MAX:
                return None
            call = self._calls[txid] = Call()
            task = _Task(account_id, txid, do, lease)
            queue.waiting.append(partial(self._run, task, call))
            if lease is not None:
                self.leases.hold(lease)
            if queue.running >= AT_ONCE:
                return call
            queue.running += 1
        threading.Thread(
            target=self._work, args=(account_id, queue), name="bank-charges", daemon=True
        ).start()
        return call

    def call_of(self, txid: str) -> Call | None:
        """The call in progress for this charge."""
        with self._lock:
            return self._calls.get(txid)

    def room_of(self, account_id: int) -> int:
        """How many calls of the account could run at once now."""
        with self._lock:
            queue = self._queues.get(account_id)
            return (
                AT_ONCE if queue is None else max(0, AT_ONCE - queue.running - len(queue.waiting))
            )

    def left_alone(self, account_id: int) -> LeftAlone | None:
        """For how long the account's bank wants to be left alone; None if it may be called.

        That is so after a call that was not sent, because the bank is away.
        """
        with self._lock:
            until, code = self._left_alone.get(account_id, (0.0, ""))
        left = until - time.monotonic()
        return LeftAlone(code, timedelta(seconds=left)) if left > 0 else None

    def _refused_call(self, account_id: int) -> Call:
        """A call that was not begun, and failed as the last one did."""
        away = self.left_alone(account_id) or LeftAlone("breaker-open", timedelta(seconds=1))
        call = Call()
        call.finish(ProviderAway(away.code, retry_after=away.retry_after, was_sent=False))
        return call

    def stop(self, seconds: float) -> None:
        """Begin nothing more, and wait for the calls in progress, at most this long."""
        with self._lock:
            self._is_stopping = True
            for queue in self._queues.values():
                queue.waiting.clear()  # their leases end with the process
        end = time.monotonic() + seconds
        while self._queues and time.monotonic() < end:
            time.sleep(_TICK_SECONDS)

    def _work(self, account_id: int, queue: _AccountQueue) -> None:
        """Make the calls of a queue until none waits."""
        while True:
            with self._lock:
                if not queue.waiting:
                    queue.running -= 1
                    if queue.running == 0 and self._queues.get(account_id) is queue:
                        del self._queues[account_id]
                    return
                run = queue.waiting.popleft()
            run()

    def _run(self, task: _Task, call: Call) -> None:
        error: Exception | None = None
        try:
            with self._app.app_context():
                call.is_decided = bool(task.do())
        except (ProviderAway, ProviderRefusal, BalcaoError) as expected:
            error = expected
        except Exception as unexpected:
            # The job tries again after the lease; without this nobody would learn of the fault.
            log.exception("provider.background_call_failed", txid=task.key)
            error = unexpected
        finally:
            if task.lease is not None:
                self.leases.release(task.lease)
            with self._lock:
                self._calls.pop(task.key, None)
                self._note_pause(task.account_id, error)
            call.finish(error)

    def _note_pause(self, account_id: int, error: Exception | None) -> None:
        if error is None:
            self._left_alone.pop(account_id, None)
        if isinstance(error, ProviderAway) and not error.was_sent and error.retry_after:
            # Not longer, because the account may get other credentials or another address.
            seconds = min(error.retry_after.total_seconds(), LEFT_ALONE_MAX_SECONDS)
            self._left_alone[account_id] = time.monotonic() + seconds, error.code[:64]
