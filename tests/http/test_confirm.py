"""The bank's notifications: signatures, replays, late ones, refusals with a stored reason."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.clock import rfc3339
from tests.http.checks import add_merchant, client_of, fields, problem, rows


def test_a_signed_notification_confirms_the_payment(bank, make_payment, client):
    """The heart of the service: money arrives, and the payment is confirmed."""
    payment = make_payment()
    answer = bank.confirm(payment)
    assert answer.status_code == 200
    assert answer.json["message"] == "The payment has been confirmed."
    assert answer.json["duplicate"] is False
    assert answer.json["payment"]["status"] == "confirmed"
    assert answer.json["payment"]["paid"] is True
    status = client.get(f"/payments/pix/{payment['id']}/status").json
    assert (status["status"], status["sequence"]) == ("confirmed", 2)


def test_the_same_notification_again_is_a_duplicate_and_settles_nothing(bank, make_payment):
    """Banks repeat notifications; the shop must be paid once."""
    payment = make_payment()
    body = bank.body(payment)
    first, second = bank.tell(body), bank.tell(body)
    assert (first.status_code, first.json["duplicate"]) == (200, False)
    assert (second.status_code, second.json["duplicate"]) == (200, True)
    assert second.json["payment"]["sequence"] == first.json["payment"]["sequence"]


def test_another_receipt_for_a_paid_payment_is_refused(bank, make_payment):
    """Two payers paid at once: the second gets the money back."""
    payment = make_payment()
    bank.confirm(payment)
    answer = bank.confirm(payment)
    assert (answer.status_code, answer.json["code"]) == (409, "already-paid")


def test_one_centavo_less_is_refused_and_leaves_the_payment_pending(bank, make_payment, client):
    """A wrong amount is never a payment."""
    payment = make_payment()
    answer = bank.confirm(payment, value="54.89")
    assert (answer.status_code, answer.json["code"]) == (400, "amount-mismatch")
    assert client.get(f"/payments/pix/{payment['id']}/status").json["status"] == "pending"
    receipts = client.get("/payments/pix/receipts").json["data"]
    assert [(receipt["verdict"], receipt["reason"]) for receipt in receipts] == [
        ("refused", "amount-mismatch")
    ]


def test_paid_exactly_at_the_deadline_is_in_time(bank, make_payment, clock):
    """The deadline itself is still in time."""
    payment = make_payment(expires_in=60)
    clock.advance(seconds=60)
    assert bank.confirm(payment).status_code == 200


def test_paid_a_millisecond_after_the_deadline_goes_back(bank, make_payment, clock, client):
    """It is refused, stored, and shown on the page."""
    payment = make_payment(expires_in=60)
    clock.advance(seconds=60, milliseconds=1)
    answer = bank.confirm(payment)
    assert (answer.status_code, answer.json["code"]) == (409, "paid-too-late")
    status = client.get(f"/payments/pix/{payment['id']}/status").json
    assert (status["status"], status["refusal"]) == ("expired", "paid-too-late")


def test_paid_in_time_but_notified_late_confirms(bank, make_payment, clock):
    """The service may have been down; the payer was in time."""
    payment = make_payment(expires_in=60)
    paid_at = rfc3339(clock.now())
    clock.advance(hours=5)
    answer = bank.confirm(payment, paid_at=paid_at)
    assert (answer.status_code, answer.json["payment"]["status"]) == (200, "confirmed")


def test_the_amount_may_be_a_string_or_a_number(bank, make_payment):
    """Banks write 54.9, 54.90 and "54.90" for the same amount."""
    for value in (54.9, "54.9", "54.90"):
        assert bank.confirm(make_payment(), value=value).status_code == 200


def test_one_centavo_more_is_refused_too(bank, make_payment, client):
    """The shop must not keep more than the price."""
    payment = make_payment()
    problem(bank.confirm(payment, value="54.91"), 400, "amount-mismatch")
    assert client.get(f"/payments/pix/{payment['id']}/status").json["status"] == "pending"


def test_the_payer_may_try_again_after_a_wrong_amount(bank, make_payment):
    """A refusal leaves the payment pending."""
    payment = make_payment()
    problem(bank.confirm(payment, value=1), 400)
    assert bank.confirm(payment).status_code == 200


def test_money_for_an_unknown_payment_is_refused_and_stored(bank, client, app):
    """The bank gives the money back, and the receipt stays."""
    before = rows(app)
    answer = bank.confirm({"id": "0" * 32, "value": 10})
    problem(answer, 404, "payment-not-found")
    after = rows(app)
    assert after.pop("receipts") == before.pop("receipts") + 1
    assert after == before


def test_a_repeated_refusal_is_the_same_refusal_and_one_row(bank, make_payment, app):
    """The bank repeats a notification if the answer was lost, also of a refusal."""
    notification = bank.body(make_payment(), value=1)
    problem(bank.tell(notification), 400, "amount-mismatch")
    before = rows(app)
    problem(bank.tell(notification), 400, "amount-mismatch")
    assert rows(app) == before


def test_the_same_end_to_end_id_for_another_payment_is_a_conflict(bank, make_payment, client, app):
    """One transfer cannot pay two payments."""
    first, second = make_payment(), make_payment()
    notification = bank.body(first)
    bank.tell(notification)
    before = rows(app)
    answer = bank.confirm(second, end_to_end_id=notification["end_to_end_id"])
    problem(answer, 409, "notification-conflict")
    assert rows(app) == before
    assert client.get(f"/payments/pix/{second['id']}/status").json["status"] == "pending"


def test_the_same_end_to_end_id_with_another_amount_is_a_conflict(bank, make_payment):
    """Also if the first notification was right."""
    notification = bank.body(make_payment())
    bank.tell(notification)
    problem(bank.tell({**notification, "value": "54.91"}), 409, "notification-conflict")


def test_without_an_end_to_end_id_the_webhook_id_is_used(bank, make_payment, client):
    """A bank that sends no end_to_end_id still repeats its message under one id."""
    payment = make_payment()
    body = {"bank_payment_id": payment["id"], "value": 54.9}
    first = bank.tell(body, message_id="msg_1")
    again = bank.tell(body, message_id="msg_1")
    other = bank.tell(body, message_id="msg_2")
    assert (first.status_code, first.json["payment"]["end_to_end_id"]) == (200, "msg_1")
    assert (again.status_code, again.json["duplicate"]) == (200, True)
    problem(other, 409, "already-paid")


def test_without_paid_at_the_signatures_time_is_used(bank, make_payment, clock):
    """Signed within the deadline, delivered up to 300 s later."""
    payment = make_payment(expires_in=60)
    signed_at = clock.now()
    clock.advance(seconds=200)
    body = {"bank_payment_id": payment["id"], "value": 54.9}
    assert bank.tell(body, at=signed_at).status_code == 200


@pytest.mark.parametrize("names_the_second", [True, False], ids=["paid_at", "webhook-timestamp"])
def test_everything_within_the_deadlines_second_is_in_time(
    bank, make_payment, clock, names_the_second
):
    """Both times are cut to seconds, in favour of the payer; the next second is too late."""
    clock.advance(milliseconds=806)
    in_time, late = make_payment(expires_in=60), make_payment(expires_in=60)
    clock.advance(seconds=60, milliseconds=94)
    for payment, status in ((in_time, 200), (late, 409)):
        paid_at = clock.now().strftime("%Y-%m-%dT%H:%M:%SZ") if names_the_second else None
        assert bank.confirm(payment, paid_at=paid_at).status_code == status
        clock.advance(milliseconds=100)


def test_a_time_ahead_of_300_s_is_replaced_by_the_signatures(bank, make_payment, clock, client):
    """The bank's books run ahead of the clock that signs: the payer is not the one to blame."""
    ahead = {"seconds": 300, "milliseconds": 1}
    for offset, stored in ((ahead, timedelta(0)), ({"seconds": 300}, timedelta(seconds=300))):
        payment = make_payment()
        answer = bank.confirm(payment, paid_at=rfc3339(clock.now() + timedelta(**offset)))
        assert answer.status_code == 200
        receipt = client.get("/payments/pix/receipts?limit=1").json["data"][0]
        assert receipt["paid_at"] == rfc3339(clock.now() + stored)


