"""A bank's notification settles by its signature and its amount, however the rest is written."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from core.clock import rfc3339
from db_models.base import db
from repository.signals import Signals
from tests.http.checks import problem, rows
from tests.support.service import end_to_end_id


def receipt_of(client, payment):
    """The newest receipt, which has to be this payment's."""
    receipt = client.get("/payments/pix/receipts?limit=1").json["data"][0]
    assert (receipt["bank_payment_id"], receipt["verdict"]) == (payment["id"], "accepted")
    return receipt


@pytest.mark.parametrize(
    "more",
    [
        {"notified_by": "psp-7", "status": "paid", "horario": {"a": [1, None, True]}},
        {"payer": None, "paid_at": None, "end_to_end_id": None},
        {"payer": "Bob"},
        {"payer": []},
        {"payer": {"name": "Ana", "ispb": "99999004", "conta": {"numero": 1}}},
        {"payer": {"name": 7.5, "document": ["1"]}},
        {"end_to_end_id": ["E1"]},
        {"end_to_end_id": 20261120},
        {"end_to_end_id": ""},
        {"end_to_end_id": "E" * 5000},
        {"end_to_end_id": "' OR 1=1"},
        {"paid_at": "yesterday"},
        {"paid_at": "2026-11-20T15:00:00"},
        {"paid_at": 1763650800},
        {"paid_at": "0001-01-01T00:00:00+14:00"},
        {"paid_at": "9999-12-31T23:59:59-14:00"},
        {"payer": {"name": "nul \x00 and half \ud800 a letter", "document": "\x00"}},
        {"value": "54.90"},
        {"value": " 54.9 "},
    ],
    ids=lambda more: ascii(more)[:40],
)
def test_what_is_not_understood_is_left_out(bank, make_payment, client, more):
    """A 4xx would send the money back to a payer who did everything right."""
    payment = make_payment()
    answer = bank.confirm(payment, **more)
    assert answer.status_code == 200, answer.text
    assert answer.json["payment"]["status"] == "confirmed"
    receipt_of(client, payment)


@pytest.mark.parametrize(
    ("payer", "stored"),
    [
        ({"name": "Ana", "document": "529.982.247-25"}, ("Ana", "***.982.247-**")),
        ({"name": "Ana", "document": 12345678909}, ("Ana", "***.456.789-**")),
        ({"name": "Ana", "document": "***.456.789-**"}, ("Ana", "***.456.789-**")),
        # Some banks mask a CPF with the letter X.
        ({"name": "Ana", "document": "XXX.456.789-XX"}, ("Ana", "***.456.789-**")),
        ({"name": "Ana", "document": "12.abc.345/01DE-35"}, ("Ana", "**.ABC.345/01DE-**")),
        ({"name": "Ana", "document": "passport 9"}, ("Ana", None)),
        ({"name": " " + "x" * 141, "document": ""}, ("x" * 140, None)),
        ({"name": " "}, None),
    ],
)
def test_the_payer_is_stored_as_far_as_it_can_be_read(bank, make_payment, client, payer, stored):
    """Masks are usual, and the merchant still wants to see them; answers mask whole documents."""
    payment = make_payment()
    assert bank.confirm(payment, payer=payer).status_code == 200
    read = receipt_of(client, payment)["payer"]
    assert read == (stored and {"name": stored[0], "document": stored[1]})


def test_a_time_is_read_with_every_offset_and_any_number_of_digits(
    bank, make_payment, client, clock
):
    """Read wrongly, an offset would make the payer three hours late."""
    for written in (
        "2026-11-20T15:00:00+0000",
        "2026-11-20T12:00:00-03",
        "2026-11-20 12:00:00 -0300",
        "2026-11-20t15:00:00z",
        "2026-11-20T15:00:00 UTC",
        "20261120T150000Z",
        "2026-11-20T15:00:00." + "0" * 40 + "Z",
        "2026-11-20T15:00:00,0Z",
    ):
        payment = make_payment()
        clock.advance(seconds=5)
        assert bank.confirm(payment, paid_at=written).status_code == 200
        assert receipt_of(client, payment)["paid_at"] == "2026-11-20T15:00:00.000Z", written


