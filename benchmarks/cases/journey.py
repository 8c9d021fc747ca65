"""A whole payment: CPU time of the service and of its database, and payments per core and hour.

A shop's server creates the payment with an API key; a browser loads the page with its files, opens
its socket, waits and polls as the page does; the bank confirms; the event arrives; the browser
draws the new state and opens the receipt. Every second browser was here before and has a cache.

All subjects are measured at the same time, so all of them have the same machine. What each uses
while nobody pays is measured before, and subtracted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import subjects
from benchmarks.browser import ANSWER_SECONDS, Browser, LiveSocket, Page, run_alone
from benchmarks.load import request_bytes
from benchmarks.report import Outcome, compare, median, percentile
from benchmarks.subjects import POLL, Checkout, Order, SimpleApp, Subject, idle_loads

ROUNDS = 3
JOURNEYS = 150
WAIT_SECONDS = 60.0
STARTS_WITHIN_SECONDS = 25.0
IDLE_SECONDS = 10.0
HALF = 0.5
JITTER = 0.1
"""The poller's intervals differ by so much."""


@dataclass(frozen=True)
class Plan:
    """How many journeys a round has, how long each waits, and within which time they start."""

    journeys: int = JOURNEYS
    wait_seconds: float = WAIT_SECONDS
    starts_within_seconds: float = STARTS_WITHIN_SECONDS
    idle_seconds: float = IDLE_SECONDS


@dataclass
class Cost:
    """CPU milliseconds of one journey in one round, and what its browser saw."""

    cpu_ms: float
    database_cpu_ms: float
    requests: float
    """HTTP requests."""
    messages: float
    """Over the websocket."""
    event_p99_ms: float
    """From the bank's request to the event."""
    refusals: int
    """503s of polls: a busy machine has some, and then the costs are not those of a quiet one."""

    @property
    def per_core_hour(self) -> float:
        """Journeys that one core carries in an hour, its database not counted."""
        return 3_600_000 / self.cpu_ms


@dataclass
class _Record:
    requests: int
    messages: int
    event_seconds: float
    refusals: int


def measure(
    folder: Path, engine: str, against: Path | None = None, rounds: int = ROUNDS
) -> tuple[list[Outcome], dict[str, Any]]:
    """The outcomes, and all costs."""
    with subjects.open_subjects(folder, engine, ("service", "bare", "simple"), against) as running:
        return measure_running(running, rounds, Plan())


def measure_running(
    running: dict[str, Subject], rounds: int, plan: Plan
) -> tuple[list[Outcome], dict[str, Any]]:
    """As `measure`, with subjects that run."""
    costs = run_alone(_measure(list(running.values()), rounds, plan))
    outcomes = []
    for name, theirs in costs.items():
        if name != "service":
            outcomes += _compare(name, costs["service"], theirs)
    samples = {name: [asdict(cost) for cost in own] for name, own in costs.items()}
    return outcomes, {"journey": {"plan": asdict(plan), "subjects": samples}}


async def _measure(running: Sequence[Subject], rounds: int, plan: Plan) -> dict[str, list[Cost]]:
    caches = {one.name: await _warm_up(one) for one in running}
    idle = idle_loads(running, plan.idle_seconds)
    costs: dict[str, list[Cost]] = {one.name: [] for one in running}
    for _ in range(rounds):
        started = time.monotonic()
        begin = {one.name: one.seconds() for one in running}
        records = await asyncio.gather(*(_journeys(one, plan, caches[one.name]) for one in running))
        elapsed = time.monotonic() - started
        for one, own in zip(running, records, strict=True):
            busy = one.busy_seconds(begin[one.name], elapsed, idle[one.name])
            costs[one.name].append(_cost(busy, own))
    return costs


def _cost(busy: Sequence[float], records: Sequence[_Record]) -> Cost:
    many = len(records)
    return Cost(
        busy[0] * 1000 / many,
        busy[1] * 1000 / many,
        sum(record.requests for record in records) / many,
        sum(record.messages for record in records) / many,
        percentile([record.event_seconds for record in records], 0.99) * 1000,
        sum(record.refusals for record in records),
    )


async def _warm_up(subject: Subject) -> dict[str, Page]:
    """One journey that is not measured; what its browser has cached afterwards."""
    shop, bank, browser = (Browser(subject.port, number) for number in range(3))
    await _journey(subject, (shop, bank, browser), 2, 0.0)
    files = {path: page for path, page in browser.cache.items() if "/static/" in path}
    for one in (shop, bank, browser):
        one.close()
    return files


