"""A process that stops hears the others no more, and does not connect again."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from core.clock import SystemClock
from realtime import changes, channel
from realtime.changes import Changes
from realtime.channel import Channel

AT_ONCE_SECONDS = 0.9
"""Shorter than any silence after which a listener looks about by itself."""


@pytest.fixture
def running() -> list[threading.Thread]:
    """The threads that `start` has begun."""
    return []


@pytest.fixture
def start(running) -> Callable[[Callable[[], object]], None]:
    """Run a function in a thread, as a process does."""

    def start_one(function: Callable[[], object]) -> None:
        running.append(threading.Thread(target=function, daemon=True))
        running[-1].start()

    return start_one


def assert_all_end(running: list[threading.Thread]) -> None:
    for thread in running:
        thread.join(AT_ONCE_SECONDS)
        assert not thread.is_alive()


def test_the_channel_of_events_ends_at_once(redis_url, running, start):
    """Also while its thread waits for the next message; nobody is told that events come late."""
    assert channel.PULSE_SECONDS > AT_ONCE_SECONDS
    listener, subscribed = Channel(redis_url, "one service"), threading.Event()
    delays: list[bool] = []
    clock = SystemClock()

    def listen() -> None:
        listener.listen(lambda _event: None, lambda _since: subscribed.set(), clock.now)

    start(listen)
    assert subscribed.wait(10)
    listener.on_late = delays.append
    listener.stop()
    assert_all_end(running)
    start(listen)
    assert_all_end(running)
    assert True not in delays


def test_the_question_for_the_primary_ends_at_once(redis_url, running, start):
    """It would go on when the sentinels are long gone."""
    listener = Channel(redis_url, "one service")
    start(lambda: listener.watch_primary(SystemClock().now))
    listener.stop()
    assert_all_end(running)


def test_the_channel_of_changes_ends_at_once(redis_url, running, start):
    """From then on credentials are looked up each time."""
    assert changes.PULSE_SECONDS > AT_ONCE_SECONDS
    forgotten_once = threading.Event()
    mine = Changes(redis_url, ["a secret"], start, forgotten_once.set)
    mine.hears()
    assert forgotten_once.wait(10)
    mine.stop()
    assert_all_end(running)
    assert mine.hears() is False
