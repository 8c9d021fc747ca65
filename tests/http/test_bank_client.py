"""Asking the bank about one payment: which answers settle it, and which are ignored."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from core.clock import rfc3339
from core.runtime.throttle import Throttle
from payments import look_ups
from providers import repeated_warnings
from providers.accounts import signing_banks
from providers.simulated import bank_client
from tests.http.checks import rows
from tests.support.ports import free_port
from tests.support.receivers import Receiver
from tests.support.service import close_app, ready_app, settings_for
from tests.support.stub_bank import StubBank


@pytest.fixture
def stub_bank(clock):
    """A fake bank at BANK_URL."""
    with StubBank(clock) as bank:
        yield bank


@pytest.fixture
def settings(fresh_database, tmp_path, stub_bank):
    """Settings of a service that asks this bank."""
    return settings_for(fresh_database("sqlite"), tmp_path, bank_url=stub_bank.url)


@pytest.fixture(autouse=True)
def _fresh_throttles(monkeypatch):
    """No test is limited by the look-ups or warnings of another."""
    monkeypatch.setattr(look_ups, "_look_ups", Throttle(5))
    monkeypatch.setattr(repeated_warnings, "_warnings", Throttle(3600))
    monkeypatch.setattr(bank_client, "_availability_log", bank_client._AvailabilityLog())


def check(client, payment):
    """Press *Já paguei*; return the payment's status."""
    answer = client.post(
        f"/payments/pix/{payment['id']}/check", headers={"Accept": "application/json"}
    )
    assert answer.status_code == 200, answer.text
    return answer.json["status"]


def test_a_transfer_at_the_bank_settles_the_payment(client, stub_bank, make_payment):
    """The notification was lost; the payer presses the button."""
    payment = make_payment()
    transfer = stub_bank.take(payment)
    assert check(client, payment) == "confirmed"
    payment_read = client.get(
        f"/payments/pix/{payment['id']}", headers={"Accept": "application/json"}
    ).json["payment"]
    assert payment_read["end_to_end_id"] == transfer["end_to_end_id"]
    assert stub_bank.look_ups() == [payment["id"]]


def test_a_question_is_signed_for_its_path_alone(client, stub_bank, make_payment):
    """The fake bank verifies method and path: a stolen signature works for no other path."""
    payment = make_payment()
    check(client, payment)
    assert stub_bank.refusals == []
    assert stub_bank.questions == [f"/api/payments/{payment['id']}"]


def test_the_bank_is_asked_once_in_five_seconds_however_often_the_button_is_pressed(
    client, stub_bank, make_payment
):
    """An impatient thumb must not become an attack on the bank."""
    payment, other = make_payment(), make_payment()
    for _ in range(5):
        assert check(client, payment) == "pending"
    check(client, other)
    assert stub_bank.look_ups() == [payment["id"], other["id"]]


UNTRUSTED = [
    ({"status": "returned"}, None),
    ({"status": "refused"}, None),
    ({"status": None}, None),
    ({"txid": "f" * 32}, "bank.answered_for_another_payment"),
    ({"txid": 7}, "bank.unreadable_answer"),
    ({"txid": None}, "bank.unreadable_answer"),
    ({"end_to_end_id": None}, "bank.incomplete_answer"),
    ({"end_to_end_id": ""}, "bank.incomplete_answer"),
    ({"paid_at": None}, "bank.incomplete_answer"),
    ({"paid_at": "2026-11-20T12:00:00"}, "bank.incomplete_answer"),
    ({"paid_at": "yesterday"}, "bank.incomplete_answer"),
    ({"value": None}, "bank.unreadable_answer"),
    ({"value": 54.905}, "bank.unreadable_answer"),
    ({"value": -54.9}, "bank.unreadable_answer"),
    ({"value": True}, "bank.unreadable_answer"),
]


@pytest.mark.parametrize(("changes", "complaint"), UNTRUSTED)
def test_an_answer_that_cannot_be_trusted_settles_nothing(
    client, app, stub_bank, make_payment, changes, complaint
):
    """Money that was returned, or belongs to another payment, or lacks its id or time."""
    payment = make_payment()
    entry = stub_bank.take(payment, **changes)
    stub_bank.misbehave = lambda _question: (200, json.dumps({"payments": [entry]}).encode())
    with capture_logs() as logs:
        assert check(client, payment) == "pending"
    assert rows(app)["receipts"] == 0
    warned = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert warned == ([complaint] if complaint else [])


