"""A model's throughput and latency for one and two processes, compared with what is measured here.

The times that the model needs are measured in the same run, with one process alone. The load
generator and the database share the machine's cores with the processes, so the model has them too.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import subjects
from benchmarks.load import Load, run
from benchmarks.queueing import Demand, Model
from benchmarks.report import Outcome, median
from benchmarks.subjects import Subject

ROUNDS = 3
CALIBRATION_CLIENTS = 8
SETTINGS = ((1, 4), (1, 16), (1, 64), (2, 16), (2, 64))
"""Processes and clients."""
REQUESTS = 400
AGREEMENT = 0.8
"""A prediction must be so near to the measurement."""


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

    @property
    def throughput_agreement(self) -> float:
        """In percent."""
        return agreement(self.predicted_per_second, self.per_second)

    @property
    def latency_agreement(self) -> float:
        """Of the medians, in percent."""
        return agreement(self.predicted_p50_ms, self.p50_ms)


def agreement(prediction: float, measurement: float) -> float:
    """100 for the same value, 0 for one that is wrong by as much as the measurement or more."""
    return max(0.0, 100 * (1 - abs(prediction - measurement) / measurement))


def measure(
    folder: Path, engine: str, _against: Path | None = None, rounds: int = ROUNDS
) -> tuple[list[Outcome], dict[str, Any]]:
    """Compare the model with creations by a key."""
    with subjects.open_twins(folder, engine) as twins:
        return measure_running(twins, rounds, REQUESTS)


def measure_running(
    twins: tuple[Subject, Subject], rounds: int, requests: int
) -> tuple[list[Outcome], dict[str, Any]]:
    """As `measure`, with two processes that run and share a database."""
    loads: dict[tuple[int, int], list[Load]] = {setting: [] for setting in SETTINGS}
    demands = []
    _load(twins, 2, CALIBRATION_CLIENTS, requests // 2)  # so that all caches are full
    for _ in range(rounds):
        demands.append(_calibrate(twins[0], requests))
        for processes, clients in SETTINGS:
            many = max(requests, 4 * clients)
            loads[processes, clients].append(_load(twins, processes, clients, many))
    demand = Demand(
        *(
            median([getattr(one, name) for one in demands])
            for name in ("generator", "process", "database", "disk")
        )
    )
    rows = [_row(demand, processes, clients, own) for (processes, clients), own in loads.items()]
    outcomes = []
    for row in rows:
        name = f"{row.processes} process{'es' if row.processes > 1 else ''}, {row.clients} clients"
        values = row.predicted_per_second, row.per_second
        note = (
            f"agreement {row.throughput_agreement:.0f} %; median wait {row.predicted_p50_ms:.0f} "
            f"against {row.p50_ms:.0f} ms, {row.latency_agreement:.0f} %"
        )
        outcomes.append(
            Outcome(f"model / here, {name}", *values, "creations/s", None, "higher", rounds, note)
        )
    samples = {
        "cores": os.cpu_count(),
        "demand_seconds": asdict(demand),
        "rows": [
            {
                **asdict(row),
                "throughput_agreement": row.throughput_agreement,
                "latency_agreement": row.latency_agreement,
            }
            for row in rows
        ],
    }
    return outcomes, {"capacity": samples}


def _calibrate(subject: Subject, requests: int) -> Demand:
    """The seconds of one creation at each station: CPU under load, waiting without load."""
    creations = [subject.create() for _ in range(requests)]
    begin, own = subject.seconds(), time.process_time()
    run(subject.port, creations, clients=CALIBRATION_CLIENTS, expect=201)
    end, own_end = subject.seconds(), time.process_time()
    generator = (own_end - own) / requests
    process = (end[0] - begin[0]) / requests
    database = (end[1] - begin[1]) / requests
    if database != database:
        database = 0.0  # SQLite computes in the process
    few = [subject.create() for _ in range(max(4, requests // 4))]
    alone = median(run(subject.port, few, clients=1, expect=201).latencies)
    return Demand(generator, process, database, max(0.0, alone - generator - process - database))


def _load(twins: tuple[Subject, Subject], processes: int, clients: int, requests: int) -> Load:
    ports = [subject.port for subject in twins[:processes]]
    creations = [twins[0].create() for _ in range(requests)]
    return run(ports, creations, clients=clients, expect=201)


def _row(demand: Demand, processes: int, clients: int, loads: list[Load]) -> Row:
    cores = os.cpu_count() or 1
    model = Model(demand, clients=clients, processes=processes, cores=cores).run()
    return Row(
        processes,
        clients,
        model.per_second,
        median([load.requests_per_second for load in loads]),
        model.p50 * 1000,
        median([load.wait_ms(0.5) for load in loads]),
        model.p99 * 1000,
        median([load.wait_ms(0.99) for load in loads]),
    )
