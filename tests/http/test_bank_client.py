"""Asking the bank about one payment: what its answer may settle, and what it can never do to us."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from core.clock import rfc3339
from payments import bank_client
from tests.http.checks import rows
from tests.support.service import close_app, free_port, ready_app, settings_for
from tests.support.stub_bank import StubBank


@pytest.fixture
def asked(clock):
    """The bank behind BANK_URL."""
    with StubBank(clock) as bank:
        yield bank


@pytest.fixture
def settings(fresh_database, tmp_path, asked):
    """A service that asks that bank."""
    return settings_for(fresh_database("sqlite"), tmp_path, bank_url=asked.url)


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    """Each test is the first to ask and to complain."""
    monkeypatch.setattr(bank_client, "_look_ups", bank_client._Throttle(5))
    monkeypatch.setattr(bank_client, "_warnings", bank_client._Throttle(3600))
    monkeypatch.setattr(bank_client, "_availability_log", bank_client._AvailabilityLog())


def check(client, payment):
    """Press *Já paguei*; gives the status that is answered."""
    answer = client.post(
        f"/payments/pix/{payment['id']}/check", headers={"Accept": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    return answer.json["status"]


def test_what_the_bank_holds_settles_the_payment(client, asked, make_payment):
    """The notice was lost; Bob presses the button, and the payment is his."""
    payment = make_payment()
    held = asked.take(payment)
    assert check(client, payment) == "confirmed"
    found = client.get(
        f"/payments/pix/{payment['id']}", headers={"Accept": "application/json"}
    ).json["payment"]
    assert found["end_to_end_id"] == held["end_to_end_id"]
    assert asked.look_ups() == [payment["id"]]


def test_a_question_is_signed_and_fits_no_other(client, asked, make_payment):
    """The bank of these tests verifies `GET` and the path: a stolen signature opens no other."""
    payment = make_payment()
    check(client, payment)
    assert asked.refusals == []
    assert asked.questions == [f"/api/payments/{payment['id']}"]


def test_the_bank_is_asked_once_in_five_seconds_however_often_the_button_is_pressed(
    client, asked, make_payment
):
    """An impatient thumb must not become an attack on the bank."""
    payment, other = make_payment(), make_payment()
    for _ in range(5):
        assert check(client, payment) == "pending"
    check(client, other)
    assert asked.look_ups() == [payment["id"], other["id"]]


UNTRUSTED = [
    ({"status": "returned"}, None),
    ({"status": "refused"}, None),
    ({"status": None}, None),
    ({"txid": "f" * 32}, "bank.answered_for_another_payment"),
    ({"txid": 7}, "bank.unreadable_answer"),
    ({"txid": None}, "bank.unreadable_answer"),
    ({"end_to_end_id": None}, "bank.incomplete_answer"),
    ({"end_to_end_id": ""}, "bank.unreadable_answer"),
    ({"end_to_end_id": "E" * 129}, "bank.unreadable_answer"),
    ({"paid_at": None}, "bank.incomplete_answer"),
    ({"paid_at": "2026-11-20T12:00:00"}, "bank.unreadable_answer"),
    ({"paid_at": "yesterday"}, "bank.unreadable_answer"),
    ({"value": None}, "bank.unreadable_answer"),
    ({"value": 54.905}, "bank.unreadable_answer"),
    ({"value": -54.9}, "bank.unreadable_answer"),
    ({"value": True}, "bank.unreadable_answer"),
]


@pytest.mark.parametrize(("changes", "complaint"), UNTRUSTED)
def test_an_answer_that_cannot_be_trusted_settles_nothing(
    client, app, asked, make_payment, changes, complaint
):
    """Given back, for somebody else, without its id or its time: none of it is this money."""
    payment = make_payment()
    entry = asked.take(payment, **changes)
    asked.misbehave = lambda _question: (200, json.dumps({"payments": [entry]}).encode())
    with capture_logs() as logs:
        assert check(client, payment) == "pending"
    assert rows(app)["receipts"] == 0
    warned = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert warned == ([complaint] if complaint else [])


def test_money_from_the_future_is_not_believed(client, app, asked, clock, make_payment):
    """As at the bank's own door: beyond the tolerated skew a time is nonsense."""
    payment = make_payment()
    asked.take(payment, paid_at=rfc3339(clock.now() + timedelta(seconds=301)))
    assert check(client, payment) == "pending"
    assert rows(app)["receipts"] == 0


def test_wrong_money_is_refused_and_kept_once(client, app, asked, make_payment):
    """The merchant sees what came, however often the bank is asked about it."""
    payment = make_payment()
    asked.take(payment, value=54.89, amount_centavos=5489)
    with app.app_context():
        for _ in range(3):
            for confirmation in bank_client.fetch_transfers(payment["id"]):
                bank_client.settle(confirmation)
    assert check(client, payment) == "pending"
    receipts = client.get("/payments/pix/receipts?verdict=refused").json["data"]
    assert [(one["reason"], one["amount_centavos"]) for one in receipts] == [
        ("amount-mismatch", 5489)
    ]


