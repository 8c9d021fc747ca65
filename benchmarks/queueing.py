"""A model of clients, single-threaded processes and a database that share the cores of one machine.

Each client sends, waits for its answer, and sends again. A creation passes these stations in order:
the load generator, a process, the database and the process again for each trip to the database, and
the generator. The last trip also waits for the database's disk. The generator and each process do
one thing at a time; the database and its disk do all at once. All that compute share the cores
evenly.

A process works as eventlet's hub does. It takes all that is ready, works on it in no particular
order, and looks again. A request needs a connection of the process's pool from before its first
trip until its last one has come back. The pool hands a free connection to the request that has
waited longest (`repository/fair_pool.py`).
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass, field

from benchmarks.report import median, percentile

GENERATOR, DATABASE, DISK = "generator", "database", "disk"
TRIPS = 2
"""Trips of a creation to the database: who has this key, and the rows together with COMMIT."""
WARM_UP = 0.2
"""The share of requests that is not counted, while the queues fill."""
_ENDLESS = float("inf")
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
class _Phase:
    station: str
    rest: float
    """Seconds that are left of it."""
    takes_connection: bool = False
    gives_connection: bool = False


@dataclass
class _Request:
    process: str
    sent_at: float = 0.0
    phases: deque[_Phase] = field(default_factory=deque)


class _Station(ABC):
    """Where requests are worked on; those `inside` share its cores."""

    def __init__(self) -> None:
        self.inside: list[_Request] = []

    @abstractmethod
    def enter(self, request: _Request) -> None:
        """Let a request come from another station."""

    @abstractmethod
    def admit(self) -> None:
        """Let in as many as have a place."""

    def go_on(self, request: _Request) -> None:
        """Begin the next phase of a request that has just ended one here."""
        self.enter(request)


class _Queue(_Station):
    """At most `places` requests at once; the others wait in order."""

    def __init__(self, places: float) -> None:
        super().__init__()
        self._places = places
        self._waiting: deque[_Request] = deque()

    def enter(self, request: _Request) -> None:
        self._waiting.append(request)

    def admit(self) -> None:
        while self._waiting and len(self.inside) < self._places:
            self.inside.append(self._waiting.popleft())


class _Hub(_Station):
    """A process: its hub and its pool of connections."""

    def __init__(self, connections: float, chance: random.Random) -> None:
        super().__init__()
        self._free = connections
        self._chance = chance
        self._ready: list[_Request] = []
        """Since the hub looked last."""
        self._batch: deque[_Request] = deque()
        self._without_connection: deque[_Request] = deque()
        self._woken: list[_Request] = []

    def enter(self, request: _Request) -> None:
        self._ready.append(request)

    def go_on(self, request: _Request) -> None:
        self._batch.appendleft(request)

    def admit(self) -> None:
        while not self.inside and (request := self._next()):
            phase = request.phases[0]
            if phase.takes_connection:
                phase.takes_connection = False  # it goes on with the connection that it is given
                if not self._free:
                    self._without_connection.append(request)
                    continue
                self._free -= 1
            if phase.gives_connection:
                if self._without_connection:
                    self._woken.append(self._without_connection.popleft())
                else:
                    self._free += 1
            self.inside.append(request)

    def _next(self) -> _Request | None:
        """The hub runs what was woken, and then looks what is ready."""
        if not self._batch:
            self._batch.extend(self._woken)
            self._woken.clear()
        if not self._batch:
            self._chance.shuffle(self._ready)
            self._batch.extend(self._ready)
            self._ready.clear()
        return self._batch.popleft() if self._batch else None


class Model:
    """A simulation. Times at a station are exponential around their mean."""

    def __init__(
        self,
        demand: Demand,
        *,
        clients: int,
        processes: int,
        cores: int,
        connections: float = _ENDLESS,
        seed: int = 1,
    ) -> None:
        """Spread the clients evenly over the processes; each has so many `connections`."""
        self.clock = 0.0
        self._demand, self._cores = demand, cores
        self._chance = random.Random(seed)
        names = [f"process {number}" for number in range(processes)]
        self._stations: dict[str, _Station] = {
            GENERATOR: _Queue(1),
            DATABASE: _Queue(_ENDLESS),
            DISK: _Queue(_ENDLESS),
            **{name: _Hub(connections, self._chance) for name in names},
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
        request.sent_at = self.clock
        request.phases = deque(self._phases(request.process))
        self._stations[GENERATOR].enter(request)

    def _phases(self, process: str) -> list[_Phase]:
        """A process computes in equal parts: before it has a connection, and around each trip."""
        part = self._demand.process / (TRIPS + 2)
        phases = [
            self._phase(GENERATOR, self._demand.generator / 2),
            self._phase(process, part),
            self._phase(process, part),
        ]
        phases[-1].takes_connection = True
        for _ in range(TRIPS):
            phases.append(self._phase(DATABASE, self._demand.database / TRIPS))
            phases.append(self._phase(process, part))
        phases[-1].gives_connection = True
        phases.insert(-1, self._phase(DISK, self._demand.disk))
        return [*phases, self._phase(GENERATOR, self._demand.generator / 2)]

    def _phase(self, station: str, mean: float) -> _Phase:
        return _Phase(station, self._chance.expovariate(1 / mean) if mean > 0 else 0.0)

    def _step(self) -> None:
        """Go to the next instant at which something ends."""
        for station in self._stations.values():
            station.admit()
        computing = sum(len(one.inside) for name, one in self._stations.items() if name != DISK)
        share = min(1.0, self._cores / computing) if computing else 1.0
        speeds = {name: 1.0 if name == DISK else share for name in self._stations}
        step = min(
            request.phases[0].rest / speeds[name]
            for name, station in self._stations.items()
            for request in station.inside
        )
        self.clock += step
        for name, station in self._stations.items():
            for request in list(station.inside):
                request.phases[0].rest -= step * speeds[name]
                if request.phases[0].rest <= _NOTHING:
                    station.inside.remove(request)
                    self._leave(request, station)

    def _leave(self, request: _Request, station: _Station) -> None:
        """Go to the next phase, or end and send the next request."""
        request.phases.popleft()
        if request.phases:
            following = self._stations[request.phases[0].station]
            following.go_on(request) if following is station else following.enter(request)
            return
        self._waits.append(self.clock - request.sent_at)
        self._ended_at.append(self.clock)
        self._send(request)
