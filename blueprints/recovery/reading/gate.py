"""Limit how many pictures are decoded at once, and how many may wait.

A request waits in its own thread or greenlet, before its picture is read. On a patched hub the
standard library's locks let other requests go on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import DecodersBusy


class Gate:
    """A semaphore with a bounded queue; first come, first served."""

    def __init__(self, places: int, queue_max: int) -> None:
        """Admit `places` callers at once; let `queue_max` more wait."""
        self._free_places = places
        self._queue_max = queue_max
        self._queue: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    @contextmanager
    def place(self, wait_seconds: float) -> Iterator[None]:
        """Hold a place. Raises DecodersBusy after `wait_seconds`, or if the queue is full."""
        self._enter(wait_seconds)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, wait_seconds: float) -> None:
        with self._lock:
            if self._free_places:
                self._free_places -= 1
                return
            if len(self._queue) >= self._queue_max:
                raise DecodersBusy
            turn = threading.Event()
            self._queue.append(turn)
        has_place = False
        try:
            has_place = turn.wait(wait_seconds)
        finally:
            if not has_place:
                self._give_up(turn)
        if not has_place:
            raise DecodersBusy

    def _give_up(self, turn: threading.Event) -> None:
        """Leave the queue; pass on a place that was assigned in the meantime."""
        with self._lock:
            if turn in self._queue:
                self._queue.remove(turn)
                return
        self._leave()

    def _leave(self) -> None:
        """Give the place to the first in the queue."""
        with self._lock:
            if self._queue:
                self._queue.popleft().set()
            else:
                self._free_places += 1
