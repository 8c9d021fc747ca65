"""Each request of a payment over HTTP: CPU time of the processes that answer, and requests/s.

Rounds are interleaved, and while one program is measured the others stand still. A row compares
requests per CPU second of the program's processes (without its database server), so that other work
on the machine disturbs it little. What the service does after its answers, such as the numbering of
events, counts for the operation that caused it.
"""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks import subjects
from benchmarks.load import request_bytes, run
from benchmarks.report import Outcome, compare, median, percentile
from benchmarks.subjects import (
    SIMPLE_GREEN,
    WITH_REDIS,
    BareApp,
    Checkout,
    Order,
    SimpleApp,
    Subject,
    idle_loads,
    others_stopped,
)

ROUNDS = 3
CLIENTS = (1, 16, 64)
REACH_AT = 16
"""The number of clients for which the bounds are."""
REQUESTS = 160
WARMING_REQUESTS = 160
"""Sent before each slot and not measured: another program has just had the processor's caches."""
PREPARING_CLIENTS = 16
REQUESTS_PER_CLIENT_MIN = 4
IDLE_SECONDS = 5.0
FIRST_QR_MS_MAX = 1.5

Requests = Sequence[bytes]


@dataclass
class Sample:
    """A measured slot of one subject."""

    cpu_ms: float
    """Of its processes, for one request or visit; without what they use while nobody asks."""
    database_cpu_ms: float
    per_second: float
    p99_ms: float


@dataclass(frozen=True)
class Operation:
    """A kind of request, how each subject is asked for it, and the bounds of the ratios."""

    name: str
    prepare: Callable[[Subject, int], Requests | None]
    """The requests of so many units, built before the measurement; None if the subject has no such
    thing. A unit is a request, or a visit of a page."""
    expect: int | Container[int] = 200
    bounds: dict[str, float] = field(default_factory=dict)
    """By the subject that the service is compared with."""
    bounds_with_redis: tuple[str, ...] = ()
    """The subjects with which the service beside Redis is compared too, by the same bounds."""
    weight: int = 1
    """So many times REQUESTS are sent: short ones need more of them."""
    expect_bare: int | None = None
    """The bare app's status, if it is another one."""
    is_write: bool = False
    """Whether the service does a part of the work after the answer."""


def measure(
    folder: Path, engine: str, against: Path | None = None, rounds: int = ROUNDS
) -> tuple[list[Outcome], dict[str, Any]]:
    """The outcomes, and all samples."""
    names = ("service", WITH_REDIS, "bare", "simple", SIMPLE_GREEN)
    with subjects.open_subjects(folder, engine, names, against) as running:
        return measure_running(running, rounds, CLIENTS, REQUESTS)


def measure_running(
    running: dict[str, Subject],
    rounds: int,
    clients: Sequence[int],
    requests: int,
    idle_seconds: float = IDLE_SECONDS,
) -> tuple[list[Outcome], dict[str, Any]]:
    """As `measure`, with subjects that run."""
    samples: dict[tuple[str, int, str], list[Sample]] = {}
    for subject in running.values():  # opens the connections to the database
        _new(subject, max(clients) * REQUESTS_PER_CLIENT_MIN, max(clients))
    idle = idle_loads(running.values(), idle_seconds)
    for number in range(rounds):
        order = list(running.values())
        for operation in operations():
            for many in clients:
                for subject in order if number % 2 == 0 else reversed(order):
                    each = max(requests, many * REQUESTS_PER_CLIENT_MIN) * operation.weight
                    with others_stopped(subject, order):
                        sample = _sample(subject, operation, many, each, idle[subject.name])
                    if sample is not None:
                        key = (operation.name, many, subject.name)
                        samples.setdefault(key, []).append(sample)
    outcomes = [
        outcome
        for operation in operations()
        for many in clients
        for outcome in _outcomes(operation, many, running, samples)
    ]
    rows = [
        {"operation": name, "clients": many, "subject": subject, "rounds": list(map(asdict, own))}
        for (name, many, subject), own in samples.items()
    ]
    return outcomes, {"http": rows}


