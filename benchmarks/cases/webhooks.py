"""The delay from a change to a good receiver, beside receivers that are dead, slow, failing, gone.

The same service is measured with the good receiver alone and then with the four others, so the
ratio says how much a good receiver suffers from bad ones.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.processes import own_server
from benchmarks.report import Outcome, percentile
from core.clock import SystemClock
from tests.faults.storm import wait_until
from tests.support.service import ServiceProcess
from tests.webhooks.shops import Shop, open_shop

PAYMENTS = 250
"""Each has two events."""
EVENTS_PER_SECOND = 30
HANGING_SECONDS = 20
P99_BOUND = 3.0


def measure(folder: Path, database_url: str, rounds: int = 1) -> list[Outcome]:
    """Measure p99 from the answer to a change until the good receiver has its event."""
    with ExitStack() as stack:
        good, hanging, flaky, leaving = (
            stack.enter_context(open_shop(SystemClock())) for _ in range(4)
        )
        hanging.answer = _hang
        flaky.answer = lambda _: (500 if len(flaky.events) % 2 else 200, {})
        leaving.answer = lambda _: (410, {})
        service = stack.enter_context(own_server(folder, database_url))
        _register(service, good.url)
        alone = _delays(service, good)
        for url in (hanging.url, flaky.url, leaving.url, "http://127.0.0.1:9/"):
            _register(service, url)
        beside = _delays(service, good)
    return [
        Outcome(
            "change to webhook, p99, beside four bad receivers and alone",
            percentile(beside, 0.99) * 1000,
            percentile(alone, 0.99) * 1000,
            "ms",
            P99_BOUND,
            "lower",
            rounds,
            "p50 {:.0f} against {:.0f}".format(
                *(percentile(side, 0.5) * 1000 for side in (beside, alone))
            ),
        )
    ]


def _hang(_event: dict[str, Any]) -> tuple[int, dict[str, str]]:
    time.sleep(HANGING_SECONDS)
    return 200, {}


def _register(service: ServiceProcess, url: str) -> None:
    body = json.dumps({"url": url}).encode()
    status, answer, _ = service.request(
        "POST", "/webhooks", body, {"Content-Type": "application/json"}
    )
    assert status == 201, answer


def _delays(service: ServiceProcess, shop: Shop) -> list[float]:
    """Create and confirm payments at a steady rate; return the delay of each event."""
    changed_at: dict[tuple[str, str], float] = {}
    begin, start = len(shop.events), time.monotonic()
    for number in range(PAYMENTS):
        time.sleep(max(0.0, start + 2 * number / EVENTS_PER_SECOND - time.monotonic()))
        payment = service.create()
        changed_at[payment["id"], "payment.created"] = time.monotonic()
        assert service.tell(payment)[0] == 200
        changed_at[payment["id"], "payment.confirmed"] = time.monotonic()

    def arrivals() -> dict[tuple[str, str], float]:
        pairs = list(zip(shop.events, shop.arrived_at, strict=False))[begin:]
        return {_key(event): at for event, at in reversed(pairs) if event["type"] != "ping"}

    wait_until(lambda: arrivals().keys() >= changed_at.keys(), 120, "every event arrived")
    arrived_at = arrivals()
    return [arrived_at[key] - at for key, at in changed_at.items()]


def _key(event: dict[str, Any]) -> tuple[str, str]:
    return event["data"]["id"], event["type"]
