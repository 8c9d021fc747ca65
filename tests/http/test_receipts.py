"""Receipts: every notification of money is stored, accepted or refused."""

from __future__ import annotations

import pytest

from tests.http.checks import fields, problem


def test_an_accepted_receipt_is_stored_with_its_payer(make_payment, bank, client):
    """The merchant's books need the end_to_end_id and the payer."""
    payment = make_payment()
    notification = bank.body(payment)
    bank.tell(notification)
    (receipt,) = client.get("/payments/pix/receipts").json["data"]
    assert receipt == {
        "end_to_end_id": notification["end_to_end_id"],
        "bank_payment_id": payment["id"],
        "payment_id": payment["id"],
        "pix_key": None,
        "reference": None,
        "till": None,
        "value": 54.9,
        "amount_centavos": 5490,
        "paid_at": "2026-11-20T15:00:00.000Z",
        "told_at": "2026-11-20T15:00:00.000Z",
        "payer": {"name": "Bob de Souza", "document": "***.456.789-**"},
        "verdict": "accepted",
        "reason": None,
        "misfit": None,
    }


def test_every_refusal_is_stored_with_its_reason(make_payment, bank, client, clock):
    """When a shopper asks where the money went, the merchant can answer."""
    less, cancelled, paid = make_payment(), make_payment(), make_payment()
    late = make_payment(expires_in=10)
    bank.confirm(less, value=1)
    client.post(f"/payments/pix/{cancelled['id']}/cancel")
    bank.confirm(cancelled)
    bank.confirm(paid)
    bank.confirm(paid)
    clock.advance(seconds=11)
    bank.confirm(late)
    receipts = client.get("/payments/pix/receipts?verdict=refused").json["data"]
    assert [(receipt["bank_payment_id"], receipt["reason"]) for receipt in receipts] == [
        (late["id"], "paid-too-late"),
        (paid["id"], "already-paid"),
        (cancelled["id"], "payment-cancelled"),
        (less["id"], "amount-mismatch"),
    ]
    accepted = client.get("/payments/pix/receipts?verdict=accepted").json["data"]
    assert [one["bank_payment_id"] for one in accepted] == [paid["id"]]


def test_pages_follow_each_other(make_payment, bank, client):
    """Newest first, each once."""
    notifications = [bank.body(make_payment()) for _ in range(5)]
    for body in notifications:
        bank.tell(body)
    ids, query = [], "?limit=2"
    while query:
        page = client.get(f"/payments/pix/receipts{query}").json
        ids += [receipt["end_to_end_id"] for receipt in page["data"]]
        query = f"?limit=2&after={page['next']}" if page["next"] else ""
    assert ids == [body["end_to_end_id"] for body in reversed(notifications)]


def test_another_merchant_sees_no_receipt(make_payment, bank, client, charlie):
    """Charlie must not learn who paid Alice."""
    notification = bank.body(make_payment())
    bank.tell(notification)
    assert charlie.get("/payments/pix/receipts").json == {"data": [], "next": None}
    answer = charlie.get(f"/payments/pix/receipts?after={notification['end_to_end_id']}")
    problem(answer, 400, "invalid-request")
    assert len(client.get("/payments/pix/receipts").json["data"]) == 1


@pytest.mark.parametrize(
    ("query", "name"),
    [("limit=0", "limit"), ("verdict=maybe", "verdict"), ("after=x", "after"), ("q=1", "q")],
)
def test_a_bad_parameter_is_named(client, query, name):
    """As in every list."""
    refusal = problem(client.get(f"/payments/pix/receipts?{query}"), 400, "invalid-request")
    assert fields(refusal) == [name]
