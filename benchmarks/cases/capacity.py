"""A model's throughput and latency for one and two processes, compared with what is measured here.

The times that the model needs are measured in the same run, by few clients with as many processes:
the same work takes more CPU time when two processes share the machine's caches. The load generator
and the database share the machine's cores with the processes, so the model has them too. It has no
other programs, so each measurement waits for a moment without them, and is repeated if they come.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import subjects
from benchmarks.cpu import machine_seconds
from benchmarks.load import Load, run
from benchmarks.queueing import Demand, Model
from benchmarks.report import Outcome, median
from benchmarks.subjects import Subject
from repository.connections import POOL_SIZE

ROUNDS = 3
CALIBRATION_CLIENTS = 8
"""For each process."""
SETTINGS = ((1, 4), (1, 16), (1, 64), (2, 16), (2, 64))
"""Processes and clients."""
REQUESTS = 1000
"""So many that the last ones, which leave cores idle, count little."""
QUIET_CORES = 0.1
"""What other programs may use."""
QUIET_SECONDS = 0.5
WAIT_SECONDS_MAX = 10.0
ATTEMPTS_MAX = 3
"""The attempt in which other programs used least counts."""


@dataclass(frozen=True)
class Row:
    """A prediction and its measurement."""

    processes: int
    clients: int
    predicted_per_second: float
    per_second: float
    predicted_p50_ms: float
    p50_ms: float
    predicted_p99_ms: float
    p99_ms: float
    others: float
    """Cores that other programs used meanwhile."""

    @property
    def throughput_agreement(self) -> float:
        """In percent."""
        return agreement(self.predicted_per_second, self.per_second)

    @property
    def latency_agreement(self) -> float:
        """Of the medians, in percent."""
        return agreement(self.predicted_p50_ms, self.p50_ms)

    @property
    def tail_agreement(self) -> float:
        """Of the waits that one of a hundred exceeds, in percent."""
        return agreement(self.predicted_p99_ms, self.p99_ms)


Result = TypeVar("Result")


def agreement(prediction: float, measurement: float) -> float:
    """100 for the same value, 0 for one that is wrong by as much as the measurement or more."""
    return max(0.0, 100 * (1 - abs(prediction - measurement) / measurement))


def measure(
    folder: Path, engine: str, _against: Path | None = None, rounds: int = ROUNDS
) -> tuple[list[Outcome], dict[str, Any]]:
    """Compare the model with creations by a key."""
    connections = 1 if engine == "sqlite" else POOL_SIZE
    with subjects.open_twins(folder, engine) as twins:
        return measure_running(twins, rounds, REQUESTS, connections)


def measure_running(
    twins: tuple[Subject, Subject], rounds: int, requests: int, connections: int
) -> tuple[list[Outcome], dict[str, Any]]:
    """As `measure`, with two processes that run and share a database.

    Each has so many `connections` to the database for units of work.
    """
    loads: dict[tuple[int, int], list[tuple[Load, float]]] = {setting: [] for setting in SETTINGS}
    demands: dict[int, list[Demand]] = {1: [], 2: []}
    _load(twins, 2, 2 * CALIBRATION_CLIENTS, requests // 2)  # so that all caches are full
    for _ in range(rounds):
        for processes, own in demands.items():
            calibrate = partial(_calibrate, twins, processes, requests)
            own.append(_when_quiet(twins, calibrate)[0])
        for processes, clients in SETTINGS:
            load = partial(_load, twins, processes, clients, requests)
            loads[processes, clients].append(_when_quiet(twins, load))
    demand = {processes: _middle(own) for processes, own in demands.items()}
    rows = [
        _row(demand[processes], connections, processes, clients, own)
        for (processes, clients), own in loads.items()
    ]
    outcomes = []
    for row in rows:
        name = f"{row.processes} process{'es' if row.processes > 1 else ''}, {row.clients} clients"
        values = row.predicted_per_second, row.per_second
        note = (
            f"agreement {row.throughput_agreement:.0f} %; median wait {row.predicted_p50_ms:.0f} "
            f"against {row.p50_ms:.0f} ms, {row.latency_agreement:.0f} %; 99 of 100 within "
            f"{row.predicted_p99_ms:.0f} against {row.p99_ms:.0f} ms; others used "
            f"{row.others:.2f} cores"
        )
        outcomes.append(
            Outcome(f"model / here, {name}", *values, "creations/s", None, "higher", rounds, note)
        )
    samples = {
        "cores": os.cpu_count(),
        "demand_seconds": {processes: asdict(own) for processes, own in demand.items()},
        "rows": [
            {
                **asdict(row),
                "throughput_agreement": row.throughput_agreement,
                "latency_agreement": row.latency_agreement,
                "tail_agreement": row.tail_agreement,
            }
            for row in rows
        ],
    }
    return outcomes, {"capacity": samples}


def _calibrate(twins: tuple[Subject, Subject], processes: int, requests: int) -> Demand:
    """The seconds of one creation at each station: CPU under load, waiting without load."""
    ports = [subject.port for subject in twins[:processes]]
    creations = [twins[0].create() for _ in range(requests)]
    begin = _stations(twins)
    run(ports, creations, clients=CALIBRATION_CLIENTS * processes, expect=201)
    cpu = [
        (after - before) / requests for before, after in zip(begin, _stations(twins), strict=True)
    ]
    few = [twins[0].create() for _ in range(max(4, requests // 8))]
    alone = median(run(ports, few, clients=1, expect=201).latencies)
    generator, process, database = cpu
    return Demand(generator, process, database, max(0.0, alone - sum(cpu)))


def _stations(twins: tuple[Subject, Subject]) -> tuple[float, float, float]:
    """CPU seconds of the load generator, of both processes, and of their database."""
    (one, database), (other, _) = (subject.seconds() for subject in twins)
    if database != database:
        database = 0.0  # SQLite computes in the process
    return time.process_time(), one + other, database


def _middle(demands: list[Demand]) -> Demand:
    names = [field.name for field in fields(Demand)]
    return Demand(*(median([getattr(one, name) for one in demands]) for name in names))


def _load(twins: tuple[Subject, Subject], processes: int, clients: int, requests: int) -> Load:
    ports = [subject.port for subject in twins[:processes]]
    creations = [twins[0].create() for _ in range(requests)]
    return run(ports, creations, clients=clients, expect=201)


def _when_quiet(
    twins: tuple[Subject, Subject], measure_once: Callable[[], Result]
) -> tuple[Result, float]:
    """Measure while other programs are quiet, or as quiet as they get."""
    results: list[tuple[Result, float]] = []
    for _ in range(ATTEMPTS_MAX):
        waiting_ends = time.monotonic() + WAIT_SECONDS_MAX
        while time.monotonic() < waiting_ends:
            if _beside_others(twins, lambda: time.sleep(QUIET_SECONDS))[1] <= QUIET_CORES:
                break
        results.append(_beside_others(twins, measure_once))
        if results[-1][1] <= QUIET_CORES:
            break
    return min(results, key=lambda result: result[1])


def _beside_others(
    twins: tuple[Subject, Subject], measure_once: Callable[[], Result]
) -> tuple[Result, float]:
    """The result, and how many cores other programs used meanwhile."""
    started, busy = time.perf_counter(), machine_seconds() - sum(_stations(twins))
    result = measure_once()
    seconds = machine_seconds() - sum(_stations(twins)) - busy
    return result, max(0.0, seconds / (time.perf_counter() - started))


def _row(
    demand: Demand,
    connections: int,
    processes: int,
    clients: int,
    rounds: list[tuple[Load, float]],
) -> Row:
    cores = os.cpu_count() or 1
    model = Model(
        demand, clients=clients, processes=processes, cores=cores, connections=connections
    ).run()
    loads = [load for load, _ in rounds]
    return Row(
        processes,
        clients,
        model.per_second,
        median([load.requests_per_second for load in loads]),
        model.p50 * 1000,
        median([load.wait_ms(0.5) for load in loads]),
        model.p99 * 1000,
        median([load.wait_ms(0.99) for load in loads]),
        median([others for _, others in rounds]),
    )
