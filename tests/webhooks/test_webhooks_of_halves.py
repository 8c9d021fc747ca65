"""Webhooks of a merchant and of its test half in production: apart, and under the same rules."""

from __future__ import annotations

import pytest

from config import parts_of
from tests.http.checks import add_merchant, client_of
from tests.support.halves import key_of_test_half
from tests.support.service import TEST_BANK_SECRET, BankInTest


@pytest.fixture
def halves(production_app):
    """Alice's programs with a key of each half."""
    live = client_of(production_app, add_merchant(production_app, "alice", "alice@example.com"))
    return {True: live, False: client_of(production_app, key_of_test_half(production_app, "alice"))}


def test_each_half_has_its_own_webhooks_and_secrets(halves):
    """The same address may be in both; each says whose it is, also when it is disabled."""
    endpoints = {}
    for livemode, programs in halves.items():
        answer = programs.post("/webhooks", json={"url": "https://shop.example/hook"})
        assert answer.status_code == 201, answer.text
        endpoints[livemode] = answer.json
        assert answer.json["livemode"] is livemode
    assert endpoints[True]["secret"] != endpoints[False]["secret"]
    for livemode, programs in halves.items():
        own, foreign = endpoints[livemode]["id"], endpoints[not livemode]["id"]
        listed = programs.get("/webhooks").json["data"]
        assert [(one["id"], one["livemode"]) for one in listed] == [(own, livemode)]
        for path in (f"/webhooks/{foreign}", f"/webhooks/{foreign}/deliveries"):
            assert programs.get(path).status_code == 404
        changed = programs.patch(f"/webhooks/{own}", json={"enabled": False})
        assert (changed.status_code, changed.json["livemode"]) == (200, livemode)
        assert programs.delete(f"/webhooks/{foreign}").status_code == 404


@pytest.mark.parametrize(
    "url", ["http://shop.example/hook", "https://127.0.0.1/hook", "https://10.0.0.1/hook",
            "https://169.254.169.254/latest", "https://localhost/hook", "https://[::1]/hook"],
)  # fmt: skip
def test_no_half_sends_into_the_services_own_network(halves, url):
    """A test is no excuse: it runs beside the real money."""
    for programs in halves.values():
        answer = programs.post("/webhooks", json={"url": url})
        assert (answer.status_code, answer.json["errors"][0]["field"]) == (400, "url")


def test_events_of_a_test_say_so(production_app, halves, clock):
    """In its own feed; the merchant's feed has none of them."""
    secrets = {True: {}, False: {"secret": TEST_BANK_SECRET}}
    for livemode, programs in halves.items():
        payment = programs.post("/payments/pix", json={"value": 10}).json["payment"]
        bank = BankInTest(production_app.test_client(), clock, **secrets[livemode])
        assert bank.confirm(payment).status_code == 200
        path = f"/payments/pix/{payment['id']}/refunds"
        answer = programs.post(path, json={"refund_id": "r1", "value": 1})
        # Without BANK_URL no bank can give the merchant's money back.
        assert answer.status_code == (409 if livemode else 201), answer.text
    parts_of(production_app).webhooks.worker.run_once()
    for livemode, programs in halves.items():
        events = programs.get("/events").json["data"]
        types = {event["type"] for event in events}
        assert {"payment.created", "payment.confirmed"} <= types
        assert {event["livemode"] for event in events} == {livemode}
