"""The two views of a payment: the public one for its link, the merchant's one for its shop.

Alice sells and is the demo merchant. Charlie is another merchant who got hold of a link.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from core.signing import jws
from payments.answers import PaymentObject, PublicPayment
from tests.accounts.people import Person
from tests.http.checks import add_merchant, client_of

JSON = {"Accept": "application/json"}
SECRET = "Dona Lúcia, custo 31,20"

PUBLIC = {
    # who reads the page reads these too, or needs them to pay
    "id", "bank_payment_id", "status", "paid", "value", "amount_centavos", "currency",
    "refunded_value", "pix_code", "qr_code", "qr_code_url", "payment_url", "watch_code",
    "description", "order_id", "created_at", "expiration_date", "remaining_ms", "confirmed_at",
    "end_to_end_id", "refusal", "sequence", "livemode",
}  # fmt: skip
MERCHANT_ONLY = {
    # what a shop writes for itself; a page links to its addresses only when they apply
    "metadata", "payer", "return_url", "cancel_url", "test", "provider",
}  # fmt: skip


@pytest.fixture
def alice(app) -> Any:
    """Another merchant than the demo merchant, so that credentials decide; her API key."""
    return client_of(app, add_merchant(app, "alice", "alice@example.com"))


@pytest.fixture
def payment(alice) -> dict[str, Any]:
    """A payment of Alice's, with a note that is for her alone."""
    body = {"value": "54.90", "order_id": "A-1", "metadata": {"note": SECRET}, "expires_in": 60}
    answer = alice.post("/payments/pix", json=body)
    assert answer.status_code == 201, answer.text
    sale: dict[str, Any] = answer.json["payment"]
    return sale


def read(client, payment) -> dict[str, Any]:
    """The payment as this client sees it."""
    body: dict[str, Any] = client.get(f"/payments/pix/{payment['id']}", headers=JSON).json
    return body["payment"]


def test_every_field_belongs_to_one_view(alice, client, payment):
    """A new field fails here until somebody has decided who may read it."""
    assert set(PublicPayment.model_fields) == PUBLIC
    assert set(PaymentObject.model_fields) - PUBLIC == MERCHANT_ONLY
    assert set(read(client, payment)) == PUBLIC
    assert set(read(alice, payment)) == set(payment) == PUBLIC | MERCHANT_ONLY


def test_the_merchant_reads_its_own_note(alice, payment):
    """By API key, on the payment's own address and in the list."""
    assert read(alice, payment)["metadata"] == {"note": SECRET}
    assert alice.get("/payments/pix").json["data"][0]["metadata"] == {"note": SECRET}


def test_the_merchants_cookie_and_token_show_the_note_too(app, client, payment):
    """A key, a token and a cookie of one account open the same view."""
    zoe = Person(app, "zoe")
    zoe.sign_up()
    token = client_of(app, zoe.tokens()["access_token"])
    sale = token.post("/payments/pix", json={"value": 1, "metadata": {"note": SECRET}}).json
    browser: Any = zoe.enter()

    assert read(token, sale["payment"])["metadata"] == {"note": SECRET}
    assert read(browser, sale["payment"])["metadata"] == {"note": SECRET}
    assert set(read(browser, payment)) == PUBLIC


@pytest.mark.parametrize(
    "authorization",
    ["Bearer nonsense", "Bearer balcao_test_" + "x" * 43, "Basic YTpi", "", "Bearer"],
)
def test_wrong_credentials_give_the_public_view(app, payment, authorization):
    """The link alone opens it, so a program with an old key still sees how the payment stands."""
    answer = app.test_client().get(
        f"/payments/pix/{payment['id']}", headers={**JSON, "Authorization": authorization}
    )
    assert answer.status_code == 200
    assert set(answer.json["payment"]) == PUBLIC


def test_a_key_that_may_not_read_payments_gives_the_public_view(app):
    """Every scope opens only what it names."""
    zoe = Person(app, "zoe")
    zoe.sign_up()
    writer = client_of(app, zoe.key("payments:write")["key"])
    sale = writer.post("/payments/pix", json={"value": 1, "metadata": {"note": SECRET}}).json
    reader = client_of(app, zoe.key("payments:read")["key"])

    assert sale["payment"]["metadata"] == {"note": SECRET}, "the answer to the creator"
    assert set(read(writer, sale["payment"])) == PUBLIC
    assert read(reader, sale["payment"])["metadata"] == {"note": SECRET}


