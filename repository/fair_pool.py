"""A connection pool whose free connections go to those who have waited longest.

SQLAlchemy's pool wakes the longest waiter, and lets it look for the free connection. Under eventlet
and gevent it looks at the hub's next turn. By then a later request may have taken the connection,
and the woken one waits again, behind all others.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from sqlalchemy.pool import QueuePool
from sqlalchemy.util import queue


class _Waiter:
    """Somebody who waits for a connection."""

    def __init__(self) -> None:
        self.is_served = threading.Event()
        self.item: Any = None


class FairQueue(queue.Queue[Any]):
    """A queue that hands an item to the first waiter; nobody who comes later can take it."""

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        """Keep `maxsize` items at most; the first that came in comes out first."""
        super().__init__(maxsize, use_lifo)
        self._waiters: deque[_Waiter] = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Hand the item to the first waiter, or keep it. Raises Full."""
        with self.mutex:
            if self._waiters:
                waiter = self._waiters.popleft()
                waiter.item = item
                waiter.is_served.set()
                return
        super().put(item, block, timeout)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """An item, in the order of the calls. Raises Empty after `timeout` seconds."""
        with self.mutex:
            if not self._empty():
                self.not_full.notify()
                return self._get()
            if not block:
                raise queue.Empty
            waiter = _Waiter()
            self._waiters.append(waiter)
        try:
            waiter.is_served.wait(timeout)
        except BaseException:  # such as the end of the request's time
            item = self._leave(waiter)
            if item is not None:
                self.put(item, block=False)
            raise
        item = self._leave(waiter)
        if item is None:
            raise queue.Empty
        return item

    def _leave(self, waiter: _Waiter) -> Any:
        """Wait no more; return what was handed over, or None."""
        with self.mutex:
            if waiter.item is None:
                self._waiters.remove(waiter)
            return waiter.item


class FairPool(QueuePool):
    """A pool with a `FairQueue`."""

    _queue_class = FairQueue
