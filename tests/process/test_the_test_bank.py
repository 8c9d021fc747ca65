"""The service in production serves the bank of test halves, over HTTP and with its jobs."""

from __future__ import annotations

import json
import time

import pytest

from tests.support.ports import free_port
from tests.support.two_halves import shop_in_production

PIN = "1234"
WITHIN_SECONDS = 20


class Shop:
    """A service in production, and the keys of Alice's two halves."""

    def __init__(self, service, keys):
        self.service, self._keys = service, keys

    def create(self, half, **fields):
        """Create a payment of a half; the status and the answer."""
        headers = {"Authorization": f"Bearer {self._keys[half]}"}
        body = json.dumps({"value": "54.90", **fields}).encode()
        status, answer = self.post("/payments/pix", body, headers)
        return status, answer.get("payment", answer)

    def pay(self, payment, **fields):
        """Pay the code at the test bank, as Bia."""
        body = {"code": payment["pix_code"], "payer": "bia", "pin": PIN, **fields}
        return self.post("/bank/api/pay", json.dumps(body).encode(), {})

    def refund(self, half, payment, **fields):
        """Give money of a half's payment back; the status and the answer."""
        headers = {"Authorization": f"Bearer {self._keys[half]}"}
        path = f"/payments/pix/{payment['id']}/refunds"
        return self.post(path, json.dumps(fields).encode(), headers)

    def refunds_of(self, half, payment):
        """The refunds of a half's payment."""
        path = f"/payments/pix/{payment['id']}/refunds"
        headers = {"Authorization": f"Bearer {self._keys[half]}"}
        _status, data, _ = self.service.request("GET", path, None, headers)
        return json.loads(data)

    def post(self, path, body, headers):
        headers = {"Content-Type": "application/json", **headers}
        status, data, _ = self.service.request("POST", path, body, headers)
        return status, json.loads(data)

    def status_of(self, payment, *awaited):
        """The payment's status, once it is among `awaited`, or after WITHIN_SECONDS."""
        limit = time.monotonic() + WITHIN_SECONDS
        while (now := self.service.payment(payment["id"])["status"]) not in awaited:
            if time.monotonic() > limit:
                break
            time.sleep(0.1)
        return now


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The service, on an http address, as behind a proxy; the bank of live money is away."""
    away = {"BANK_URL": f"http://127.0.0.1:{free_port()}", "RECONCILE_INTERVAL_SECONDS": 1}
    folder = tmp_path_factory.mktemp("production")
    with shop_in_production(folder, **away) as (service, keys):
        yield Shop(service, keys)


def test_a_test_is_paid_at_the_test_bank(shop):
    """By a sample client, at the address that the banner prints."""
    status, payment = shop.create("test")
    assert (status, payment["livemode"]) == (201, False)
    status, paid = shop.pay(payment)
    assert status == 200, paid
    assert shop.status_of(payment, "confirmed") == "confirmed"
    assert f"{shop.service.url}/bank/\n" in shop.service.log()


def test_a_live_code_at_the_test_bank_returns_the_money_and_stays_payable(shop):
    """Somebody scans the wrong code: the test bank hears of no such payment."""
    status, payment = shop.create("live")
    assert (status, payment["livemode"]) == (201, True)
    before = shop.service.payment(payment["id"])
    status, paid = shop.pay(payment)
    assert (status, paid["status"]) == (200, "returned")
    assert "not-found" in json.dumps(paid["answer"])
    after = shop.service.payment(payment["id"])
    assert {**after, "remaining_ms": 0} == {**before, "remaining_ms": 0}
    assert (after["status"], after["refusal"]) == ("pending", None)


def test_the_robot_pays_tests_alone(shop):
    """The field `test` orders it; for real money the field is refused."""
    status, payment = shop.create("test", test={})
    assert status == 201, payment
    assert shop.status_of(payment, "confirmed") == "confirmed"
    status, refusal = shop.create("live", test={})
    assert (status, refusal["code"]) == (400, "invalid-request")
    assert [error["field"] for error in refusal["errors"]] == ["test"]


def test_a_refund_of_a_test_is_given_back_by_the_test_bank(shop):
    """A live key cannot order it, and the order to the other bank would find nobody."""
    _, payment = shop.create("test")
    assert shop.pay(payment)[0] == 200
    assert shop.status_of(payment, "confirmed") == "confirmed"
    assert shop.refund("live", payment, value="4.90")[0] == 404
    status, answer = shop.refund("test", payment, value="4.90", refund_id="R1")
    assert status in (200, 201, 202), answer
    limit = time.monotonic() + WITHIN_SECONDS
    while (refunds := shop.refunds_of("test", payment))[0]["status"] == "processing":
        assert time.monotonic() < limit, refunds
        time.sleep(0.1)
    assert [(one["status"], one["value"]) for one in refunds] == [("done", 4.9)]
    status, answer = shop.refund("test", payment, value="4.90", refund_id="R1")
    assert (status, answer["status"]) == (201, "done")
    assert len(shop.refunds_of("test", payment)) == 1


def test_a_lost_confirmation_of_the_test_bank_is_looked_up(shop):
    """While the other bank answers nothing at all."""
    _, waits = shop.create("live")
    _, payment = shop.create("test")
    assert shop.pay(payment, scenario="lost")[0] == 200
    assert shop.status_of(payment, "confirmed") == "confirmed"
    assert shop.status_of(waits, "pending") == "pending"
    assert "bank.away" in shop.service.log()


@pytest.mark.parametrize("path", ["/bank/chaos", "/bank/doctor", "/bank/api/chaos"])
def test_strangers_find_no_tools_at_the_test_bank(shop, path):
    """On a public address they could slow every test down, or start bursts."""
    assert shop.service.get(path)[0] == 404


def test_the_test_banks_pages_say_that_no_money_is_real(shop):
    status, page = shop.service.get("/bank/login", accept="text/html")
    assert status == 200
    assert "nenhum dinheiro real" in page.decode()
    assert "/bank/chaos" not in page.decode()
