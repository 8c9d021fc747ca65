"""Run work that would block the hub (Argon2, image decoding) on a real thread."""

from __future__ import annotations

from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Any, TypeVar

from core.runtime.hub import active_hub, run_on_pool

Result = TypeVar("Result")

AT_ONCE_MAX = 8
"""How many calls may run at once without a hub's pool: each Argon2 takes 19 MiB."""

_slots = BoundedSemaphore(AT_ONCE_MAX)


def offload(function: Callable[..., Result], *args: Any, **kwargs: Any) -> Result:
    """Call the function off the hub and return its result; other requests go on meanwhile.

    Without a patched hub (tests, command line, threading mode) this is a plain call, limited to
    AT_ONCE_MAX at a time. The function must not call `offload` itself.
    """
    if active_hub() != "threading":
        return run_on_pool(function, *args, **kwargs)
    with _slots:
        return function(*args, **kwargs)
