"""Five receivers, two processes, a kill -9, a database that stops: the good one misses nothing.

The receivers are: dead (nobody listens), hanging, failing every second time, gone (410), and good.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import pytest

from core.clock import SystemClock
from tests.faults.storm import UNREACHABLE, wait_until
from tests.support.databases import create_database
from tests.webhooks.shops import open_shop

pytestmark = [pytest.mark.slow, pytest.mark.mysql]

PAYMENTS = 40
SENDERS = 4


@pytest.fixture
def shops():
    """The four receivers that listen, by kind, and the URL where nobody does."""
    with ExitStack() as opened:
        shops = {
            kind: opened.enter_context(open_shop(SystemClock()))
            for kind in ("good", "hanging", "flaky", "gone")
        }
        release = threading.Event()
        opened.callback(release.set)
        shops["hanging"].answer = lambda _: (200 if release.wait(20) else 500, {})
        shops["flaky"].answer = lambda _: (200 + 300 * (len(shops["flaky"].events) % 2), {})
        shops["gone"].answer = lambda _: (410, {})
        yield shops


def test_the_good_receiver_hears_of_everything(serve, private_server, tmp_path, shops):
    """In order per payment; what comes twice has the same id and the same bytes."""
    server = private_server("mysql")
    url = create_database(server.url)
    one = serve(DATABASE_URL=url, instance=tmp_path / "one", is_first_start=True)
    other = serve(DATABASE_URL=url, instance=tmp_path / "other")
    for address in [*(shop.url for shop in shops.values()), "http://127.0.0.1:9/"]:
        body = json.dumps({"url": address}).encode()
        status, answer, _ = one.request(
            "POST", "/webhooks", body, {"Content-Type": "application/json"}
        )
        assert status == 201, answer
    created: list[str] = []

    def sell(_number):
        while True:
            with suppress(AssertionError, *UNREACHABLE):
                payment = one.create()
                break
            time.sleep(0.2)
        created.append(payment["id"])
        while True:
            with suppress(*UNREACHABLE):
                if one.tell(payment)[0] == 200:
                    return
            time.sleep(0.2)

    with ThreadPoolExecutor(SENDERS) as senders:
        sales = [senders.submit(sell, number) for number in range(PAYMENTS)]
        wait_until(lambda: len(created) >= PAYMENTS // 4, 60, "a quarter of the payments")
        other.kill()
        wait_until(lambda: len(created) >= PAYMENTS // 2, 60, "half of the payments")
        server.stop()
        time.sleep(2)
        server.start()
        for sale in sales:
            sale.result(timeout=120)

    expected = {(payment, f"payment.{what}") for payment in created for what in WHAT}

    def events_of_the_good_one():
        return {
            (event["data"]["id"], event["type"])
            for event in list(shops["good"].events)
            if event["type"] != "ping"
        }

    wait_until(
        lambda: events_of_the_good_one() >= expected, 90, "the good receiver has every event"
    )
    assert events_of_the_good_one() == expected
    bodies = defaultdict(set)
    for body in shops["good"].bodies:
        bodies[json.loads(body)["id"]].add(body)
    assert all(len(one_body) == 1 for one_body in bodies.values())
    ids = Counter(
        (event["data"]["id"], event["type"])
        for event in {event["id"]: event for event in shops["good"].events}.values()
        if event["type"] != "ping"
    )
    assert set(ids.values()) == {1}
    first: dict[tuple[str, str], int] = {}
    for place, event in enumerate(shops["good"].events):
        first.setdefault((event["data"].get("id"), event["type"]), place)
    assert all(
        first[payment, "payment.created"] < first[payment, "payment.confirmed"]
        for payment in created
    )
    assert len(shops["gone"].events) == 1
    assert "Traceback" not in one.log()


WHAT = ("created", "confirmed")
