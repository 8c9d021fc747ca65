"""Work that would hold the green hub (Argon2, image decoding) runs on a real thread instead."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Any, Literal, TypeVar

Result = TypeVar("Result")

AT_ONCE_MAX = 8
"""How many run at the same time where no hub has a pool: an Argon2 takes 19 MiB while it runs."""

_turns = BoundedSemaphore(AT_ONCE_MAX)


def offload(function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Call the function off the hub and wait for its answer; other requests go on meanwhile.

    Without a patched hub (tests, command line, threading mode) it is a plain call, which waits for
    its turn. The function must not offload anything itself.
    """
    hub = active_hub()
    if hub == "eventlet":
        from eventlet import tpool

        result: Result = tpool.execute(function, *args, **kwargs)
        return result
    if hub == "gevent":
        from gevent import get_hub

        pooled: Result = get_hub().threadpool.apply(function, args, kwargs)
        return pooled
    with _turns:
        return function(*args, **kwargs)


def active_hub() -> Literal["eventlet", "gevent", "threading"]:
    """Which concurrency this process really runs with: whose patch is in place, if any is."""
    if "eventlet" in sys.modules:
        from eventlet.patcher import is_monkey_patched

        if is_monkey_patched("socket"):
            return "eventlet"
    if "gevent" in sys.modules:
        from gevent.monkey import is_module_patched

        if is_module_patched("socket"):
            return "gevent"
    return "threading"
