"""Limit how many callers work at once, how many may wait, and how many of them one owner has.

A request waits in its own thread or greenlet, before its work begins. On a patched hub the
standard library's locks let other requests go on.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import Busy, TooManyRequests

SHARE_RETRY_SECONDS = 2
"""When an owner whose share is used up may try again."""


class Gate:
    """A semaphore with a bounded queue: owners take turns, and each owner's callers keep order."""

    def __init__(
        self,
        places: int,
        queue_max: int,
        *,
        share_max: int | None = None,
        busy: type[Busy] = Busy,
    ) -> None:
        """Admit `places` callers at once; let `queue_max` more wait.

        One named owner may have `share_max` callers, working and waiting together.
        """
        self._free_places = places
        self._queue_max = queue_max
        self._share_max = share_max
        self._busy = busy
        self._queues: OrderedDict[str, deque[threading.Event]] = OrderedDict()
        self._callers: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many callers wait."""
        return sum(map(len, self._queues.values()))

    @contextmanager
    def place(self, wait_seconds: float, owner: str = "") -> Iterator[None]:
        """Hold a place. Raises `busy` after `wait_seconds`, or if the queue is full.

        Raises TooManyRequests if the owner has its share already; "" is nobody's name.
        """
        self._enter(wait_seconds, owner)
        try:
            yield
        finally:
            self._leave(owner)

    def _enter(self, wait_seconds: float, owner: str) -> None:
        with self._lock:
            if owner and self._share_max and self._callers[owner] >= self._share_max:
                raise TooManyRequests(SHARE_RETRY_SECONDS)
            if not self._free_places and self.waiting >= self._queue_max:
                raise self._busy
            self._callers[owner] += 1
            if self._free_places:
                self._free_places -= 1
                return
            turn = threading.Event()
            self._queues.setdefault(owner, deque()).append(turn)
        has_place = False
        try:
            has_place = turn.wait(wait_seconds)
        finally:
            if not has_place:
                self._give_up(turn, owner)
        if not has_place:
            raise self._busy

    def _give_up(self, turn: threading.Event, owner: str) -> None:
        """Leave the queue; pass on a place that was assigned in the meantime."""
        with self._lock:
            queue = self._queues.get(owner, deque())
            if turn in queue:
                queue.remove(turn)
                if not queue:
                    del self._queues[owner]
                self._forget_caller(owner)
                return
        self._leave(owner)

    def _leave(self, owner: str) -> None:
        """Give the place to the next owner's first caller."""
        with self._lock:
            self._forget_caller(owner)
            if not self._queues:
                self._free_places += 1
                return
            next_owner, queue = self._queues.popitem(last=False)
            queue.popleft().set()
            if queue:
                self._queues[next_owner] = queue  # at the end: the other owners come first

    def _forget_caller(self, owner: str) -> None:
        self._callers[owner] -= 1
        if not self._callers[owner]:
            del self._callers[owner]
