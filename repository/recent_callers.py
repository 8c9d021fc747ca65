"""Who has which credentials, remembered for a moment while changes are heard."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Any, TypeVar

CALLERS_SECONDS = 2.0
"""The longest time for which a look-up of credentials is reused.

A revocation that is not heard, because Redis has just gone, takes effect after it.
"""
_AGE_MAX = timedelta(seconds=CALLERS_SECONDS)
_CALLERS_MAX = 10_000

Answer = TypeVar("Answer")


class RecentCallers:
    """A cache of look-ups of credentials, for a process that hears of changes by the others.

    Without Redis nothing is remembered: another process, such as a `flask` command, may revoke a
    credential at any time, and only the database knows.
    """

    def __init__(self) -> None:
        """Remember nothing until `hears` says that this process hears of changes."""
        self._cache: dict[Hashable, tuple[datetime, float, Any]] = {}
        self.hears: Callable[[], bool] = lambda: False
        """Whether this process hears now of the changes that others make."""
        self.publish: Callable[[], None] = lambda: None
        """Tells the other processes of a change; must not raise."""

    def find(
        self, key: Hashable, now: datetime, look_up: Callable[[], Answer | None]
    ) -> Answer | None:
        """What `look_up` returns for these credentials, or returned within CALLERS_SECONDS.

        Invalid credentials are looked up each time.
        """
        if not self.hears():
            return look_up()
        # `forget` replaces the dictionary, so a look-up that began before it is not reused.
        cache, moment = self._cache, time.monotonic()
        entry = cache.get(key)
        if entry is not None:
            looked_up_at, then, value = entry
            age = now - looked_up_at  # the wall clock may jump, and sign-ins end by it
            if moment - then < CALLERS_SECONDS and timedelta(0) <= age < _AGE_MAX:
                return value  # type: ignore[no-any-return]
        answer = look_up()
        if answer is not None:
            if len(cache) >= _CALLERS_MAX:
                cache.clear()
            cache[key] = (now, moment, answer)
        return answer

    def forget(self) -> None:
        """Look all credentials up again: some have changed."""
        self._cache = {}

    def change(self) -> None:
        """Forget, here and in the other processes, after the commit of a change."""
        self.forget()
        self.publish()