def operations() -> list[Operation]:
    """What is measured."""
    return [
        Operation(
            "create with a key",
            lambda one, number: [one.create() for _ in range(number)],
            201,
            {"bare": 0.6, "simple": 6.0},
            ("bare", "simple"),
            weight=3,
            is_write=True,
        ),
        Operation(
            "create without credentials",
            _creations_without_key,
            201,
            {"bare": 0.6},
            weight=3,
            is_write=True,
        ),
        Operation("confirm", _confirmations, 200, {"bare": 0.5}, weight=3, is_write=True),
        Operation(
            "status 304",
            _status_304,
            304,
            {"bare": 0.7, "its own 200": 1.3},
            weight=4,
            expect_bare=200,
        ),
        Operation("status 200", _status_200, 200, weight=2),
        Operation("page, first", _first_pages, 200),
        Operation("page, again", lambda one, number: [_page(one, _new(one, 1)[0])] * number),
        Operation("visit: page with its QR, first", _first_visits, 200, {"simple": 1.5}),
        Operation("visit, again", _later_visits, (200, 304), {"simple": 3.0}),
        Operation("visit, again, by another browser", _visits_of_others, 200),
        Operation("QR, first made", _first_pictures, 200),
        Operation("QR, again", _later_pictures, 200, {"bare": 0.7}, weight=2),
    ]


def _creations_without_key(subject: Subject, number: int) -> Requests:
    return [subject.create(has_key=False) for _ in range(number)]


def _confirmations(subject: Subject, number: int) -> Requests:
    return [subject.confirm(order) for order in _new(subject, number)]


def _status_304(subject: Subject, number: int) -> Requests | None:
    return _status(subject, number, {"If-None-Match": 'W/"pending-1"'})


def _status_200(subject: Subject, number: int) -> Requests | None:
    return _status(subject, number, {})


def _status(subject: Subject, number: int, headers: dict[str, str]) -> Requests | None:
    if isinstance(subject, SimpleApp):
        return None
    path = subject.status(_new(subject, 1)[0])
    return [request_bytes("GET", path, headers={**subjects.POLL, **headers})] * number


def _first_pages(subject: Subject, number: int) -> Requests:
    return [_page(subject, order) for order in _new_to_look_at(subject, number)]


def _first_visits(subject: Subject, number: int) -> Requests:
    pairs = [(_page(subject, order), _picture(order)) for order in _new_to_look_at(subject, number)]
    return [request for pair in pairs for request in pair]


def _later_visits(subject: Subject, number: int) -> Requests:
    """A browser comes back: it asks for the picture unless it may use it again, then by its tag."""
    order = _new(subject, 1)[0]
    picture = re.search(r'src="([^"]*qr_code[^"]*|/picture\.png)"', _text(subject, order))
    assert picture is not None, "the page has no QR"
    address = picture[1].removeprefix(f"http://127.0.0.1:{subject.port}")
    with urllib.request.urlopen(f"http://127.0.0.1:{subject.port}{address}", timeout=20) as answer:
        caching, tag = answer.headers.get("Cache-Control", ""), answer.headers.get("ETag")
    visit = [_page(subject, order)]
    if "max-age=" not in caching:
        condition = {"If-None-Match": tag} if tag else {}
        visit.append(request_bytes("GET", address, headers={**subjects.PICTURE, **condition}))
    return visit * number


def _text(subject: Subject, order: Order) -> str:
    """The page of the payment."""
    address = f"http://127.0.0.1:{subject.port}{subject.page(order)}"
    request = urllib.request.Request(address, headers={"Accept": subjects.PAGE["Accept"]})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(answer.read().decode())


def _visits_of_others(subject: Subject, number: int) -> Requests:
    """Other browsers look at the same payment."""
    order = _new(subject, 1)[0]
    return [_page(subject, order), _picture(order)] * number


def _first_pictures(subject: Subject, number: int) -> Requests:
    return [_picture(order) for order in _new_to_look_at(subject, number)]


def _later_pictures(subject: Subject, number: int) -> Requests:
    return [_picture(_new(subject, 1)[0])] * number


def _page(subject: Subject, order: Order) -> bytes:
    return request_bytes("GET", subject.page(order), headers=subjects.PAGE)