def test_an_unreadable_time_is_replaced_by_the_signatures(bank, make_payment, client, clock):
    """So a late payer is still late."""
    payment, late = make_payment(expires_in=60), make_payment(expires_in=10)
    clock.advance(seconds=30)
    assert bank.confirm(payment, paid_at="20/11/2026").status_code == 200
    assert receipt_of(client, payment)["paid_at"] == rfc3339(clock.now())
    problem(bank.confirm(late, paid_at="20/11/2026"), 409, "paid-too-late")


def test_an_odd_end_to_end_id_still_names_one_transfer(bank, make_payment):
    """A repetition is a duplicate, and another id is other money."""
    payment = make_payment()
    body = bank.body(payment, end_to_end_id="E/2026 ção")
    first, again = bank.tell(body), bank.tell(body)
    assert (first.json["duplicate"], again.json["duplicate"]) == (False, True)
    problem(bank.tell({**body, "end_to_end_id": "E/2026 cao"}), 409, "already-paid")


def test_an_odd_webhook_id_stands_for_the_transfer_too(bank, make_payment):
    """Standard Webhooks allows every printable character in it."""
    body = {"bank_payment_id": make_payment()["id"], "value": 54.9}
    answers = [bank.tell(body, message_id="msg/1=") for _ in range(2)]
    assert [answer.json["duplicate"] for answer in answers] == [False, True]


def test_the_bytes_may_differ_from_strict_json(bank, make_payment):
    """A byte order mark, NaN, a repeated member: none of them changes the amount."""
    for extra in (
        '"fee": NaN',
        '"value": 54.90',
        '"x": 1, "x": 2',
        '"deep": ' + "[" * 50 + "]" * 50,
    ):
        body = json.dumps(bank.body(make_payment()))
        data = f"\ufeff{body[:-1]}, {extra}}}".encode()
        assert bank.tell(data).status_code == 200, extra


def test_two_different_amounts_are_no_amount(bank, make_payment, app):
    """Parsers disagree on which one counts."""
    body = json.dumps(bank.body(make_payment()))
    before = rows(app)
    problem(bank.tell((body[:-1] + ', "value": 1}').encode()), 400, "invalid-request")
    assert rows(app) == before


def test_the_media_type_does_not_matter(bank, make_payment, client):
    """The signature covers the body."""
    for media_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        data = json.dumps(bank.body(make_payment())).encode()
        headers = {**bank.headers(data), "Content-Type": media_type}
        answer = client.post("/payments/pix/confirmation", data=data, headers=headers)
        assert answer.status_code == 200, media_type


@pytest.mark.parametrize("data", [b"[]", b"7", b"null", b"", b"{", b"[" * 60_000])
def test_a_body_without_an_object_is_malformed(bank, data):
    """Nothing can be decided about it."""
    problem(bank.tell(data), 400, "malformed-json")


def test_a_body_of_absurd_size_is_refused(bank, make_payment, app):
    """Leniency has an end: 64 KiB."""
    before = rows(app)
    problem(bank.confirm(make_payment(), note="x" * 65_536), 413)
    after = rows(app)
    assert after["receipts"] == before["receipts"]


def test_the_log_names_what_was_left_out_once_and_no_value(bank, make_payment):
    """Whoever connects a bank sees it; the payer's data stays out of the log."""
    payment = make_payment()
    payer = {"name": "Ana", "document": "passport 9", "ispb": "1"}
    with capture_logs() as logs:
        bank.confirm(payment, payer=payer, paid_at="noon", notified_by="psp-7")
    lines = [line for line in logs if line["event"] == "bank.fields_unused"]
    assert [(line["log_level"], line["fields"]) for line in lines] == [
        ("debug", ["paid_at", "payer.document", "payer.ispb", "notified_by"])
    ]


def test_masked_documents_are_not_counted_as_one_payer(bank, make_payment, app, clock):
    """`***.456.789-**` may be many people; a whole document is one."""
    for document in ("***.456.789-**", "529.982.247-25"):
        for _ in range(3):
            payer = {"document": document}
            bank.confirm(make_payment(), value=1, payer=payer, end_to_end_id=end_to_end_id())
    with app.app_context():
        counts = Signals(db.session()).refused_payers(clock.now() - timedelta(hours=1), 3)
    assert [count.subject for count in counts] == ["52998224725"]
