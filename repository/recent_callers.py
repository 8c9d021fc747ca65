"""Who has which credentials, remembered for a moment while changes are heard."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from repository.assumptions import Assumptions

CALLERS_SECONDS = 2.0
"""The longest time for which a look-up of credentials is reused.

A revocation that is not heard, because Redis has just gone, takes effect after it.
"""
_AGE_MAX = timedelta(seconds=CALLERS_SECONDS)
_CALLERS_MAX = 10_000
_GUARDED = "guarded"

Answer = TypeVar("Answer")
CallerAnswers = dict[Hashable, tuple[datetime, float, Any]]
"""Answers by credentials: the instant and the monotonic seconds of the look-up, and its answer."""


class RecentCallers:
    """A cache of look-ups of credentials, for a process that hears of changes by the others.

    Without Redis another process, such as a `flask` command, may revoke a credential at any time,
    and only the database knows. Then a look-up is reused only if the COMMIT verifies it.
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
        recent = _recent_answer(cache, key, now, moment)
        if recent is not None:
            return recent  # type: ignore[no-any-return]
        answer = look_up()
        if answer is not None:
            _store(cache, key, (now, moment, answer))
        return answer

    def assume(
        self,
        key: Hashable,
        now: datetime,
        look_up: Callable[[], tuple[Answer, str] | None],
        cache: CallerAnswers,
        assumptions: Assumptions,
    ) -> Answer | None:
        """As `find`, for a process that hears nothing: the COMMIT verifies a reused answer.

        `look_up` returns an answer and its guard. If the transaction does not commit, the answer is
        forgotten. What `find` stores is not reused here, and the other way round.
        """
        if cache is not self._answers:
            guarded = look_up()
            return None if guarded is None else guarded[0]
        moment = time.monotonic()
        place = (_GUARDED, key)
        recent = _recent_answer(cache, place, now, moment)
        if recent is not None:
            answer, guard = recent
            assumptions.add(guard, partial(cache.pop, place, None))
            return answer  # type: ignore[no-any-return]
        guarded = look_up()
        if guarded is None:
            return None
        _store(cache, place, (now, moment, guarded))
        return guarded[0]

    def forget(self) -> None:
        """Look all credentials up again: some have changed."""
        self._answers = {}

    def change(self) -> None:
        """Forget, here and in the other processes, after the commit of a change."""
        self.forget()
        self.publish()


def _recent_answer(cache: CallerAnswers, key: Hashable, now: datetime, moment: float) -> Any:
    """The stored answer, or None if there is none or it is too old."""
    entry = cache.get(key)
    if entry is None:
        return None
    looked_up_at, then, answer = entry
    age = now - looked_up_at  # the wall clock may jump, and sign-ins end by it
    is_recent = moment - then < CALLERS_SECONDS and timedelta(0) <= age < _AGE_MAX
    return answer if is_recent else None


def _store(cache: CallerAnswers, key: Hashable, entry: tuple[datetime, float, Any]) -> None:
    if len(cache) >= _CALLERS_MAX:
        cache.clear()
    cache[key] = entry
