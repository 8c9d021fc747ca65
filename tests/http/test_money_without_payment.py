"""Money for a static code: no payment asked for it, and it is a receipt of its merchant."""

from __future__ import annotations

import pytest

from core.clock import rfc3339
from tests.http.checks import add_merchant, client_of, fields, problem
from tests.support.service import PIX_KEY, end_to_end_id


def notice(clock, **changes):
    """The bank's notification of R$ 12,34 for a static code of Alice."""
    body = {
        "pix_key": PIX_KEY,
        "value": 12.34,
        "end_to_end_id": end_to_end_id(),
        "paid_at": rfc3339(clock.now()),
        "payer": {"name": "Bia Andrade", "document": "12345678909"},
    }
    return {**body, **changes}


def receipts(client, query=""):
    """The merchant's receipts by the API."""
    return client.get(f"/payments/pix/receipts{query}").json["data"]


def test_money_for_a_static_code_is_a_receipt_with_its_payer(bank, client, clock):
    """The bank keeps the money for the merchant, who sees who sent it."""
    body = notice(clock, reference="MESA7")

    answer = bank.tell(body)

    assert answer.json == {
        "message": "The money has been received.",
        "payment": None,
        "duplicate": False,
    }
    assert receipts(client) == [
        {
            "end_to_end_id": body["end_to_end_id"],
            "bank_payment_id": None,
            "payment_id": None,
            "pix_key": PIX_KEY,
            "reference": "MESA7",
            "till": None,
            "value": 12.34,
            "amount_centavos": 1234,
            "paid_at": "2026-11-20T15:00:00.000Z",
            "told_at": "2026-11-20T15:00:00.000Z",
            "payer": {"name": "Bia Andrade", "document": "***.456.789-**"},
            "verdict": "accepted",
            "reason": None,
            "misfit": None,
        }
    ]


def test_the_same_notification_again_is_a_duplicate(bank, client, clock):
    """Banks repeat; one transfer is one receipt."""
    body = notice(clock)

    duplicates = [bank.tell(body).json["duplicate"] for _ in range(3)]

    assert duplicates == [False, True, True]
    assert len(receipts(client)) == 1


@pytest.mark.parametrize(
    "changes", [{"value": 12.35}, {"pix_key": "alice@example.com"}, {"bank_payment_id": "0" * 32}]
)
def test_a_repetition_that_says_something_else_is_refused(bank, client, clock, changes):
    """One transfer cannot have two amounts or two payees."""
    body = notice(clock)
    bank.tell(body)

    problem(bank.tell({**body, **changes}), 409, "notification-conflict")

    assert [one["value"] for one in receipts(client)] == [12.34]


def test_money_for_a_key_of_nobody_goes_back(bank, client, clock):
    """The answer is that of an unknown payment, also when the bank asks again."""
    body = notice(clock, pix_key="nobody@example.com")

    problem(bank.tell(body), 404, "payment-not-found")
    problem(bank.tell(body), 404, "payment-not-found")

    assert receipts(client) == []


def test_another_merchant_sees_nothing_of_it(app, bank, clock, client):
    """Charlie must not learn who pays Alice, and his own key brings him his own money."""
    charlie = client_of(app, add_merchant(app))
    body = notice(clock)
    bank.tell(body)

    assert receipts(charlie) == []
    problem(
        charlie.get(f"/payments/pix/receipts?after={body['end_to_end_id']}"), 400, "invalid-request"
    )
    assert len(receipts(client)) == 1


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"pix_key": None}, ["bank_payment_id"]),
        ({"pix_key": " "}, ["bank_payment_id"]),
        ({"pix_key": "k" * 78}, ["bank_payment_id"]),
        ({"pix_key": ["k"]}, ["bank_payment_id"]),
        ({"value": 0}, ["value"]),
    ],
)
def test_a_malformed_notification_names_its_fields(bank, client, clock, changes, names):
    """It names nobody's money, so nothing is stored."""
    refusal = problem(bank.tell(notice(clock, **changes)), 400, "invalid-request")

    assert fields(refusal) == names
    assert receipts(client) == []


@pytest.mark.parametrize(
    ("reference", "stored"),
    [("M", "M"), ("M" * 25, "M" * 25), (" M1 ", "M1"), (None, None)]
    + [(unreadable, None) for unreadable in ("", "***", "M-7", "M" * 26, ["M"], True)],
)
def test_a_reference_that_cannot_be_read_counts_as_not_given(
    bank, client, clock, reference, stored
):
    """A txid in a static code has 1 to 25 letters and digits; money goes back for nothing else."""
    assert bank.tell(notice(clock, reference=reference)).status_code == 200
    assert [one["reference"] for one in receipts(client)] == [stored]


@pytest.mark.parametrize("blank", [None, "", " "])
def test_a_blank_payment_id_beside_a_key_is_a_static_code(bank, client, clock, blank):
    """A bank may always send all of its fields."""
    assert bank.tell(notice(clock, bank_payment_id=blank)).status_code == 200
    assert [one["pix_key"] for one in receipts(client)] == [PIX_KEY]


def test_a_payment_named_beside_the_key_is_the_payment_that_is_settled(make_payment, bank, client):
    """A bank may always send the payee's key; the charge decides."""
    payment = make_payment()

    answer = bank.confirm(payment, pix_key=PIX_KEY)

    assert answer.json["payment"]["status"] == "confirmed"
    (receipt,) = receipts(client)
    assert (receipt["payment_id"], receipt["pix_key"]) == (payment["id"], None)


def test_the_list_can_show_only_money_without_a_payment(make_payment, bank, client, clock):
    """What a person has to look at is a short list."""
    bank.confirm(make_payment())
    body = notice(clock)
    bank.tell(body)

    free = receipts(client, "?without_payment=true")
    settled = receipts(client, "?without_payment=false")

    assert [one["end_to_end_id"] for one in free] == [body["end_to_end_id"]]
    assert len(settled) == 1
    assert settled[0]["payment_id"] is not None
    problem(client.get("/payments/pix/receipts?without_payment=x"), 400, "invalid-request")


def test_one_receipt_is_read_by_its_id(app, bank, client, clock):
    """A live event names the id; only the merchant reads the rest."""
    body = notice(clock)
    bank.tell(body)
    path = f"/payments/pix/receipts/{body['end_to_end_id']}"

    assert client.get(path).json["receipt"] == receipts(client)[0]
    charlie = client_of(app, add_merchant(app))
    problem(charlie.get(path), 404, "receipt-not-found")
    problem(client.get("/payments/pix/receipts/E0"), 404, "receipt-not-found")
    problem(client.get("/payments/pix/receipts/a%00b"), 404, "receipt-not-found")
