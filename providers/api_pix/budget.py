"""How many calls an account may send: the bank's own limit, and reads that give way to creates."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from providers.port import ProviderAway

WINDOW_SECONDS = 61.0
"""A minute by the bank's count, and a second for requests that travel slower than others."""
WRITE_WAIT_SECONDS = 2.0
READS_PER_SECOND, READS_AT_ONCE_MAX = 2.0, 20
"""Few banks publish a limit; a bank that does is known to allow two calls a second."""
RESERVED_SHARE = 0.3
"""How much of a bank's limit only creates may use."""
PAUSE_MAX_SECONDS = 600.0


class CallBudget:
    """The calls of one account in this process. Any number of threads may share it."""

    def __init__(
        self,
        calls_per_minute: int | None,
        *,
        seconds: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`calls_per_minute` is the bank's published limit; None limits reads alone."""
        if calls_per_minute is not None and calls_per_minute < 1:
            raise ValueError("The calls per minute must be a positive number.")
        self._limit = calls_per_minute
        self._seconds = seconds
        self._sleep = sleep
        self._lock = threading.Lock()
        self._sent_at: deque[float] = deque()
        self._reads_left = float(READS_AT_ONCE_MAX)
        self._reads_counted_at = seconds()
        self._closed_until = 0.0

    def spend(self, *, is_read: bool) -> None:
        """Count one call. A write waits up to WRITE_WAIT_SECONDS for its turn, a read never waits.

        Raises ProviderAway `rate-limit` with the time until the next turn; nothing was sent then.
        """
        patience = 0.0 if is_read else WRITE_WAIT_SECONDS
        deadline = self._seconds() + patience
        while True:
            with self._lock:
                moment = self._seconds()
                wait = self._wait(moment, is_read=is_read)
                if wait <= 0:
                    self._count(moment, is_read=is_read)
                    return
            if moment + wait > deadline:
                raise ProviderAway(
                    "rate-limit", retry_after=timedelta(seconds=wait), was_sent=False
                )
            self._sleep(wait)

    def count_repeat(self) -> None:
        """Count a call that is sent again at once, because the first one had no chance."""
        with self._lock:
            self._count(self._seconds(), is_read=False)

    def close(self, pause_seconds: float) -> None:
        """Send nothing for so long, because the bank asked for it; at most PAUSE_MAX_SECONDS."""
        pause = min(max(pause_seconds, 0.0), PAUSE_MAX_SECONDS)
        with self._lock:
            self._closed_until = max(self._closed_until, self._seconds() + pause)

    def _wait(self, moment: float, *, is_read: bool) -> float:
        """Seconds until the next call of this kind may be sent."""
        wait = self._closed_until - moment
        if self._limit is not None:
            limit = self._limit
            if is_read:
                limit = max(1, limit - max(1, round(limit * RESERVED_SHARE)))
            while self._sent_at and self._sent_at[0] <= moment - WINDOW_SECONDS:
                self._sent_at.popleft()
            excess = len(self._sent_at) - limit
            if excess >= 0:
                wait = max(wait, self._sent_at[excess] + WINDOW_SECONDS - moment)
        if is_read:
            self._refill(moment)
            wait = max(wait, (1.0 - self._reads_left) / READS_PER_SECOND)
        return wait

    def _refill(self, moment: float) -> None:
        grown = self._reads_left + (moment - self._reads_counted_at) * READS_PER_SECOND
        self._reads_left = min(grown, float(READS_AT_ONCE_MAX))
        self._reads_counted_at = moment

    def _count(self, moment: float, *, is_read: bool) -> None:
        if self._limit is not None:
            self._sent_at.append(moment)
        if is_read:
            self._reads_left -= 1.0