@pytest.mark.parametrize(
    "changes",
    [
        {"status": " SETTLED"},
        {"value": "54.90"},
        {"paid_at": "2026-11-20T12:00:00.0000000001-0300"},
        {"end_to_end_id": "E" * 129},
        {"payer": {"name": "x" * 141, "document": "***.456.789-**", "ispb": "99999004"}},
        {"payer": "Bob", "pagador": {"cpf": 1}},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_an_answer_is_read_as_leniently_as_a_notification(client, stub_bank, make_payment, changes):
    """Otherwise money of a lost notification would never arrive."""
    payment = make_payment()
    entry = stub_bank.take(payment, **changes)
    body = json.dumps({"payments": [entry], "payments_total": 1}).encode()
    stub_bank.misbehave = lambda _question: (200, b"\xef\xbb\xbf" + body)
    assert check(client, payment) == "confirmed"


def test_money_from_the_future_is_ignored(client, app, stub_bank, clock, make_payment):
    """As for notifications: a time beyond the tolerated clock skew is an error."""
    payment = make_payment()
    stub_bank.take(payment, paid_at=rfc3339(clock.now() + timedelta(seconds=301)))
    assert check(client, payment) == "pending"
    assert rows(app)["receipts"] == 0


def test_a_wrong_amount_is_refused_and_stored_once(client, app, stub_bank, make_payment):
    """The merchant sees one receipt, however often the bank is asked."""
    payment = make_payment()
    stub_bank.take(payment, value=54.89, amount_centavos=5489)
    with app.app_context():
        for _ in range(3):
            for confirmation in signing_banks()[0].money_of(payment["id"]):
                look_ups.settle(confirmation)
    assert check(client, payment) == "pending"
    receipts = client.get("/payments/pix/receipts?verdict=refused").json["data"]
    assert [(one["reason"], one["amount_centavos"]) for one in receipts] == [
        ("amount-mismatch", 5489)
    ]


def test_of_several_transfers_the_first_pays_and_the_next_is_refused(
    client, app, stub_bank, make_payment
):
    """Two payers paid at once: one of them gets the money back."""
    payment = make_payment()
    first = stub_bank.take(payment)
    stub_bank.take(payment)
    stub_bank.take(payment, status="returned")
    assert check(client, payment) == "confirmed"
    assert rows(app)["receipts"] == 2
    payment_read = client.get(
        f"/payments/pix/{payment['id']}", headers={"Accept": "application/json"}
    ).json["payment"]
    assert payment_read["end_to_end_id"] == first["end_to_end_id"]


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
    client, stub_bank, make_payment, monkeypatch, answer
):
    """Neither unread bytes nor the failure may affect the next question."""
    payment = make_payment()
    stub_bank.take(payment)
    stub_bank.misbehave = lambda _question: answer
    assert check(client, payment) == "pending"
    monkeypatch.setattr(look_ups, "_look_ups", Throttle(5))
    stub_bank.misbehave = lambda _question: None
    assert check(client, payment) == "confirmed"


def test_entries_that_are_no_transfers_are_skipped(client, stub_bank, make_payment):
    """A valid entry between invalid ones still counts."""
    payment = make_payment()
    sound = stub_bank.take(payment)
    entries = [None, 7, "x", [], {}, {"status": []}, {"status": {}}, sound]
    stub_bank.misbehave = lambda _question: (200, json.dumps({"payments": entries}).encode())
    assert check(client, payment) == "confirmed"


def test_a_bank_that_is_down_is_logged_once_and_again_when_it_is_back(
    client, app, stub_bank, make_payment
):
    """One line per question would hide the other lines of the log."""
    stub_bank.misbehave = lambda _question: (500, b"")
    with capture_logs() as logs:
        for _ in range(3):
            check(client, make_payment())
        stub_bank.misbehave = lambda _question: None
        for _ in range(2):
            check(client, make_payment())
    events = [line["event"] for line in logs]
    assert events.count("bank.away") == 1
    assert events.count("bank.back") == 1


def test_an_answer_that_takes_too_long_is_given_up(client, stub_bank, make_payment, monkeypatch):
    """Each byte comes in time, but the answer never ends: a thread must not wait for ever."""
    monkeypatch.setattr(bank_client, "ANSWER_SECONDS", 0.3)
    payment = make_payment()
    stub_bank.take(payment)
    stub_bank.pause = (10, 0.1)
    began = time.monotonic()
    assert check(client, payment) == "pending"
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("first", "one"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\n", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n", b" "),
    ],
)
def test_an_answer_byte_by_byte_is_given_up(app, tmp_path, monkeypatch, first, one):
    """Its headers, too: each byte begins a new timeout, and the thread has other orders to send."""
    monkeypatch.setattr(bank_client, "ANSWER_SECONDS", 0.3)
    left = threading.Event()

    def drip(sock):
        try:
            sock.sendall(first)
            for _ in range(400):
                time.sleep(0.02)
                sock.sendall(one)
        except OSError:
            left.set()

    with Receiver(drip) as receiver, app.app_context():
        settings = settings_for("sqlite://", tmp_path, bank_url=receiver.url(path="/bank"))
        peer = settings.bank_to_ask(is_test_half=False)
        assert peer is not None
        with pytest.raises(bank_client.NoBankAnswer):
            bank_client.order(peer, "slow", "/api/collections", {"value": "1.00"})
    assert left.is_set(), "the bank was tired first"


def test_an_unreachable_bank_is_not_an_error_of_the_page(fresh_database, tmp_path, clock):
    """The page shows the present status."""
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


def test_in_production_without_bank_url_no_bank_is_asked(
    fresh_database, tmp_path, clock, stub_bank
):
    """The default of BANK_URL is this service's own address, where production has no bank."""
    url = fresh_database("sqlite")
    root = stub_bank.url.removesuffix("/bank")
    silent = settings_for(url, tmp_path, app_env="production", public_url=root)
    assert (silent.bank_internal_url, silent.asks_bank) == (stub_bank.url, False)
    assert settings_for(
        url, tmp_path, app_env="production", bank_url="https://bank.example.com"
    ).asks_bank
    assert settings_for(url, tmp_path).asks_bank
    app = ready_app(silent, clock)
    try:
        with app.app_context():
            assert look_ups.ask_about("f" * 32) is False
    finally:
        close_app(app)
    assert stub_bank.questions == []
