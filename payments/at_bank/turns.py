"""Wait for the turn of a question while the account's rate limit is used up."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from providers.port import ProviderAway

LONGEST = timedelta(seconds=3)
"""A longer wait is not for a place in the rate: the bank wants to be left alone."""
RATE_LIMIT = "rate-limit"
Result = TypeVar("Result")


def in_turn(ask: Callable[[], Result], goes_on: Callable[[], bool]) -> Result:
    """Ask; wait for the turn and ask again while `goes_on`. Raises what the port raises."""
    while True:
        try:
            return ask()
        except ProviderAway as error:
            pause = error.retry_after
            if error.code != RATE_LIMIT or pause is None or pause > LONGEST or not goes_on():
                raise
        time.sleep(pause.total_seconds())
