"""Sales at a steady rate, five receivers of webhooks, two processes, a kill, a database that stops.

The receivers are: dead (nobody listens), hanging, failing every second time, gone (410), and good.
The test runs a small storm, and `make bench ARGS=webhook-storm` a large one.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from core.clock import SystemClock, rfc3339
from tests.faults.storm import UNREACHABLE, wait_until
from tests.support.servers import PrivateServer
from tests.support.service import ServiceProcess, end_to_end_id
from tests.webhooks.shops import Shop, open_shop

SENDERS = 8
DEAD_URL = "http://127.0.0.1:9/"
RETRY_SECONDS = 0.2
GIVE_UP_SECONDS = 120
Key = tuple[str, str]
"""An event, by the payment's id and the type."""


@dataclass(frozen=True)
class StormSize:
    """How large a storm is; each payment has two events, its creation and its confirmation."""

    payments: int
    events_per_second: float
    stop_seconds: float
    """How long the database is stopped; its start comes on top."""


@contextmanager
def open_shops(hanging_seconds: float) -> Iterator[dict[str, Shop]]:
    """The four receivers that listen, by kind."""
    with ExitStack() as opened:
        shops = {
            kind: opened.enter_context(open_shop(SystemClock()))
            for kind in ("good", "hanging", "flaky", "gone")
        }
        release = threading.Event()
        opened.callback(release.set)
        shops["hanging"].answer = lambda _: (
            200 if release.wait(hanging_seconds) else 500,
            {},
        )
        shops["flaky"].answer = lambda _: (200 + 300 * (len(shops["flaky"].events) % 2), {})
        shops["gone"].answer = lambda _: (410, {})
        yield shops


def create_webhook(service: ServiceProcess, url: str) -> None:
    """Create a webhook of the demo merchant."""
    body = json.dumps({"url": url}).encode()
    status, answer, _ = service.request(
        "POST", "/webhooks", body, {"Content-Type": "application/json"}
    )
    assert status == 201, answer


