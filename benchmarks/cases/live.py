"""The delay from a confirmation to its watcher beside thousands, and what an idle watcher costs."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import subjects
from benchmarks.cpu import descendants
from benchmarks.crowd import waiting_crowd
from benchmarks.load import connect, run
from benchmarks.processes import resident_bytes
from benchmarks.report import Outcome, compare, percentile
from benchmarks.sockets import Watcher
from benchmarks.subjects import Order, Subject

WATCHERS = 5000
CONFIRMATIONS = 60
"""In each round."""
IDLE_SECONDS = 21.0
"""A little longer than the interval between two pings."""
ROUNDS = 3
P99_BOUND, IDLE_BOUND = 2.0, 1.1


def measure(
    folder: Path, engine: str, against: Path | None = None, rounds: int = ROUNDS
) -> tuple[list[Outcome], dict[str, Any]]:
    """Measure p99 from the POST's first byte to the event, and memory and CPU of idle watchers."""
    with subjects.open_subjects(folder, engine, ("service", "bare"), against) as running:
        return measure_running(running, rounds, WATCHERS, CONFIRMATIONS, IDLE_SECONDS)


def measure_running(
    running: dict[str, Subject],
    rounds: int,
    watchers: int,
    confirmations: int,
    idle_seconds: float,
) -> tuple[list[Outcome], dict[str, Any]]:
    """As `measure`, with subjects that run."""
    kib: dict[str, float] = {}
    idle_ms: dict[str, list[float]] = {}
    delays: dict[str, list[list[float]]] = {name: [] for name in running}
    alone = _idle_cpu(running, idle_seconds / 2)
    with ExitStack() as stack:
        for name, subject in running.items():
            order = _new(subject)
            message = subject.watch(order)
            assert message is not None
            _delays(subject, 3)
            begin = _resident(subject)
            stack.enter_context(waiting_crowd(subject.port, watchers, message))
            kib[name] = (_resident(subject) - begin) / watchers / 1024
        for number in range(rounds):
            loads = _idle_cpu(running, idle_seconds)
            for name in loads:
                each = (loads[name] - alone[name]) * 1_000_000 / watchers
                idle_ms.setdefault(name, []).append(each)
            names = list(running)
            for name in names if number % 2 == 0 else reversed(names):
                delays[name].append(_delays(running[name], confirmations))
    outcomes = [
        outcome
        for other in running
        if other != "service"
        for outcome in _outcomes(other, watchers, kib, idle_ms, delays)
    ]
    samples = {"watchers": watchers, "kib_each": kib, "idle_us_per_second": idle_ms}
    return outcomes, {"live": {**samples, "delays_seconds": delays}}


def _outcomes(
    other: str,
    watchers: int,
    kib: dict[str, float],
    idle: dict[str, list[float]],
    delays: dict[str, list[list[float]]],
) -> list[Outcome]:
    bound = {"bare": P99_BOUND}.get(other)
    idle_bound = {"bare": IDLE_BOUND}.get(other)
    sides = [delays["service"], delays[other]]
    p99 = [[percentile(each, 0.99) * 1000 for each in side] for side in sides]
    p50 = "p50 {:.1f} against {:.1f} ms".format(
        *(percentile([one for each in side for one in each], 0.5) * 1000 for side in sides)
    )
    name = f"confirm to event, p99, {watchers} others / {other}"
    memory = f"memory of an idle watcher / {other}"
    cpu = f"CPU of an idle watcher / {other}"
    return [
        compare(name, p99[0], p99[1], "ms", bound, "lower", p50),
        compare(memory, [kib["service"]], [kib[other]], "KiB each", idle_bound, "lower"),
        compare(cpu, idle["service"], idle[other], "µs per second each", idle_bound, "lower"),
    ]


def _idle_cpu(running: dict[str, Subject], seconds: float) -> dict[str, float]:
    """The share of a core that each subject's processes use while nobody asks for anything."""
    return {name: load[0] for name, load in subjects.idle_loads(running.values(), seconds).items()}


def _resident(subject: Subject) -> int:
    return sum(resident_bytes(pid) for pid in descendants(subject.pid))


def _delays(subject: Subject, number: int) -> list[float]:
    """Seconds from the first byte of each confirmation to its watcher's event."""
    return [_delay(subject, _new(subject)) for _ in range(number)]


def _delay(subject: Subject, order: Order) -> float:
    watcher = Watcher(subject.port, 1)
    message = subject.watch(order)
    assert message is not None
    watcher.send_watch(message)
    request = subject.confirm(order)
    with connect(subject.port, 2) as connection:
        started = time.perf_counter()
        connection.sendall(request)
        watcher.wait_for(subject.event(order))
        elapsed = time.perf_counter() - started
        connection.shutdown(socket.SHUT_WR)
        connection.recv(65_536)
    watcher.close()
    return elapsed


def _new(subject: Subject) -> Order:
    load = run(subject.port, [subject.create()], clients=1, expect=201)
    return subject.order(load.bodies[0])
