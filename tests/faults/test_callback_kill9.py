"""kill -9 while callbacks of API Pix are sent: the shop hears of every Pix all the same."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial

import pytest
import sqlalchemy as sa

from core.clock import SystemClock
from db_models import WebhookDelivery, WebhookEndpoint
from tests.db.tables import Tables
from tests.faults.storm import Storm, wait_until
from tests.support.service import PIX_KEY
from tests.webhooks.shops import open_shop

pytestmark = pytest.mark.slow

PAYMENTS = 40
KILLED_AFTER = (1, 2)  # calls
ANSWER_SECONDS = 0.1
SETTLED_SECONDS = 60
"""Longer than the lease of a delivery that a killed process was sending."""


@pytest.mark.timeout(150)
def test_a_service_killed_while_it_sends_callbacks_loses_none(serve, any_database_url):
    """A call may come twice; each delivery ends once, with its attempts."""
    service = serve(DATABASE_URL=any_database_url, DEMO_PIX_KEY=PIX_KEY, WEBHOOK_ALLOW_PRIVATE="1")
    tables = Tables(any_database_url)
    with open_shop(SystemClock()) as shop:
        shop.answer = slow_success
        tables.insert(
            WebhookEndpoint,
            {
                "public_id": "a" * 32,
                "merchant_id": tables.merchant_id(),
                "kind": "pix",
                "pix_key": PIX_KEY,
                "url": shop.url,
                "secret": "",
                "enabled": True,
                "is_gone": False,
                "created_at": SystemClock().now(),
            },
        )
        payments = [service.create(order_id=f"order-{n}") for n in range(PAYMENTS)]
        with Storm(service, payments) as storm:
            for calls in KILLED_AFTER:
                wait_until(partial(has_calls, shop, calls), 30, f"{calls} calls")
                service.kill()
                service.start()
            wait_until(storm.is_over, SETTLED_SECONDS, "every notification answered")
        wait_until(lambda: len(txids(shop)) == PAYMENTS, SETTLED_SECONDS, "every Pix at the shop")
        all_ended = sa.select(WebhookDelivery.status)
        wait_until(
            lambda: {row.status for row in tables.rows(all_ended)} == {"delivered"},
            SETTLED_SECONDS,
            "every delivery ended",
        )

    assert set(txids(shop)) == {payment["id"] for payment in payments}
    assert storm.refusals == []
    deliveries = tables.rows(
        "SELECT d.id FROM webhook_deliveries d JOIN webhook_attempts a ON a.delivery_id = d.id"
        " WHERE a.status = 200"
    )
    assert len({row.id for row in deliveries}) == PAYMENTS
    assert service.stop() == 0
    assert "Traceback" not in service.log()


def slow_success(_event):
    """Take the call after a while, so that a kill finds calls under way."""
    time.sleep(ANSWER_SECONDS)
    return 200, {}


def has_calls(shop, number):
    """Whether the shop was called this often."""
    return len(shop.events) >= number


def txids(shop):
    """How often the shop heard of each txid."""
    return Counter(pix["txid"] for event in list(shop.events) for pix in event["pix"])