def test_a_foreign_page_does_not_read_the_merchants_view_with_its_cookie(app):
    """A browser sends the cookie from every page, so only pages of this service count."""
    zoe = Person(app, "zoe")
    zoe.sign_up()
    token = client_of(app, zoe.tokens()["access_token"])
    sale = token.post("/payments/pix", json={"value": 1, "metadata": {"note": SECRET}}).json
    browser: Any = zoe.enter()

    address = f"/payments/pix/{sale['payment']['id']}"
    answer = browser.get(address, headers={**JSON, "Origin": "https://evil.example"})

    assert set(answer.json["payment"]) == PUBLIC


Door = Callable[[Any, dict[str, Any]], Any]


DOORS: dict[str, Door] = {
    "the payment as JSON": lambda charlie, p: charlie.get(f"/payments/pix/{p['id']}", headers=JSON),
    "the page": lambda charlie, p: charlie.get(f"/payments/pix/{p['id']}"),
    "the fragment": lambda charlie, p: charlie.get(f"/payments/pix/{p['id']}?fragment=state"),
    "the poll": lambda charlie, p: charlie.get(f"/payments/pix/{p['id']}/status"),
    "Já paguei": lambda charlie, p: charlie.post(f"/payments/pix/{p['id']}/check", headers=JSON),
    "the receipt as JSON": lambda charlie, p: charlie.get(
        f"/payments/pix/{p['id']}/receipt", headers=JSON
    ),
    "the receipt": lambda charlie, p: charlie.get(f"/payments/pix/{p['id']}/receipt"),
    "the watch code": lambda charlie, p: charlie.get(f"/watch/{p['watch_code']}"),
    "the code's text": lambda charlie, p: charlie.post(
        "/api/payment/verify-qr", json={"qr_data": p["pix_code"]}
    ),
    "the recovery page": lambda charlie, p: charlie.post(
        "/payment/recover-from-qr", data={"qr_data": p["pix_code"]}
    ),
    "the renewal": lambda charlie, p: charlie.post(f"/payments/pix/{p['id']}/renew"),
}
PAID = {"the receipt as JSON", "the receipt"}


@pytest.mark.parametrize("name", DOORS)
@pytest.mark.parametrize("state", ["waiting", "expired", "paid"])
def test_charlie_reads_the_note_through_no_door(charlie, payment, bank, clock, name, state):
    """Whoever holds the link, also as a merchant with a key of its own, sees the public view."""
    if state == "expired":
        clock.advance(seconds=61)
    if state == "paid":
        bank.confirm(payment)

    answer = DOORS[name](charlie, payment)

    assert answer.status_code < 500
    if name in PAID and state == "paid":
        assert answer.status_code == 200
    if name == "the renewal" and state == "expired":
        assert set(answer.json["payment"]) == PUBLIC
    assert "cia, custo" not in answer.text, "whether ú is escaped or not"
    assert "metadata" not in answer.text


def test_the_bank_reads_no_note(payment, bank, client, clock):
    """The bank confirms and fetches the location; a shop's notes are none of its business."""
    location = client.get(f"/qr/v2/{payment['watch_code']}")
    payload = jws.verify(location.text, client.get("/qr/v2/jwks").json, clock.now())
    assert SECRET not in json.dumps(payload, ensure_ascii=False)

    answer = bank.confirm(payment)

    assert answer.status_code == 200
    assert set(answer.json["payment"]) == PUBLIC


def test_a_shoppers_renewal_answers_no_key_of_the_merchant(alice, client, clock, payment):
    """A guessed Idempotency-Key gives a shopper neither the merchant's answer nor a conflict."""
    clock.advance(seconds=61)
    key = {"Idempotency-Key": "renew-A-1"}
    address = f"/payments/pix/{payment['id']}/renew"

    own = alice.post(address, headers=key).json["payment"]
    shoppers = client.post(address, headers=key)
    again = client.post(address, headers=key)

    assert own["metadata"] == {"note": SECRET}
    assert shoppers.status_code == again.status_code == 201
    assert set(shoppers.json["payment"]) == set(again.json["payment"]) == PUBLIC
    assert again.headers["Idempotent-Replayed"] == "true"
    assert alice.post(address, headers=key).json["payment"]["metadata"] == {"note": SECRET}


def test_a_shopper_blocks_no_key_of_the_merchant(alice, client, clock, payment):
    """A shopper who renews first under a key leaves it free for the shop."""
    clock.advance(seconds=61)
    key = {"Idempotency-Key": "next-order"}

    assert client.post(f"/payments/pix/{payment['id']}/renew", headers=key).status_code == 201
    answer = alice.post("/payments/pix", json={"value": 2}, headers=key)

    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers


def test_money_of_the_simulated_bank_is_not_real(payment, client, bank):
    """A shop's program must never send goods for money of the development profile."""
    bank.confirm(payment)
    receipt = client.get(f"/payments/pix/{payment['id']}/receipt", headers=JSON).json["receipt"]

    assert read(client, payment)["livemode"] is False
    assert receipt["livemode"] is False
