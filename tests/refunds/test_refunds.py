"""Refunds, whole or in part: once per `refund_id`, and never more than was paid."""

from __future__ import annotations

import json

import pytest

from core.errors import NotRefundable
from payments import refunds
from repository.database import in_unit_of_work
from tests.support.town import town

WHOLE = 5490


def test_a_full_refund_moves_the_money_back_at_the_bank(here):
    """The payer has the money again, the API shows the refund, and the payment stays confirmed."""
    payment = here.paid()
    before = here.balance()
    answer = here.refund(payment, description="veio quebrado")
    assert answer.status_code == 201
    refund = answer.get_json()
    assert (refund["status"], refund["value"], refund["amount_centavos"]) == ("done", 54.9, WHOLE)
    assert (refund["payment_id"], refund["description"]) == (payment["id"], "veio quebrado")
    assert len(refund["return_id"]) == 32
    assert refund["return_id"].startswith("D")
    assert refund["settled_at"] >= refund["requested_at"]
    assert here.refunds(payment) == [refund]
    after = here.payment(payment)
    assert (after["status"], after["paid"], after["refunded_value"]) == ("confirmed", True, 54.9)
    assert here.balance() == before + WHOLE
    assert here.audit().faults == ()
    assert here.audit().total_centavos == 0


def test_partial_refunds_add_up_to_the_payment_and_no_centavo_more(here):
    """The last centavo can be refunded; after it nothing can."""
    payment = here.paid()
    assert here.refund(payment, value="54.89").get_json()["status"] == "done"
    over = here.refund(payment, value=0.02)
    assert (over.status_code, over.get_json(force=True)["code"]) == (409, "refund-exceeds-payment")
    assert "0.01" in over.get_json(force=True)["detail"]
    rest = here.refund(payment)
    assert (rest.status_code, rest.get_json()["amount_centavos"]) == (201, 1)
    for body in ({}, {"value": 0.01}):
        none_left = here.refund(payment, **body)
        assert none_left.status_code == 409
        assert none_left.get_json(force=True)["code"] == "not-refundable"
    assert here.payment(payment)["refunded_value"] == 54.9
    assert [one["amount_centavos"] for one in here.refunds(payment)] == [5489, 1]


def test_only_a_confirmed_payment_is_refunded(here):
    """No money arrived, so no money can be returned."""
    pending, cancelled = here.create(), here.create()
    here.client().post(f"/payments/pix/{cancelled['id']}/cancel")
    expired = here.create(expires_in=10)
    here.clock.advance(seconds=11)
    for payment, word in ((pending, "pending"), (cancelled, "cancelled"), (expired, "expired")):
        answer = here.refund(payment)
        assert answer.status_code == 409
        problem = answer.get_json(force=True)
        assert problem["code"] == "not-refundable"
        assert word in problem["detail"]
        assert here.refunds(payment) == []


def test_a_refund_is_possible_for_ninety_days_and_not_a_second_longer(here):
    """This is a rule of Pix; later the merchant has to send a new Pix."""
    payment = here.paid()
    here.clock.advance(days=90, seconds=-30)
    assert here.refund(payment, value=1).get_json()["status"] == "done"
    here.clock.advance(seconds=31)
    late = here.refund(payment, value=1)
    assert (late.status_code, late.get_json(force=True)["code"]) == (409, "refund-too-late")


def test_the_same_refund_id_is_the_same_refund(here):
    """A client that lost the answer sends the request again, and the payer is not paid twice."""
    payment = here.paid()
    first = here.refund(payment, value="10.00", refund_id="devolucao1", description="um")
    again = here.refund(payment, value=10, refund_id="devolucao1", description="um")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.get_json() == first.get_json()
    assert again.get_json()["id"] == "devolucao1"
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    for other in ({"value": "10.01", "description": "um"}, {"value": 10}, {"description": "um"}):
        conflict = here.refund(payment, refund_id="devolucao1", **other)
        assert conflict.status_code == 409
        assert conflict.get_json(force=True)["code"] == "idempotency-conflict"
    assert here.payment(payment)["refunded_value"] == 10.0


def test_a_repeated_full_refund_gets_the_first_answer(here):
    """Nothing is left at the second request, which still succeeds."""
    payment = here.paid()
    first = here.refund(payment, refund_id="tudo")
    again = here.refund(payment, refund_id="tudo")
    assert again.get_json() == first.get_json()
    assert again.get_json()["amount_centavos"] == WHOLE
    with_value = here.refund(payment, refund_id="tudo", value="54.90")
    assert with_value.status_code == 409


def test_two_payments_may_have_refunds_with_one_refund_id(here):
    """A `refund_id` is unique within its payment alone; the bank must not confuse the refunds."""
    one, other = here.paid(), here.paid()
    both = [here.refund(payment, refund_id="r1").get_json() for payment in (one, other)]
    assert [refund["status"] for refund in both] == ["done", "done"]
    assert both[0]["return_id"] != both[1]["return_id"]


