"""Work that would hold the green hub (Argon2, image decoding) runs on a real thread instead."""

from __future__ import annotations

from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Any, TypeVar

from core.runtime.hub import active_hub, run_on_pool

Result = TypeVar("Result")

AT_ONCE_MAX = 8
"""How many run at the same time where no hub has a pool: an Argon2 takes 19 MiB while it runs."""

_turns = BoundedSemaphore(AT_ONCE_MAX)


def offload(function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Call the function off the hub and wait for its answer; other requests go on meanwhile.

    Without a patched hub (tests, command line, threading mode) it is a plain call, which waits for
    its turn. The function must not offload anything itself.
    """
    if active_hub() != "threading":
        return run_on_pool(function, *args, **kwargs)
    with _turns:
        return function(*args, **kwargs)
