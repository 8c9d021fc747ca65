"""Wait for the rate limit of a bank, in a command that nobody's page waits for."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from providers.port import ProviderAway

TRIES = 10
PAUSE_MIN, PAUSE_MAX = timedelta(seconds=0.2), timedelta(seconds=60)

Answer = TypeVar("Answer")
_LIMITS = ("rate-limit", "status-429")


def patiently(ask: Callable[[], Answer]) -> Answer:
    """Ask again after the pause that the rate limit wants; raises what `ask` raises at the end.

    A bank that does not answer is not waited for.
    """
    for _ in range(TRIES - 1):
        try:
            return ask()
        except ProviderAway as error:
            if error.code not in _LIMITS:
                raise
            pause = min(max(error.retry_after or PAUSE_MIN, PAUSE_MIN), PAUSE_MAX)
        time.sleep(pause.total_seconds())
    return ask()
