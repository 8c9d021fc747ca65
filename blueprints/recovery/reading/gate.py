"""How many pictures are unpacked at once, and how many may wait for it.

Waiting is done in the request's own thread or greenlet, before anything is read: on a patched hub
the standard library's locks let other requests go on.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import DecodersBusy


class Gate:
    """Lets so many be inside at once; first come, first served."""

    def __init__(self, places: int, waiting_max: int) -> None:
        """`places` may be inside at once, `waiting_max` more may wait."""
        self._free = places
        self._waiting_max = waiting_max
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    @contextmanager
    def passing(self, wait_seconds: float) -> Iterator[None]:
        """Be inside, once there is room. Raises DecodersBusy after the wait or a full crowd."""
        self._enter(wait_seconds)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, wait_seconds: float) -> None:
        with self._lock:
            if self._free:
                self._free -= 1
                return
            if len(self._waiting) >= self._waiting_max:
                raise DecodersBusy
            turn = threading.Event()
            self._waiting.append(turn)
        came = False
        try:
            came = turn.wait(wait_seconds)
        finally:
            if not came:
                self._give_up(turn)
        if not came:
            raise DecodersBusy

    def _give_up(self, turn: threading.Event) -> None:
        """Stop waiting; a place given in this very moment goes to the next."""
        with self._lock:
            if turn in self._waiting:
                self._waiting.remove(turn)
                return
        self._leave()

    def _leave(self) -> None:
        """Hand the place over to whoever waits longest."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
