"""Work off the hub: bounded without a hub's pool, and always answered."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.runtime.offload import AT_ONCE_MAX, offload


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
    counting = Counting()
    with ThreadPoolExecutor(4 * AT_ONCE_MAX) as threads:
        results = threads.map(lambda number: offload(counting.work, number), range(8 * AT_ONCE_MAX))
        assert list(results) == list(range(8 * AT_ONCE_MAX))
    assert 1 < counting.most <= AT_ONCE_MAX


def test_a_failed_call_frees_its_slot() -> None:
    """Otherwise AT_ONCE_MAX wrong passwords would stop all sign-ins."""

    def fail() -> None:
        raise ValueError("no")

    for _ in range(AT_ONCE_MAX + 1):
        with pytest.raises(ValueError, match="no"):
            offload(fail)