def test_paid_at_is_read_with_its_offset(bank, make_payment, clock):
    """12:00 in São Paulo is 15:00 in UTC; read as UTC it would pay three hours early."""
    payment = make_payment(expires_in=60)
    clock.advance(seconds=61)
    problem(bank.confirm(payment, paid_at="2026-11-20T12:01:01-03:00"), 409, "paid-too-late")
    assert bank.confirm(payment, paid_at="2026-11-20T12:01:00-03:00").status_code == 200


def test_a_merchants_grace_accepts_money_a_little_later(app, bank, clock):
    """`merchant add --grace-seconds`: to the second, and no longer."""
    dora = client_of(app, add_merchant(app, "dora", "dora@example.com", "--grace-seconds", "30"))
    payments = [
        dora.post("/payments/pix", json={"value": 1, "expires_in": 10}).json["payment"]
        for _ in range(2)
    ]
    clock.advance(seconds=40)
    assert bank.confirm(payments[0]).status_code == 200
    clock.advance(milliseconds=1)
    problem(bank.confirm(payments[1]), 409, "paid-too-late")


def test_expired_and_swept_yields_to_money_paid_in_time(bank, make_payment, clock, app, client):
    """The sweep wrote `expired`, but the payer had paid before the deadline."""
    payment = make_payment(expires_in=60)
    notification = bank.body(payment)
    clock.advance(seconds=61)
    app.test_cli_runner().invoke(args=["sweep"])
    assert bank.tell(notification).status_code == 200
    status = client.get(f"/payments/pix/{payment['id']}/status").json
    assert (status["status"], status["sequence"]) == ("confirmed", 3)


