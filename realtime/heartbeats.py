"""The pings of engine.io: one task for all connections sends them, and ends silent clients."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import structlog

log = structlog.get_logger()

TICK_SECONDS = 0.1
"""Pings that are due within so long of each other are sent together."""

PINGED_AT_ONCE = 16
"""Others get a turn after so many pings."""


class Recipient(Protocol):
    """A connection that is pinged."""

    def ping(self) -> bool:
        """Send a ping; return False, and forget the connection, if it has ended."""

    def end_if_silent(self) -> None:
        """End the connection if the client has not answered in time."""


class Heartbeats:
    """When each connection is pinged, and when its answer must have come.

    The intervals are the same for all connections, so that each queue is in the order of its times.
    """

    def __init__(
        self,
        start: Callable[[Callable[[], None]], object],
        sleep: Callable[[float], object],
        interval_seconds: float,
        timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`start` runs a function as a task; `sleep` lets the other tasks run."""
        self._start = start
        self._sleep = sleep
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._pings: deque[tuple[float, Recipient]] = deque()
        self._checks: deque[tuple[float, Recipient]] = deque()
        self._lock = threading.Lock()
        self._is_running = False

    def add(self, connection: Recipient) -> None:
        """Ping this connection once, after the interval."""
        with self._lock:
            self._pings.append((self._clock() + self._interval_seconds, connection))
            if not self._is_running:
                self._start(self._run)  # raises if there are no more threads; the next one tries
                self._is_running = True

    def _run(self) -> None:
        """Ping and check until there is nothing more to do."""
        woke_at = self._clock()
        while (seconds := self._seconds_to_wait()) is not None:
            self._sleep(max(seconds, TICK_SECONDS))
            # A process that stood still has answers to read first, so a client is silent only if
            # its time had passed when this task woke before.
            self._check(woke_at)
            woke_at = self._clock()
            self._ping(woke_at)

    def _seconds_to_wait(self) -> float | None:
        """The time until the next ping or check; None, and the task ends, if there is none."""
        with self._lock:
            times = [queue[0][0] for queue in (self._pings, self._checks) if queue]
            if not times:
                self._is_running = False
                return None
        return min(times) - self._clock()

    def _ping(self, now: float) -> None:
        count = 0
        while self._pings and self._pings[0][0] <= now:
            _, connection = self._pings.popleft()
            if _is_true(connection.ping):
                self._checks.append((self._clock() + self._timeout_seconds, connection))
            count += 1
            if count % PINGED_AT_ONCE == 0:
                self._sleep(0)

    def _check(self, limit: float) -> None:
        while self._checks and self._checks[0][0] < limit:
            _, connection = self._checks.popleft()
            _is_true(connection.end_if_silent)


def _is_true(question: Callable[[], bool | None]) -> bool:
    """The answer; False if it fails, because one connection must not end the pings of all."""
    try:
        return bool(question())
    except Exception:
        log.exception("heartbeat.failed")
        return False
