"""Work off the hub: each kind in places of its own, bounded, and always answered."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.errors import Busy
from core.runtime.offload import Places

AT_ONCE = 3


def places(queue_max: int = 100) -> Places:
    """Places of a kind that the service does not know."""
    return Places(AT_ONCE, queue_max, share_max=50, wait_seconds=10)


class Counting:
    """Counts how many calls run at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.most = 0

    def work(self, number: int) -> int:
        """Sleep for a moment; return the number."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.01)
        with self._lock:
            self._now -= 1
        return number


def test_at_most_at_once_max_calls_run_at_the_same_time() -> None:
    """A burst of sign-ins must not take all memory; the others wait and are answered."""
    counting, kind = Counting(), places()
    with ThreadPoolExecutor(4 * AT_ONCE) as threads:
        results = threads.map(lambda number: kind.run(counting.work, number), range(8 * AT_ONCE))
        assert list(results) == list(range(8 * AT_ONCE))
    assert 1 < counting.most <= AT_ONCE


def test_a_failed_call_frees_its_place() -> None:
    """Otherwise a few wrong passwords would stop all sign-ins."""

    def fail() -> None:
        raise ValueError("no")

    kind = places(queue_max=0)
    for _ in range(AT_ONCE + 1):
        with pytest.raises(ValueError, match="no"):
            kind.run(fail)


def test_a_kind_without_a_free_place_does_not_stop_another_kind() -> None:
    """Hostile pictures held every sign-in while they shared places."""
    first, second = places(queue_max=0), places(queue_max=0)

    def fill(depth: int) -> str:
        if depth:
            return first.run(fill, depth - 1)
        with pytest.raises(Busy):
            first.run(str)
        return second.run(str, "answered")

    assert fill(AT_ONCE) == "answered"
