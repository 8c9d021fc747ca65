"""The bank's notice is lost for good: the payment is still confirmed within a minute."""

from __future__ import annotations

import json
import time
from collections import Counter
from datetime import timedelta

import pytest

from config import Settings
from payments.reconciliation import IN_FLIGHT, LEASE
from tests.db.tables import Tables
from tests.realtime.clients import Watcher
from tests.support.deadlines import bring_forward

PIN = "1234"
MINUTE = 60.0


def pay_with_lost_notice(service, payment):
    """Pay at the simulated bank, which drops its notice; return the time and the answer."""
    order = {"code": payment["pix_code"], "pin": PIN, "scenario": "lost"}
    status, body, _ = service.request(
        "POST", "/bank/api/pay", json.dumps(order).encode(), {"Content-Type": "application/json"}
    )
    assert status == 200, body
    return time.monotonic(), json.loads(body)


def wait_for_status(service, payment, status, limit):
    """Wait until the payment has this status; return the payment."""
    while True:
        current = service.payment(payment["id"])
        if current["status"] == status:
            return current
        assert time.monotonic() < limit, f"still {current['status']}"
        time.sleep(0.1)


@pytest.mark.slow
def test_a_payment_whose_notice_is_lost_for_good_is_confirmed_and_its_page_hears_it(
    serve, any_database_url
):
    """Bob paid and no notice came; his page turns green by itself, once."""
    service = serve(DATABASE_URL=any_database_url, RECONCILE_INTERVAL_SECONDS=1)
    payment, other = service.create(value="54.90"), service.create()
    with Watcher(service.url) as page:
        assert page.watch(payment)["status"] == "pending"
        _, paid = pay_with_lost_notice(service, payment)
        message = page.wait_for("payment-confirmed")
        assert (message["payment_id"], message["status"]) == (payment["id"], "confirmed")
        time.sleep(2.5)  # later runs list the same money and announce nothing
        assert Counter(page.names())["payment-confirmed"] == 1
    tables = Tables(any_database_url)
    assert tables.event_names(payment["id"]) == ["payment.created", "payment.confirmed"]
    [receipt] = tables.receipts(payment["id"])
    assert (receipt.verdict, receipt.end_to_end_id) == ("accepted", paid["end_to_end_id"])
    assert service.payment(other["id"])["status"] == "pending"
    assert "bank.away" not in service.log()


@pytest.mark.slow
def test_a_notice_lost_before_a_restart_is_made_up_for_before_anything_is_called_expired(serve):
    """Killed after Bob paid, restarted after the deadline: the first event is *confirmed*."""
    service = serve(RECONCILE_INTERVAL_SECONDS=300, SWEEP_START_GRACE_SECONDS=10)
    paid, unpaid = service.create(expires_in=10), service.create(expires_in=10)
    time.sleep(1)  # the first run is over and the next one is five minutes away
    pay_with_lost_notice(service, paid)
    service.kill()
    bring_forward(service, 0, paid, unpaid)
    service.start()
    wait_for_status(service, paid, "confirmed", time.monotonic() + 9)
    tables = Tables(f"sqlite:///{service.instance / 'balcao.sqlite3'}")
    assert tables.event_names(paid["id"]) == ["payment.created", "payment.confirmed"]
    limit = time.monotonic() + 15
    while tables.event_names(unpaid["id"])[-1] != "payment.expired":
        assert time.monotonic() < limit
        time.sleep(0.2)


@pytest.mark.slow
def test_with_the_default_settings_money_sent_in_time_overrules_a_written_expiry(serve):
    """The page said *expired* at the deadline; within a minute it says *confirmed*."""
    service = serve()
    payment = service.create(expires_in=10)
    with Watcher(service.url) as page:
        page.watch(payment)
        at, _ = pay_with_lost_notice(service, payment)
        wait_for_status(service, payment, "confirmed", at + MINUTE)
        page.wait_for("payment-confirmed")
        events = [name for name in page.names() if not name.endswith(payment["id"])]
        assert events == ["payment-expired", "payment-confirmed"]
    tables = Tables(f"sqlite:///{service.instance / 'balcao.sqlite3'}")
    names = ["payment.created", "payment.expired", "payment.confirmed"]
    assert tables.event_names(payment["id"]) == names


def test_by_the_default_settings_the_worst_case_is_within_a_minute(tmp_path):
    """The holder of the lease is killed: its lease ends, and another process's run finds the money.

    Ten seconds remain for the run itself.
    """
    interval = timedelta(
        seconds=Settings.from_env({"INSTANCE_DIR": str(tmp_path)}).reconcile_interval_seconds
    )
    worst = IN_FLIGHT + LEASE + interval
    assert worst <= timedelta(seconds=MINUTE - 10)