def _picture(order: Order) -> bytes:
    return request_bytes("GET", order.picture, headers=subjects.PICTURE)


def _new_to_look_at(subject: Subject, number: int) -> list[Order]:
    """New payments to look at; the plain apps remember nothing, so a few are enough for them."""
    if isinstance(subject, Checkout):
        return _new(subject, number)
    few = _new(subject, min(number, PREPARING_CLIENTS))
    return list(islice(cycle(few), number))


def _new(subject: Subject, number: int, clients: int = PREPARING_CLIENTS) -> list[Order]:
    requests = [subject.create() for _ in range(number)]
    load = run(subject.port, requests, clients=min(number, clients), expect=201)
    return [subject.order(body) for body in load.bodies]


def _sample(
    subject: Subject, operation: Operation, clients: int, number: int, idle: tuple[float, float]
) -> Sample | None:
    few = min(number, WARMING_REQUESTS)
    requests = operation.prepare(subject, few + number)
    if requests is None:
        return None
    each = len(requests) // (few + number)  # a visit may be two requests
    warming, measured = requests[: few * each], requests[few * each :]
    expect = operation.expect
    if isinstance(subject, BareApp) and operation.expect_bare:
        expect = operation.expect_bare
    time.sleep(subject.later_seconds)  # what `prepare` made it do is not of this operation
    run(subject.port, warming, clients=clients, expect=expect)
    if operation.is_write:
        time.sleep(subject.later_seconds)
    begin, started = subject.seconds(), time.monotonic()
    load = run(subject.port, measured, clients=clients, expect=expect)
    if operation.is_write:
        time.sleep(subject.later_seconds)
    own, database = subject.busy_seconds(begin, time.monotonic() - started, idle)
    return Sample(
        own * 1000 / number,
        database * 1000 / number,
        load.requests_per_second,
        percentile(load.latencies, 0.99) * 1000,
    )


def _outcomes(
    operation: Operation,
    clients: int,
    running: dict[str, Subject],
    samples: dict[tuple[str, int, str], list[Sample]],
) -> list[Outcome]:
    """One row for each subject that the service is compared with."""
    name = f"{operation.name}, {clients} client{'s' if clients > 1 else ''}"
    ours = samples.get((operation.name, clients, "service"), [])
    pairs = [
        (other, samples.get((operation.name, clients, other), []))
        for other in running
        if other not in ("service", WITH_REDIS)
    ]
    with_redis = samples.get((operation.name, clients, WITH_REDIS), [])
    if operation.name.startswith("status 304"):
        pairs.append(("its own 200", samples[("status 200", clients, "service")]))
    outcomes = [
        _compare(f"{name} / {other}", ours, theirs, operation.bounds.get(other), clients)
        for other, theirs in pairs
        if theirs
    ]
    outcomes += [
        _compare(
            f"{name} / {other}, with Redis",
            with_redis,
            theirs,
            operation.bounds.get(other),
            clients,
        )
        for other, theirs in pairs
        if with_redis and theirs and other in operation.bounds_with_redis
    ]
    if operation.name == "QR, first made":
        milliseconds = [sample.cpu_ms for sample in ours]
        limit = [FIRST_QR_MS_MAX] * len(ours)
        bound = 1.0 if clients == REACH_AT else None
        unit = "ms of CPU; bare is the limit"
        outcomes.append(compare(f"{name} / limit", milliseconds, limit, unit, bound, "lower"))
    return outcomes


def _compare(
    name: str, ours: list[Sample], theirs: list[Sample], bound: float | None, clients: int
) -> Outcome:
    milliseconds, rates, waits = (
        f"{median([getattr(sample, field_) for sample in ours]):{form}} against "
        f"{median([getattr(sample, field_) for sample in theirs]):{form}}"
        for field_, form in (("cpu_ms", ".2f"), ("per_second", ".0f"), ("p99_ms", ".0f"))
    )
    return compare(
        name,
        [1000 / sample.cpu_ms for sample in ours],
        [1000 / sample.cpu_ms for sample in theirs],
        "req per CPU s",
        bound if clients == REACH_AT else None,
        "higher",
        f"{milliseconds} ms of CPU; {rates} req/s; p99 {waits} ms",
    )
