"""When connections are pinged and ended, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from realtime.heartbeats import TICK_SECONDS, Heartbeats

INTERVAL, TIMEOUT = 20.0, 15.0


class Client:
    """A connection that records when it was pinged and checked."""

    def __init__(self, clock: Callable[[], float], *, fails: bool = False) -> None:
        self._clock = clock
        self._fails = fails
        self.has_left = False
        self.pings: list[float] = []
        self.checks: list[float] = []

    def ping(self) -> bool:
        """Record the ping; a client that has left is not pinged."""
        if self._fails:
            raise RuntimeError
        self.pings += [] if self.has_left else [self._clock()]
        return not self.has_left

    def end_if_silent(self) -> None:
        """Record the check."""
        self.checks.append(self._clock())


class World:
    """The clock, the tasks, and what happens while the task of the heartbeats sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.tasks: list[Callable[[], None]] = []
        self.sleeps = 0
        self.standstill = 0.0
        """The seconds that the next sleep takes longer than it should."""
        self.heartbeats = Heartbeats(
            self.tasks.append, self._sleep, INTERVAL, TIMEOUT, lambda: self.now
        )

    def _sleep(self, seconds: float) -> None:
        self.sleeps += 1 if seconds else 0
        self.now += seconds + self.standstill
        self.standstill = 0.0

    def client(self, *, fails: bool = False) -> Client:
        """A client whose ping is due after the interval."""
        client = Client(lambda: self.now, fails=fails)
        self.heartbeats.add(client)
        return client

    def run(self) -> None:
        """Run the task until it has nothing more to do."""
        self.tasks.pop()()


def test_one_task_pings_all_after_the_interval_and_ends_when_nobody_is_left():
    """Thousands of idle clients cost one task, and an empty process has none."""
    world = World()
    alice, bob = world.client(), world.client()
    assert len(world.tasks) == 1
    world.run()
    for client in (alice, bob):
        assert [at - 1000.0 for at in client.pings] == [INTERVAL]
        (checked,) = client.checks
        assert TIMEOUT < checked - client.pings[0] < TIMEOUT + 3 * TICK_SECONDS
    assert world.tasks == []
    world.client()
    assert len(world.tasks) == 1


def test_pings_that_are_due_together_take_one_wake():
    """A task that woke for each of 5,000 clients would wake 250 times a second."""
    world = World()
    for _ in range(500):
        world.client()
        world.now += TICK_SECONDS / 1000
    world.run()
    assert world.sleeps <= 6


def test_a_client_that_has_left_is_forgotten():
    """Nobody waits for its pong."""
    world = World()
    alice = world.client()
    alice.has_left = True
    world.run()
    assert (alice.pings, alice.checks) == ([], [])


def test_a_connection_that_fails_ends_no_other_pings():
    """All connections of the process have one task."""
    world = World()
    world.client(fails=True)
    bob = world.client()
    world.run()
    assert len(bob.pings) == 1


def test_answers_that_came_while_the_process_stood_still_are_read_first():
    """A laptop that wakes would otherwise end all its connections, though their pongs are there."""
    world = World()
    alice = world.client()

    def ping() -> bool:
        world.standstill = 3600.0  # during the sleep that follows
        return True

    alice.ping = ping  # type: ignore[method-assign]
    world.run()
    (checked,) = alice.checks
    assert checked - 1000.0 >= INTERVAL + TIMEOUT + 3600.0 + TICK_SECONDS


def test_a_task_that_cannot_start_is_started_by_the_next_connection():
    """A process at its limit of threads would never ping again otherwise."""
    world = World()
    refusals = [RuntimeError("can't start new thread")]

    def start(task: Callable[[], None]) -> None:
        if refusals:
            raise refusals.pop()
        world.tasks.append(task)

    heartbeats = Heartbeats(start, lambda _: None, INTERVAL, TIMEOUT, lambda: world.now)
    with pytest.raises(RuntimeError):
        heartbeats.add(Client(lambda: world.now))
    heartbeats.add(Client(lambda: world.now))
    assert len(world.tasks) == 1
