"""A model of clients, single-threaded processes and a database that share the cores of one machine.

Each client sends, waits for its answer, and sends again. A request passes these stations in order:
the load generator, a process, the database, its disk, the process, the generator. The generator
and each process do one thing at a time; the database and its disk do all at once. All that compute
share the cores evenly.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from benchmarks.report import median, percentile

GENERATOR, DATABASE, DISK = "generator", "database", "disk"
WARM_UP = 0.2
"""The share of requests that is not counted, while the queues fill."""
_NOTHING = 1e-12


@dataclass(frozen=True)
class Demand:
    """Mean seconds that one request needs at each station."""

    generator: float
    process: float
    database: float
    disk: float
    """Waiting that needs no core."""


@dataclass(frozen=True)
class Prediction:
    """What the clients see; waits in seconds."""

    per_second: float
    p50: float
    p99: float


@dataclass
class _Request:
    process: str
    sent_at: float = 0.0
    phases: deque[tuple[str, float]] = field(default_factory=deque)
    rest: float = 0.0
    """Of the phase that it is in."""


@dataclass
class _Station:
    """At most `places` requests at once; the others wait in order."""

    places: float
    inside: list[_Request] = field(default_factory=list)
    waiting: deque[_Request] = field(default_factory=deque)

    def admit(self) -> None:
        """Let in as many as have a place."""
        while self.waiting and len(self.inside) < self.places:
            self.inside.append(self.waiting.popleft())


class Model:
    """A simulation. Times at a station are exponential around their mean."""

    def __init__(
        self, demand: Demand, *, clients: int, processes: int, cores: int, seed: int = 1
    ) -> None:
        """The clients are spread evenly over the processes."""
        self.clock = 0.0
        self._demand, self._cores = demand, cores
        self._chance = random.Random(seed)
        endless = float("inf")
        names = [f"process {number}" for number in range(processes)]
        self._stations = {
            GENERATOR: _Station(1),
            DATABASE: _Station(endless),
            DISK: _Station(endless),
            **{name: _Station(1) for name in names},
        }
        self._waits: list[float] = []
        self._ended_at: list[float] = []
        for number in range(clients):
            self._send(_Request(names[number % processes]))

    def run(self, requests: int = 3000) -> Prediction:
        """Simulate so many requests."""
        while len(self._waits) < requests:
            self._step()
        first = int(requests * WARM_UP)
        waits, ended_at = self._waits[first:], self._ended_at[first:]
        per_second = (len(ended_at) - 1) / (ended_at[-1] - ended_at[0])
        return Prediction(per_second, median(waits), percentile(waits, 0.99))

    def _send(self, request: _Request) -> None:
        """Begin a request of this client."""
        means = (
            (GENERATOR, self._demand.generator / 2),
            (request.process, self._demand.process / 2),
            (DATABASE, self._demand.database),
            (DISK, self._demand.disk),
            (request.process, self._demand.process / 2),
            (GENERATOR, self._demand.generator / 2),
        )
        request.sent_at = self.clock
        request.phases = deque(
            (name, self._chance.expovariate(1 / mean)) for name, mean in means if mean > 0
        )
        self._enter(request)

    def _enter(self, request: _Request) -> None:
        name, request.rest = request.phases[0]
        self._stations[name].waiting.append(request)

    def _step(self) -> None:
        """Go to the next instant at which something ends."""
        for station in self._stations.values():
            station.admit()
        computing = sum(len(one.inside) for name, one in self._stations.items() if name != DISK)
        share = min(1.0, self._cores / computing) if computing else 1.0
        speeds = {name: 1.0 if name == DISK else share for name in self._stations}
        step = min(
            request.rest / speeds[name]
            for name, station in self._stations.items()
            for request in station.inside
        )
        self.clock += step
        for name, station in self._stations.items():
            for request in list(station.inside):
                request.rest -= step * speeds[name]
                if request.rest <= _NOTHING:
                    station.inside.remove(request)
                    self._leave(request)

    def _leave(self, request: _Request) -> None:
        """Go to the next station, or end and send the next request."""
        request.phases.popleft()
        if request.phases:
            self._enter(request)
            return
        self._waits.append(self.clock - request.sent_at)
        self._ended_at.append(self.clock)
        self._send(request)
