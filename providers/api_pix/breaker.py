"""A breaker: while a bank is away, calls fail at once instead of waiting for their time-outs."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum

from providers.port import ProviderAway

FAILURES_MAX = 5
PAUSE_MIN_SECONDS, PAUSE_MAX_SECONDS = 1.0, 60.0
PROBE_HINT = timedelta(seconds=1)
"""When to come back while another call tries whether the bank answers again."""

_random = secrets.SystemRandom()


def grown_pause(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 1 to 60, doubled each time, with jitter."""
    pause = PAUSE_MIN_SECONDS * 2.0 ** min(max(failures - 1, 0), 10)
    return min(pause, PAUSE_MAX_SECONDS) * _random.uniform(0.8, 1.0)


class BreakerState(StrEnum):
    """Whether calls are sent."""

    CLOSED = "closed"
    OPEN = "open"
    """No call is sent until the pause has passed."""
    PROBING = "probing"
    """The pause has passed: one call tries, the others fail."""


class Breaker:
    """The breaker of one account in this process. Any number of threads may share it."""

    def __init__(
        self,
        *,
        seconds: Callable[[], float] = time.monotonic,
        on_change: Callable[[BreakerState], None] = lambda _state: None,
    ) -> None:
        """`on_change` is called outside of the lock, with the new state."""
        self._seconds = seconds
        self._on_change = on_change
        self._lock = threading.Lock()
        self._state = BreakerState.CLOSED
        self._failures = 0
        self._pauses = 0
        self._open_until = 0.0

    @property
    def state(self) -> BreakerState:
        """The state; a pause that has passed ends with the next call."""
        return self._state

    def check(self) -> None:
        """Raise ProviderAway `breaker-open` if a call would not be sent now."""
        with self._lock:
            self._refuse_if_closed_off()

    def begin(self) -> bool:
        """Begin a call; True if it is the one that tries whether the bank answers again.

        Each `begin` must be followed by `succeed`, `fail` or `give_up`, with this result. Raises
        ProviderAway `breaker-open`.
        """
        with self._lock:
            self._refuse_if_closed_off()
            if self._state is BreakerState.CLOSED:
                return False
            self._state = BreakerState.PROBING
        self._on_change(BreakerState.PROBING)
        return True

    def succeed(self, is_probe: bool) -> None:
        """The bank answered, with whatever decision."""
        with self._lock:
            # A call that began before the breaker opened says nothing about the bank now.
            if self._state is not BreakerState.CLOSED and not is_probe:
                return
            has_changed = self._state is not BreakerState.CLOSED
            self._state, self._failures, self._pauses = BreakerState.CLOSED, 0, 0
        if has_changed:
            self._on_change(BreakerState.CLOSED)

    def fail(self, is_probe: bool) -> None:
        """The bank gave no answer, or none that can be used."""
        with self._lock:
            if self._state is not BreakerState.CLOSED and not is_probe:
                return
            self._failures += 1
            if not is_probe and self._failures < FAILURES_MAX:
                return
            self._open()
        self._on_change(BreakerState.OPEN)

    def give_up(self, is_probe: bool) -> None:
        """The call ended without a result; if it was the probe, the next call tries instead."""
        if not is_probe:
            return
        with self._lock:
            self._state, self._open_until = BreakerState.OPEN, self._seconds()
        self._on_change(BreakerState.OPEN)

    def _open(self) -> None:
        self._pauses += 1
        self._state = BreakerState.OPEN
        self._open_until = self._seconds() + grown_pause(self._pauses)

    def _refuse_if_closed_off(self) -> None:
        if self._state is BreakerState.CLOSED:
            return
        left = self._open_until - self._seconds()
        if self._state is BreakerState.PROBING or left > 0:
            retry_after = max(timedelta(seconds=left), PROBE_HINT)
            raise ProviderAway("breaker-open", retry_after=retry_after, was_sent=False)
