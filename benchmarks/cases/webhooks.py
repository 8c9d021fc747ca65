"""The delay from a change to a good receiver, beside receivers that are dead, slow, failing, gone.

The same service is measured with the good receiver alone and then with the four others, so the
ratio says how much a good receiver suffers from bad ones.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.processes import own_server
from benchmarks.report import Outcome, percentile
from tests.faults.storm import wait_until
from tests.faults.webhook_storm import DEAD_URL, create_webhook, open_shops
from tests.support.service import ServiceProcess
from tests.webhooks.shops import Shop

PAYMENTS = 250
"""Each has two events."""
EVENTS_PER_SECOND = 30
HANGING_SECONDS = 20
P99_BOUND = 3.0


def measure(folder: Path, database_url: str, rounds: int = 1) -> list[Outcome]:
    """Measure p99 from the answer to a change until the good receiver has its event."""
    with ExitStack() as stack:
        shops = stack.enter_context(open_shops(HANGING_SECONDS))
        good = shops.pop("good")
        service = stack.enter_context(own_server(folder, database_url))
        create_webhook(service, good.url)
        alone = _delays(service, good)
        for url in (*(shop.url for shop in shops.values()), DEAD_URL):
            create_webhook(service, url)
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
