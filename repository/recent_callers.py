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
CallerAnswers = dict[Hashable, tuple[datetime, float, Any]]
"""Answers by credentials: the instant and the monotonic seconds of the look-up, and its answer."""


class RecentCallers:
    """A cache of look-ups of credentials, for a process that hears of changes by the others.

    Without Redis nothing is remembered: another process, such as a `flask` command, may revoke a
    credential at any time, and only the database knows.
    """

    def __init__(self) -> None:
        """Remember nothing until `hears` says that this process hears of changes."""
        self._answers: CallerAnswers = {}
        self.hears: Callable[[], bool] = lambda: False
        """Whether this process hears now of the changes that others make."""
        self.publish: Callable[[], None] = lambda: None
        """Tells the other processes of a change; must not raise."""
        self.stop: Callable[[], None] = lambda: None
        """Ends the hearing, because the process stops."""

    @property
    def answers(self) -> CallerAnswers:
        """The answers that are reused now; `forget` begins with new ones."""
        return self._answers

    def find(
        self,
        key: Hashable,
        now: datetime,
        look_up: Callable[[], Answer | None],
        cache: CallerAnswers,
    ) -> Answer | None:
        """What `look_up` returns for these credentials, or returned within CALLERS_SECONDS.

        `cache` are the answers of the moment when the unit of work began: on SQLite it reads the
        rows of that moment, so what it finds after a change must not be reused. Invalid credentials
        are looked up each time.
        """
        if cache is not self._answers or not self.hears():
            return look_up()
        moment = time.monotonic()
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
        self._answers = {}

    def change(self) -> None:
        """Forget, here and in the other processes, after the commit of a change."""
        self.forget()
        self.publish()
