"""What can go wrong in a sandbox, and waiting for a state."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

_PAUSE_SECONDS = 0.05


class SandboxError(Exception):
    """The sandbox cannot do this; the message says what to do instead."""


class NotReached(AssertionError):
    """A promised state was not there in time; the message says what was there."""


def wait_until(probe: Callable[[], T | None], seconds: float, explain: Callable[[], str]) -> T:
    """Call `probe` until it returns something true, and return that.

    Raises NotReached with the sentence of `explain` after `seconds`.
    """
    limit = time.monotonic() + seconds
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > limit:
            raise NotReached(f"{explain()} (waited {seconds:g} s)")
        time.sleep(_PAUSE_SECONDS)