@dataclass
class WebhookStorm:
    """One storm; `run` returns when the good receiver has every event."""

    size: StormSize
    service: ServiceProcess
    """Takes the requests."""
    other: ServiceProcess
    """Is killed when a quarter of the payments exist."""
    server: PrivateServer
    """Stops when half of the payments exist."""
    shops: Mapping[str, Shop]
    answered_at: dict[Key, float] = field(default_factory=dict)
    """When the change was answered, a moment after its commit; by the monotonic clock."""
    began_at: float = 0.0
    stopped_at: float = 0.0
    restarted_at: float = 0.0

    def run(self) -> StormReport:
        """Sell, kill, stop and wait. Raises AssertionError if an event does not come in time."""
        for address in [*(shop.url for shop in self.shops.values()), DEAD_URL]:
            create_webhook(self.service, address)
        self.began_at = time.monotonic()
        sales_seconds = 2 * self.size.payments / self.size.events_per_second
        patience = GIVE_UP_SECONDS + sales_seconds + self.size.stop_seconds
        with ThreadPoolExecutor(SENDERS) as senders:
            sales = [senders.submit(self._sell, number) for number in range(self.size.payments)]
            self._wait_for_share(0.25, patience)
            self.other.kill()
            self._wait_for_share(0.5, patience)
            self.stopped_at = time.monotonic()
            self.server.stop()
            time.sleep(self.size.stop_seconds)
            self.server.start()
            self.restarted_at = time.monotonic()
            for sale in sales:
                sale.result(timeout=patience)
        wait_until(
            lambda: self._arrivals().keys() >= self.answered_at.keys(),
            GIVE_UP_SECONDS,
            "the good receiver has every event",
        )
        return self._report()

    def _wait_for_share(self, share: float, seconds: float) -> None:
        least = 2 * self.size.payments * share
        wait_until(lambda: len(self.answered_at) >= least, seconds, f"{share} of the events")

    def _sell(self, number: int) -> None:
        while (seconds := self._begin_of(number) - time.monotonic()) > 0:
            time.sleep(min(seconds, RETRY_SECONDS))
        payment = self._create()
        self.answered_at[payment["id"], "payment.created"] = time.monotonic()
        self._confirm(payment)
        self.answered_at[payment["id"], "payment.confirmed"] = time.monotonic()

    def _begin_of(self, number: int) -> float:
        """When a sale begins; the stop moves later ones, so that the rate stays the same."""
        away_seconds = 0.0
        if self.stopped_at:
            away_seconds = (self.restarted_at or time.monotonic()) - self.stopped_at
        return self.began_at + 2 * number / self.size.events_per_second + away_seconds

    def _create(self) -> dict[str, Any]:
        limit = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < limit:
            with suppress(AssertionError, *UNREACHABLE):  # also 503
                return self.service.create()
            time.sleep(RETRY_SECONDS)
        raise AssertionError("no payment could be created")

    def _confirm(self, payment: dict[str, Any]) -> None:
        limit = time.monotonic() + GIVE_UP_SECONDS
        notice = {"end_to_end_id": end_to_end_id(), "paid_at": rfc3339(SystemClock().now())}
        while time.monotonic() < limit:
            with suppress(*UNREACHABLE):
                if self.service.tell(payment, **notice)[0] == 200:
                    return
            time.sleep(RETRY_SECONDS)
        raise AssertionError("a payment could not be confirmed")

    def _arrivals(self) -> dict[Key, float]:
        """When each event came first."""
        good = self.shops["good"]
        pairs = list(zip(good.events, good.arrived_at, strict=False))
        return {_key(event): at for event, at in reversed(pairs) if event["type"] != "ping"}

    def _report(self) -> StormReport:
        arrivals = self._arrivals()
        good = self.shops["good"]
        events = [event for event in list(good.events) if event["type"] != "ping"]
        bodies: dict[str, set[bytes]] = defaultdict(set)
        for body in list(good.bodies):
            bodies[json.loads(body)["id"]].add(body)
        ids = defaultdict(set)
        for event in events:
            ids[_key(event)].add(event["id"])
        first = {key: place for place, key in reversed(list(enumerate(map(_key, events))))}
        payments = {payment for payment, _ in self.answered_at}
        delays, quiet_delays = [], []
        for key, answered_at in self.answered_at.items():
            delay = max(0.0, arrivals[key] - answered_at)
            delays.append(delay)
            if arrivals[key] < self.stopped_at or answered_at > self.restarted_at:
                quiet_delays.append(delay)
        types = ("payment.created", "payment.confirmed")
        return StormReport(
            delays=delays,
            quiet_delays=quiet_delays,
            repeated=len(events) - len(ids),
            lost=len(self.answered_at.keys() - arrivals.keys()),
            # A creation may have been committed although its answer was lost.
            unknown=sum(1 for key in ids if key not in self.answered_at and key[1] == types[1]),
            with_two_ids=sum(1 for own in ids.values() if len(own) > 1),
            with_two_bodies=sum(1 for own in bodies.values() if len(own) > 1),
            out_of_order=sum(1 for one in payments if first[one, types[0]] > first[one, types[1]]),
            stop_seconds=self.restarted_at - self.stopped_at,
            gone_attempts=len(self.shops["gone"].events),
            attempts=Counter({kind: len(shop.events) for kind, shop in self.shops.items()}),
        )


@dataclass(frozen=True)
class StormReport:
    """What the good receiver saw; delays in seconds from the answer to the receipt."""

    delays: list[float]
    quiet_delays: list[float]
    """Of events that came before the stop, or were committed after it."""
    repeated: int
    lost: int
    unknown: int
    with_two_ids: int
    with_two_bodies: int
    out_of_order: int
    """Payments whose confirmation came before their creation."""
    stop_seconds: float
    gone_attempts: int
    attempts: Mapping[str, int]
    """Requests to each receiver that listens."""

    def check(self) -> None:
        """Check what is promised: at least once, in order per payment, and the same bytes."""
        assert self.lost == 0
        assert (self.unknown, self.with_two_ids, self.with_two_bodies) == (0, 0, 0)
        assert self.out_of_order == 0
        assert self.gone_attempts == 1


def _key(event: Mapping[str, Any]) -> Key:
    return event["data"]["id"], event["type"]
