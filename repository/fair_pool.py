"""A connection pool whose free connections go to those who have waited longest.

SQLAlchemy's pool wakes the longest waiter, and lets it look for the free connection. Under eventlet
and gevent it looks at the hub's next turn. By then a later request may have taken the connection,
and the woken one waits again, behind all others.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from typing import Any

from sqlalchemy.pool import ConnectionPoolEntry, QueuePool
from sqlalchemy.pool.base import _ConnectionRecord
from sqlalchemy.util import queue


class _Waiter:
    """Somebody who waits for a connection."""

    def __init__(self) -> None:
        # Not an Event: its `set` takes a lock that the thread may hold while it begins to wait.
        self.turn = threading.Lock()
        self.turn.acquire()
        self.item: Any = None


class FairQueue(queue.Queue[Any]):
    """A queue that hands an item to the first waiter; nobody who comes later can take it.

    An item is a place for a connection. A place whose connection is missing comes out only if no
    other is there: the database may refuse new connections and serve those that are open.

    A forgotten connection is returned by the garbage collector, which may interrupt any line here
    and call `put` in the same thread. So the mutex is reentrant, as SQLAlchemy has it, nothing is
    done in two steps that `put` may come between, and `put` waits for nothing.
    """

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        """Keep `maxsize` items at most; the first that came in comes out first."""
        super().__init__(maxsize, use_lifo)
        self._unconnected: deque[Any] = deque()
        self._waiters: deque[_Waiter] = deque()

    def _qsize(self) -> int:
        return len(self.queue) + len(self._unconnected)

    def _empty(self) -> bool:
        return self._qsize() == 0

    def _full(self) -> bool:
        return self._qsize() >= self.maxsize > 0

    def _put(self, item: Any) -> None:
        places = self._unconnected if item.dbapi_connection is None else self.queue
        places.append(item)

    def _get(self) -> Any:
        places = self.queue or self._unconnected
        return places.pop() if self.use_lifo else places.popleft()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Hand the item to the first waiter, or keep it. Raises Full."""
        with self.mutex:
            try:
                waiter = self._waiters.popleft()
            except IndexError:
                super().put(item, block, timeout)
                return
            waiter.item = item
            waiter.turn.release()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """An item, in the order of the calls. Raises Empty after `timeout` seconds."""
        try:
            return super().get(block=False)
        except queue.Empty:
            if not block:
                raise
        waiter = _Waiter()
        self._waiters.append(waiter)
        try:
            # What was put before this waiter could be seen is still here.
            self._serve_first()
            waiter.turn.acquire(True, -1 if timeout is None else timeout)
        except BaseException:  # such as the end of the request's time
            item = self._leave(waiter)
            if item is not None:
                self.put(item, block=False)
            raise
        item = self._leave(waiter)
        if item is None:
            raise queue.Empty
        return item

    def _serve_first(self) -> None:
        """Hand an item that nobody was handed to the first waiter, if there is one."""
        with suppress(queue.Empty):
            self.put(super().get(block=False), block=False)

    def _leave(self, waiter: _Waiter) -> Any:
        """Wait no more; return what was handed over, or None."""
        with self.mutex:
            with suppress(ValueError):
                self._waiters.remove(waiter)
            return waiter.item


class FairPool(QueuePool):
    """A pool with a `FairQueue`, whose waiters hear of a connect that failed.

    SQLAlchemy counts a place as free again when its connect fails, and tells no waiter. So here a
    place is handed out before its connection is opened. If the connect fails, SQLAlchemy returns
    the place like one whose connection broke, and the first waiter tries to connect.
    """

    _queue_class = FairQueue

    def _create_connection(self) -> ConnectionPoolEntry:
        """A place without a connection: SQLAlchemy connects after it has taken it."""
        return _ConnectionRecord(self, connect=False)