def test_a_repeated_idempotency_key_returns_the_same_refund(here):
    """A request without `refund_id` is safe to repeat with an Idempotency-Key."""
    payment = here.paid()
    key = {"Idempotency-Key": "refund-1"}
    first = here.refund(payment, headers=key, value=10)
    again = here.refund(payment, headers=key, value=10)
    assert again.get_json() == first.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = here.refund(payment, headers=key, value=11)
    assert (other.status_code, other.get_json(force=True)["code"]) == (409, "idempotency-conflict")
    assert [error["field"] for error in other.get_json(force=True)["errors"]] == ["value"]
    assert here.payment(payment)["refunded_value"] == 10.0


def test_a_payment_has_at_most_a_hundred_refunds(here):
    """The list of refunds has no pages, so its length is limited."""
    payment = here.paid(value="2.00")
    here.close_bank()
    for _ in range(100):
        assert here.refund(payment, value="0.01").status_code == 201
    answer = here.refund(payment, value="0.01")
    assert answer.status_code == 409
    assert "100" in answer.get_json(force=True)["detail"]
    assert here.tables.payment(payment["id"]).refunding_centavos == 100


@pytest.mark.parametrize(
    "body",
    [
        {"value": 0},
        {"value": -1},
        {"value": "1.001"},
        {"value": True},
        {"value": "NaN"},
        {"value": 10_000_000_000},
        {"value": [1]},
        {"refund_id": ""},
        {"refund_id": "a" * 36},
        {"refund_id": "com espaço"},
        {"refund_id": "../../x"},
        {"refund_id": 7},
        {"description": "x" * 141},
        {"description": 1},
        {"amount": 1},
        {"status": "done"},
    ],
    ids=str,
)
def test_an_invalid_body_refunds_nothing(here, body):
    """The error names the unknown or invalid field."""
    payment = here.paid()
    answer = here.refund(payment, **body)
    assert answer.status_code == 400
    problem = answer.get_json(force=True)
    assert problem["code"] == "invalid-request"
    assert problem["errors"][0]["field"] == next(iter(body))
    assert here.refunds(payment) == []


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"refund"', "application/json", 400),
        (b'{"value": 1, "value": 2}', "application/json", 400),
        (b'{"description": "\\u0000"}', "application/json", 400),
        (b'{"description": "\\ud800"}', "application/json", 400),
        (b'{"value": NaN}', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 5000, "application/json", 400),
        (b"value=1", "application/x-www-form-urlencoded", 415),
        (b"{}" + b" " * 70_000, "application/json", 413),
    ],
)
def test_hostile_bytes_refund_nothing(here, body, content_type, status):
    """No input may cause a 500 or move money."""
    payment = here.paid()
    path = f"/payments/pix/{payment['id']}/refunds"
    answer = here.client().post(path, data=body, content_type=content_type)
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    assert here.refunds(payment) == []


def test_the_receipt_and_the_page_show_refunds(here):
    """Anyone with the link sees the refund, without the merchant's `refund_id` and note."""
    payment = here.paid()
    client = here.client()
    here.refund(payment, value="12.00", refund_id="interno7", description="nota interna")
    page = client.get(f"/payments/pix/{payment['id']}", headers={"Accept": "text/html"}).text
    assert "R$\N{NO-BREAK SPACE}12,00" in page
    receipt = client.get(f"/payments/pix/{payment['id']}/receipt", headers={"Accept": "text/html"})
    assert here.refunds(payment)[0]["return_id"] in receipt.text
    assert "devolvido" in receipt.text
    json_only = {"Accept": "application/json"}
    answer = client.get(f"/payments/pix/{payment['id']}/receipt", headers=json_only).get_json()
    [refund] = answer["receipt"]["refunds"]
    assert (refund["value"], refund["status"]) == (12.0, "done")
    assert "interno7" not in json.dumps(answer) + receipt.text
    assert "nota interna" not in json.dumps(answer) + receipt.text


def test_without_a_bank_no_refund_is_accepted(fresh_database, tmp_path):
    """In production without BANK_URL a refund would be processing for ever."""
    with town(fresh_database("sqlite"), tmp_path) as here:
        payment = here.paid()
        settings = here.app.config["BALCAO"]
        here.app.config["BALCAO"] = settings.model_copy(
            update={"app_env": "production", "bank_internal_url": f"{settings.public_url}/bank"}
        )
        with here.app.test_request_context():

            def request_refund(work):
                row = work.payments.by_txid(payment["id"])
                return refunds.request_full_refund(work, row, row.merchant)

            with pytest.raises(NotRefundable, match="BANK_URL"):
                in_unit_of_work(request_refund)
        here.app.config["BALCAO"] = settings
        assert here.tables.payment(payment["id"]).refunding_centavos == 0