def test_of_several_transfers_the_first_pays_and_the_next_is_refused(
    client, app, asked, make_payment
):
    """Two quick payers: one has paid, the other gets the money back."""
    payment = make_payment()
    first = asked.take(payment)
    asked.take(payment)
    asked.take(payment, status="returned")
    assert check(client, payment) == "confirmed"
    assert rows(app)["receipts"] == 2
    found = client.get(
        f"/payments/pix/{payment['id']}", headers={"Accept": "application/json"}
    ).json["payment"]
    assert found["end_to_end_id"] == first["end_to_end_id"]


HUGE = b'{"payments": [' + b" " * bank_client.ANSWER_BYTES_MAX + b"]}"
BAD_ANSWERS = [
    (200, b""),
    (200, b"null"),
    (200, b"[]"),
    (200, b"{"),
    (200, b"\xff\xfe"),
    (200, b'{"payments": null}'),
    (200, b'{"payments": {}}'),
    (200, b'{"payments": [], "payments": []}'),
    (200, b'{"payments": [NaN]}'),
    (200, b"[" * 9000),
    (200, b"<html>"),
    (200, HUGE),
    (302, b""),
    (401, b"{}"),
    (404, b"{}"),
    (500, b"oops"),
    (503, b"{}"),
]


@pytest.mark.parametrize("answer", BAD_ANSWERS, ids=lambda answer: str(answer)[:30])
def test_a_bad_answer_changes_nothing_and_the_next_good_one_counts(
    client, asked, make_payment, monkeypatch, answer
):
    """Neither what was left unread in the connection nor the failure itself is remembered."""
    payment = make_payment()
    asked.take(payment)
    asked.misbehave = lambda _question: answer
    assert check(client, payment) == "pending"
    monkeypatch.setattr(bank_client, "_look_ups", bank_client._Throttle(5))
    asked.misbehave = lambda _question: None
    assert check(client, payment) == "confirmed"


def test_entries_that_are_no_transfers_are_passed_over(client, asked, make_payment):
    """One that is sound among rubbish still counts."""
    payment = make_payment()
    sound = asked.take(payment)
    entries = [None, 7, "x", [], {}, {"status": []}, {"status": {}}, sound]
    asked.misbehave = lambda _question: (200, json.dumps({"payments": entries}).encode())
    assert check(client, payment) == "confirmed"


def test_a_bank_that_is_away_is_said_once_and_said_when_it_is_back(
    client, app, asked, make_payment
):
    """A line for each question would bury what else happens that night."""
    asked.misbehave = lambda _question: (500, b"")
    with capture_logs() as logs:
        for _ in range(3):
            check(client, make_payment())
        asked.misbehave = lambda _question: None
        for _ in range(2):
            check(client, make_payment())
    events = [line["event"] for line in logs]
    assert events.count("bank.away") == 1
    assert events.count("bank.back") == 1


def test_a_bank_that_trickles_is_given_up(client, asked, make_payment, monkeypatch):
    """Each byte in time, and the whole of it never: a thread must not wait for ever."""
    monkeypatch.setattr(bank_client, "ANSWER_SECONDS", 0.3)
    payment = make_payment()
    asked.take(payment)
    asked.pause = (10, 0.1)
    began = time.monotonic()
    assert check(client, payment) == "pending"
    assert time.monotonic() - began < 2


def test_nobody_listening_is_no_error_of_ours(fresh_database, tmp_path, clock):
    """The page says how it stands, as always."""
    settings = settings_for(
        fresh_database("sqlite"), tmp_path, bank_url=f"http://127.0.0.1:{free_port()}/bank"
    )
    app = ready_app(settings, clock)
    try:
        client = app.test_client()
        payment = client.post("/payments/pix", json={"value": 10}).get_json()["payment"]
        assert check(client, payment) == "pending"
    finally:
        close_app(app)


def test_in_production_without_a_bank_nobody_is_asked(fresh_database, tmp_path, clock, asked):
    """BANK_URL alone says that there is one; the default leads to our own address."""
    url = fresh_database("sqlite")
    root = asked.url.removesuffix("/bank")
    silent = settings_for(url, tmp_path, app_env="production", public_url=root)
    assert (silent.bank_internal_url, silent.asks_bank) == (asked.url, False)
    assert settings_for(
        url, tmp_path, app_env="production", bank_url="https://bank.example.com"
    ).asks_bank
    assert settings_for(url, tmp_path).asks_bank
    app = ready_app(silent, clock)
    try:
        with app.app_context():
            assert bank_client.ask_about("f" * 32) is False
    finally:
        close_app(app)
    assert asked.questions == []