def test_confirmed_stays_confirmed_whatever_comes_after(bank, make_payment, clock, app, client):
    """Final: no sweep, no cancel, no money changes it."""
    payment = make_payment(expires_in=60)
    bank.confirm(payment)
    clock.advance(hours=1)
    assert "Expired: 0" in app.test_cli_runner().invoke(args=["sweep"]).output
    problem(client.post(f"/payments/pix/{payment['id']}/cancel"), 409)
    problem(bank.confirm(payment, value=1), 409, "already-paid")
    status = client.get(f"/payments/pix/{payment['id']}/status").json
    assert (status["status"], status["sequence"]) == ("confirmed", 2)


@pytest.mark.parametrize(
    ("changes", "field_names"),
    [
        ({"bank_payment_id": None}, ["bank_payment_id"]),
        ({"bank_payment_id": ""}, ["bank_payment_id"]),
        ({"bank_payment_id": "x" * 65}, ["bank_payment_id"]),
        ({"bank_payment_id": 1}, ["bank_payment_id"]),
        ({"value": True}, ["value"]),
        ({"value": 0}, ["value"]),
        ({"value": "x"}, ["value"]),
        ({"value": None}, ["value"]),
        ({"value": [54.9]}, ["value"]),
        ({"value": "54,90"}, ["value"]),
    ],
)
def test_a_malformed_notification_writes_nothing(bank, make_payment, app, changes, field_names):
    """Without a payment and an amount nothing can be decided: 400, with the name of the field."""
    payment = make_payment()
    before = rows(app)
    refusal = problem(bank.confirm(payment, **changes), 400, "invalid-request")
    assert fields(refusal) == field_names
    assert rows(app) == before


def test_the_payers_document_and_name_may_be_missing(bank, make_payment):
    """Not every bank sends them."""
    for payer in (None, {}, {"name": "Bob"}, {"document": "12ABC34501DE35"}, {"name": None}):
        assert bank.confirm(make_payment(), payer=payer).status_code == 200


def test_an_oldest_possible_paid_at_is_in_time(bank, make_payment):
    """Every database must store such a year."""
    assert bank.confirm(make_payment(), paid_at="1999-12-31T23:59:59Z").status_code == 200
