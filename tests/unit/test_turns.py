"""Each client's work is done in order and some of it at once; no client delays another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from random import Random

import pytest

from core.runtime.turns import IN_ENVIRON, LOST_CALL_SECONDS, Turn, Turns, end_turn

LONG_SECONDS = 30.0
"""Longer than a test: with it, work counts until it ends."""


class Works:
    """Pieces of work, each in its own thread, that begin in their turn and go on until told."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._threads: list[threading.Thread] = []
        self._may_end: dict[str, threading.Event] = {}
        self.begun: list[str] = []

    def start(self, client: str, *names: str) -> None:
        """Start these pieces of work of the client, in this order."""
        for name in names:
            before = len(self.begun) + self._turns.waiting
            self._may_end[name] = threading.Event()
            thread = threading.Thread(target=self._work, args=(client, name), daemon=True)
            self._threads.append(thread)
            thread.start()
            wait_until(partial(self._has_more_than, before))

    def end(self, *names: str) -> None:
        """Let these pieces of work end."""
        for name in names:
            self._may_end[name].set()

    def join(self) -> None:
        """Let all end, and wait for them."""
        self.end(*self._may_end)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _has_more_than(self, before: int) -> bool:
        return len(self.begun) + self._turns.waiting > before

    def _work(self, client: str, name: str) -> None:
        with Turn(self._turns, client):
            self.begun.append(name)
            self._may_end[name].wait(10)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until it is so. Raises AssertionError."""
    limit = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.001)


@contextmanager
def works_of(turns: Turns) -> Iterator[Works]:
    """Work that has ended after the block, when nothing is left of its clients."""
    works = Works(turns)
    try:
        yield works
    finally:
        works.join()
    assert turns.clients == 0


def test_so_many_begin_at_once_and_the_others_in_order():
    """The order is that of their arrival."""
    turns = Turns(2, LONG_SECONDS)
    with works_of(turns) as works:
        works.start("a", "1", "2", "3", "4", "5")
        assert (works.begun, turns.waiting) == (["1", "2"], 3)
        works.end("2")
        wait_until(lambda: len(works.begun) == 3)
        works.end("1")
        wait_until(lambda: len(works.begun) == 4)
        assert works.begun == ["1", "2", "3", "4"]


def test_another_client_does_not_wait():
    """Each client has turns of its own."""
    with works_of(Turns(1, LONG_SECONDS)) as works:
        works.start("a", "1", "2", "3")
        works.start("b", "4")
        assert works.begun == ["1", "4"]


def test_work_that_waits_for_something_stops_nobody():
    """A client's other requests go on while a slow bank is asked for some."""
    turns = Turns(2, 0.05)
    with works_of(turns) as works:
        works.start("a", *map(str, range(9)))
        wait_until(lambda: turns.waiting == 0)
        assert len(works.begun) == 9
        time.sleep(0.1)
        works.start("a", "9", "10")  # those before count no longer
        assert works.begun[-2:] == ["9", "10"]


def test_the_first_one_begins_when_the_oldest_work_stops_counting():
    """However many waited when it came, and also if nobody ends or comes."""
    turns = Turns(2, 0.2)
    with works_of(turns) as works:
        works.start("a", *map(str, range(40)))
        works.end(*map(str, range(36)))
        wait_until(lambda: len(works.begun) == 38)
        started = time.monotonic()
        works.start("a", "40", "41")
        wait_until(lambda: len(works.begun) == 42)
        assert time.monotonic() - started < 3  # two rounds of 0.2 s, and not twenty
        assert works.begun[38:] == ["38", "39", "40", "41"]


def test_many_with_short_and_long_work_all_begin():
    """A call that is lost would keep somebody for seconds."""
    turns, random = Turns(3, 0.02), Random(7)
    ended: list[str] = []

    def work(client: str, seconds: list[float]) -> None:
        for each in seconds:
            with Turn(turns, client):
                time.sleep(each)
            ended.append(client)

    threads = [
        threading.Thread(
            target=work,
            args=(f"client {number % 3}", [random.choice([0, 0, 0.001, 0.05]) for _ in range(10)]),
        )
        for number in range(60)
    ]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LOST_CALL_SECONDS)
    assert len(ended) == 600
    assert turns.clients == 0
    assert time.monotonic() - started < LOST_CALL_SECONDS


def test_work_that_counts_no_longer_ends_after_the_last_one():
    """Nothing is left of the client by then, and nothing fails."""
    now = [0.0]
    turns = Turns(2, 1.0, clock=lambda: now[0])
    old, new = Turn(turns, "a"), Turn(turns, "a")
    with old:
        now[0] = 5.0
        with new:
            pass
        assert turns.clients == 0
    assert turns.clients == 0


def test_a_place_counts_until_the_others_have_run():
    """A greenlet that never waits has ended before the next one begins."""
    soon: list[Callable[[], object]] = []
    turns = Turns(2, 0.05, call_soon=soon.append)
    for _ in range(2):
        with Turn(turns, "a"):
            pass
    assert len(soon) == 1
    started = time.monotonic()
    with Turn(turns, "a"):
        assert time.monotonic() - started >= 0.04  # nobody has run
    soon.pop()()
    with Turn(turns, "a"):
        assert turns.waiting == 0


def test_a_turn_ends_once_and_can_be_taken_again():
    """A websocket ends its turn when it stands, and takes it for each message."""
    turns = Turns(1, LONG_SECONDS)
    turn = Turn(turns, "a")
    with turn:
        end_turn({IN_ENVIRON: turn})
        end_turn({})
        assert turns.clients == 0
        for _ in range(3):
            with turn:
                assert turns.clients == 1
            assert turns.clients == 0


def test_an_interrupted_turn_lets_the_next_one_begin():
    """A request that waits for the rest of its body is no work."""
    turns = Turns(1, LONG_SECONDS)
    turn = Turn(turns, "a")
    with works_of(turns) as works, turn:
        works.start("a", "1")
        with suppress(TimeoutError), turn.interrupted():
            wait_until(lambda: works.begun == ["1"])
            works.end("1")
            raise TimeoutError
        works.start("a", "2")
        assert works.begun == ["1"]
        turn.end()
        wait_until(lambda: works.begun == ["1", "2"])


def test_a_task_that_is_ended_while_it_waits_leaves_nothing(monkeypatch):
    """A hub ends a greenlet by an exception from within its wait."""
    turns = Turns(1, LONG_SECONDS)

    def interrupt(_event, _seconds):
        raise KeyboardInterrupt

    with Turn(turns, "a"):
        monkeypatch.setattr(threading.Event, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt), Turn(turns, "a"):
            pass
        monkeypatch.undo()
        assert turns.waiting == 0
    assert turns.clients == 0
