"""Take turns: only some requests of one client are worked on at once, the others wait in order.

Python runs on one processor, so a request waits for all those that are worked on before it. Without
turns these would be all that one client sent at once, over as many connections as it may have.

A greenlet that works without waiting has begun and ended before another one runs. So a place that
is given back counts until all greenlets that can run have run.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from core.runtime.hub import call_soon

AT_ONCE_MAX = 4
"""Requests of one client that are worked on at once."""

COUNTED_SECONDS = 0.25
"""How long a request counts: one that takes longer waits for something, and for no processor."""

LOST_CALL_SECONDS = 5.0
"""After so long a request that was not called looks whether it may begin."""

IN_ENVIRON = "balcao.turn"
"""Where a request's environment has its turn."""


@dataclass(eq=False)
class Place:
    """The place of one piece of work, from its wait to its end."""

    client: str
    called: threading.Event | None = None
    """Set when the place has begun, and when it is the first of those that wait."""

    has_begun: bool = False


@dataclass
class _Client:
    """The work of one client: when each piece began, and those that wait."""

    began_at: dict[Place, float] = field(default_factory=dict)
    waiting: deque[Place] = field(default_factory=deque)


class Turns:
    """The turns of all clients."""

    def __init__(
        self,
        at_once_max: int = AT_ONCE_MAX,
        counted_seconds: float = COUNTED_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        call_soon: Callable[[Callable[[], object]], None] = call_soon,
    ) -> None:
        """Let `at_once_max` pieces of work of each client be under way at once."""
        self._at_once_max = at_once_max
        self._counted_seconds = counted_seconds
        self._clock = clock
        self._call_soon = call_soon
        self._clients: dict[str, _Client] = {}
        self._ended: list[Place] = []
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """How many pieces of work wait for their turn."""
        with self._lock:
            return sum(len(client.waiting) for client in self._clients.values())

    @property
    def clients(self) -> int:
        """How many clients have work, waiting or under way."""
        return len(self._clients)

    def begin(self, client_name: str) -> Place:
        """Wait for the client's turn, in order; return the place to give back.

        Work that waits for something delays the work behind it, and never stops it: after
        `counted_seconds` it counts no longer.
        """
        place = Place(client_name)
        with self._lock:
            client = self._clients.get(client_name)
            if client is None:
                client = self._clients[client_name] = _Client()
            if not client.waiting and self._has_room(client):
                self._let_begin(client, place)
                return place
            called = place.called = threading.Event()
            client.waiting.append(place)
        try:
            while (seconds := self._seconds_to_wait(client, place)) is not None:
                called.wait(seconds)
                called.clear()
        except BaseException:  # the task is ended while it waits
            self._give_up(client, place)
            raise
        return place

    def end(self, place: Place) -> None:
        """Give the place back."""
        with self._lock:
            self._ended.append(place)
            is_first = len(self._ended) == 1
        if is_first:
            self._call_soon(self._go_on)

    def _seconds_to_wait(self, client: _Client, place: Place) -> float | None:
        """How long this place waits before it asks again; None if it has begun.

        The first of those that wait looks when the oldest work stops counting. The others are
        called, and look after LOST_CALL_SECONDS in case a call was lost.
        """
        with self._lock:
            self._call(client)
            if place.has_begun:
                return None
            if client.waiting[0] is not place:
                return LOST_CALL_SECONDS
            oldest = min(client.began_at.values())
            return max(oldest + self._counted_seconds - self._clock(), 0.001)

    def _give_up(self, client: _Client, place: Place) -> None:
        with self._lock:
            if not place.has_begun:
                client.waiting.remove(place)
                if client.waiting:
                    self._wake(client.waiting[0])
        self.end(place)

    def _let_begin(self, client: _Client, place: Place) -> None:
        place.has_begun = True
        client.began_at[place] = self._clock()

    def _go_on(self) -> None:
        """Call those who wait, in place of those who have ended."""
        with self._lock:
            ended, self._ended = self._ended, []
            for place in ended:
                client = self._clients.get(place.client)
                if client is None:  # this place counted no longer, and was the last one
                    continue
                client.began_at.pop(place, None)
                self._call(client)
                if not client.began_at and not client.waiting:
                    del self._clients[place.client]

    def _call(self, client: _Client) -> None:
        """Let those begin for whom there is room, and call them, and the first one behind them."""
        first = client.waiting[0] if client.waiting else None
        while client.waiting and self._has_room(client):
            place = client.waiting.popleft()
            self._let_begin(client, place)
            self._wake(place)
        if client.waiting and client.waiting[0] is not first:
            self._wake(client.waiting[0])

    def _wake(self, place: Place) -> None:
        if place.called is not None:
            place.called.set()

    def _has_room(self, client: _Client) -> bool:
        """Whether one more may begin; forget those that began too long ago to count."""
        too_old = self._clock() - self._counted_seconds
        for place in [place for place, began in client.began_at.items() if began <= too_old]:
            del client.began_at[place]
        return len(client.began_at) < self._at_once_max


@dataclass
class Turn:
    """The turn of one request or connection; used by one task at a time.

    `with turn:` waits for it and ends it after the block. It can be taken again and again.
    """

    _turns: Turns
    _client: str
    _place: Place | None = None

    def __enter__(self) -> Turn:
        self._place = self._turns.begin(self._client)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """End the turn before the block does, because the rest of it only waits."""
        if self._place is not None:
            place, self._place = self._place, None
            self._turns.end(place)

    @contextmanager
    def interrupted(self) -> Iterator[None]:
        """End the turn while the block waits for the client; then wait for another one."""
        self.end()
        try:
            yield
        finally:
            self._place = self._turns.begin(self._client)


def end_turn(environ: Mapping[str, Any]) -> None:
    """End the turn of a request that stays open, as that of a websocket does."""
    turn = environ.get(IN_ENVIRON)
    if isinstance(turn, Turn):
        turn.end()