async def _journeys(subject: Subject, plan: Plan, cache: dict[str, Page]) -> list[_Record]:
    """All journeys of a round."""
    shop, bank = Browser(subject.port, 0), Browser(subject.port, 1)

    async def start(number: int) -> _Record:
        await asyncio.sleep(plan.starts_within_seconds * number / plan.journeys)
        browser = Browser(subject.port, number + 2, cache if number % 2 else None)
        try:
            people = (shop, bank, browser)
            return await _journey(subject, people, number + 2, plan.wait_seconds)
        finally:
            browser.close()

    records = await asyncio.gather(*(start(number) for number in range(plan.journeys)))
    shop.close()
    bank.close()
    return records


async def _journey(
    subject: Subject, people: tuple[Browser, Browser, Browser], number: int, wait_seconds: float
) -> _Record:
    shop, bank, browser = people
    order = subject.order((await shop.send(subject.create(), 201)).body)
    await browser.visit(subject.page(order))
    if isinstance(subject, Checkout):
        trace = request_bytes("POST", f"{subject.page(order)}/trace", b'{"what":"opened"}', POLL)
        await browser.send(trace, 200, 202, 204, 503)
    live = LiveSocket()
    await live.open(subject.port, number)
    if (watch := subject.watch(order)) is not None:
        answer = live.expect("430")
        live.send(watch)
        assert '"ok":true' in (await answer).replace(" ", "")
    polls = asyncio.create_task(_poll(subject, order, browser))
    await asyncio.sleep(wait_seconds)
    event = live.expect(subject.event(order))
    started = time.perf_counter()
    await bank.send(subject.confirm(order), 200)
    async with asyncio.timeout(ANSWER_SECONDS):
        await event
    elapsed = time.perf_counter() - started
    polls.cancel()
    await asyncio.gather(polls, return_exceptions=True)
    await _see_the_end(subject, order, browser)
    live.close()
    return _Record(browser.requests + 2, live.messages, elapsed, browser.refusals)


async def _poll(subject: Subject, order: Order, browser: Browser) -> None:
    """Ask for the state beside the socket, as the page does."""
    if not subject.pace:
        return
    started, tag = time.monotonic(), None
    while True:
        age = time.monotonic() - started
        every = next(step.every for step in subject.pace if age < step.until)
        await asyncio.sleep(every * random.uniform(1 - JITTER, 1 + JITTER))
        headers = dict(POLL)
        if tag is not None:
            headers["If-None-Match"] = tag
        request = request_bytes("GET", subject.status(order), headers=headers)
        tag = (await browser.send(request, 200, 304, 503)).tag or tag  # a page polls on


async def _see_the_end(subject: Subject, order: Order, browser: Browser) -> None:
    """What a page does after the event: draw the state, and the shopper opens the receipt."""
    if isinstance(subject, Checkout):
        path = f"{subject.page(order)}?fragment=state&lang=pt-BR"
        headers = {**POLL, "Accept": "text/html"}
        state = await browser.send(request_bytes("GET", path, headers=headers), 200)
        assert b'data-page="confirmed"' in state.body
        await browser.load_files(state.body.decode())
        await browser.visit(subject.receipt(order))
    elif isinstance(subject, SimpleApp):
        assert "Pagamento confirmado" in await browser.visit(subject.page(order))


def _compare(other: str, ours: list[Cost], theirs: list[Cost]) -> list[Outcome]:
    own, its = ([cost.cpu_ms for cost in side] for side in (ours, theirs))
    database = [[cost.database_cpu_ms for cost in side] for side in (ours, theirs)]
    hourly = " against ".join(
        f"{median([cost.per_core_hour for cost in side]):,.0f}" for side in (ours, theirs)
    )
    requests = f"{median([cost.requests for cost in ours]):.0f} requests"
    waits = " against ".join(
        f"{median([cost.event_p99_ms for cost in side]):.0f}" for side in (ours, theirs)
    )
    refusals = sum(cost.refusals for cost in (*ours, *theirs))
    note = f"{hourly} per core and hour; {requests}; event p99 {waits} ms"
    if refusals:
        note += f"; {refusals} polls refused"
    bound = HALF if other == "before" else None
    outcomes = [compare(f"journey / {other}", own, its, "ms of CPU", bound, "lower", note)]
    if all(value == value for side in database for value in side):
        name = f"journey, database / {other}"
        outcomes.append(compare(name, database[0], database[1], "ms of CPU", None, "lower"))
    return outcomes
