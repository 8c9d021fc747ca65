"""Run work that would block the hub (Argon2, image decoding) on a real thread.

Each kind of heavy work has places of its own, so that one kind never waits for another: pictures
must not keep people from signing in. The hubs have one pool of threads for all kinds, so the
places of all kinds together must be fewer than its threads.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from core.errors import Busy
from core.runtime.gate import Gate
from core.runtime.hub import active_hub, run_on_pool
from core.runtime.memory import return_large_blocks

Result = TypeVar("Result")

POOL_THREADS = 10
"""The threads of gevent's pool; eventlet's pool has 20. gevent resolves host names there too."""


class Places:
    """The places of one kind of heavy work, with a bounded queue and a refusal when it is full."""

    def __init__(
        self,
        at_once_max: int,
        queue_max: int,
        *,
        share_max: int,
        wait_seconds: float,
        busy: type[Busy] = Busy,
    ) -> None:
        """`share_max` is how many calls, running and waiting, one owner may have."""
        self.at_once_max = at_once_max
        self.gate = Gate(at_once_max, queue_max, share_max=share_max, busy=busy)
        self._wait_seconds = wait_seconds

    def run(
        self,
        function: Callable[..., Result],
        *args: Any,
        owner: str = "",
        wait_seconds: float | None = None,
    ) -> Result:
        """Call the function off the hub and return its result; other requests go on meanwhile.

        Without a patched hub (tests, command line, threading mode) this is a plain call in a
        place. The function must not take a place itself. Raises Busy if the queue is full or no
        place is free in time, and TooManyRequests if the owner has its share of the places.
        """
        return_large_blocks()
        wait = self._wait_seconds if wait_seconds is None else wait_seconds
        with self.gate.place(wait, owner):
            if active_hub() != "threading":
                return run_on_pool(function, *args)
            return function(*args)
