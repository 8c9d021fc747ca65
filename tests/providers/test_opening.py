"""Opening charges at a real bank: one charge for each payment, whatever happens on the way."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from functools import partial

import pytest

from payments.at_bank import jobs, waiting
from providers.port import AccountRefusal, ChargeState, ProviderAway, ProviderRefusal, TxidCollision
from repository.bank_leases import LEASE
from tests.db.crowd import at_once
from tests.providers.bank_rows import KEY, BankRows
from tests.providers.conftest import use_bank
from tests.providers.scripted_bank import ScriptedBank, code_of
from tests.support.service import close_app, ready_app, settings_for

PATIENCE_SECONDS = 10


def create(client, key=None, **fields):
    """Create a payment, under an Idempotency-Key if one is given."""
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post("/payments/pix", json={"value": "54.90", **fields}, headers=headers)


def until(condition):
    """Wait until a background call has done its work."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "the call did not end in time"
        time.sleep(0.01)


def run_job(rows):
    """One run of the job, until its calls have ended."""
    with rows.app.app_context():
        begun = jobs.run()
    calls = rows.app.extensions["balcao"].charge_calls
    until(lambda: not calls._queues)
    return begun


def test_a_payment_is_answered_with_the_code_of_its_bank(client, rows, scripted, account):
    """The bank gets the values of the row; each repeat is answered with the same bytes."""
    answer = create(client, "k1", description="Café", expires_in=600)
    assert answer.status_code == 201
    payment = answer.get_json()["payment"]
    [sent] = scripted.opened
    assert (sent.txid, sent.amount_centavos, sent.pix_key) == (payment["id"], 5490, KEY)
    assert (sent.lifetime_seconds, sent.text) == (600, "Café")
    assert payment["pix_code"] == code_of(payment["id"])
    assert rows.events() == ["payment.created", "payment.code-ready"]
    charge = rows.charge_row(payment["id"])
    assert (charge.status, charge.next_at, charge.location) == (
        "open",
        None,
        f"bank.example/pix/v2/{payment['id']}",
    )
    repeat = create(client, "k1", description="Café", expires_in=600)
    assert (repeat.status_code, repeat.data) == (201, answer.data)
    assert repeat.headers["Idempotent-Replayed"] == "true"
    assert len(scripted.opened) == 1


def test_a_bank_that_wants_to_be_left_alone_is_answered_at_once(client, rows, scripted, account):
    """503 names the payment, and the same key finishes the same payment with the same txid."""
    scripted.errors = [ProviderAway("breaker-open", retry_after=timedelta(seconds=9))]
    refused = create(client, "k1")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "9")
    members = refused.get_json()
    assert members["code"] == "provider-unavailable"
    assert members["page_url"].endswith(members["payment_id"])
    assert rows.charge_row(members["payment_id"]).fault == "breaker-open"
    finished = create(client, "k1")
    assert finished.status_code == 201
    assert finished.get_json()["payment"]["id"] == members["payment_id"]
    assert create(client, "k1").data == finished.data
    assert {charge.txid for charge in scripted.opened} == {members["payment_id"]}


def test_a_lost_answer_is_asked_again_within_the_same_request(
    client, rows, scripted, account, monkeypatch
):
    """The bank has made the charge; the second try finds it, and nothing is made twice."""
    monkeypatch.setattr(waiting, "AGAIN_SECONDS", 0.05)
    scripted.lost_answers = [ProviderAway("closed")]
    answer = create(client)
    assert answer.status_code == 201
    assert len(scripted.charges) == 1
    assert scripted.opened[0] == scripted.opened[1]
    assert rows.charge_row(answer.get_json()["payment"]["id"]).attempts == 2


def test_while_its_bank_is_left_alone_a_payment_begins_no_call(
    client, rows, scripted, account, clock, monkeypatch
):
    """Neither a thread nor a second transaction; the same key finishes it after the pause."""
    calls = rows.app.extensions["balcao"].charge_calls
    pause = timedelta(seconds=30)
    scripted.errors = [ProviderAway("breaker-open", retry_after=pause, was_sent=False)]
    assert create(client, "k1").status_code == 503
    monkeypatch.setattr(calls, "begin", None)  # a call would be a TypeError
    monkeypatch.setattr(waiting, "in_unit_of_work", None)
    for _ in range(2):
        answer = create(client, "k2")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert answer.get_json()["code"] == "provider-unavailable"
    monkeypatch.undo()
    txid = answer.get_json()["payment_id"]
    charge = rows.charge_row(txid)
    assert (charge.status, charge.fault, charge.attempts) == ("opening", "breaker-open", 1)
    assert timedelta(seconds=29) < charge.next_at - clock.now() <= pause
    calls._left_alone.clear()  # the pause is over
    finished = create(client, "k2")
    assert finished.status_code == 201
    assert finished.get_json()["payment"]["id"] == txid
    assert [one.txid for one in scripted.opened if one.txid == txid] == [txid]


def test_a_paused_payment_without_a_key_gets_its_code_by_the_job(
    client, rows, scripted, account, clock
):
    """Nobody repeats the request, so the page shows the code after the pause."""
    pause = timedelta(seconds=30)
    scripted.errors = [ProviderAway("breaker-open", retry_after=pause, was_sent=False)]
    create(client, "k1")
    txid = create(client).get_json()["payment_id"]
    rows.app.extensions["balcao"].charge_calls._left_alone.clear()
    assert run_job(rows) == 0
    clock.advance(seconds=31)
    assert run_job(rows) == 2
    assert rows.payment_row(txid).has_location


@pytest.mark.parametrize(
    "refusal", [ProviderRefusal("CobOperacaoInvalida", "Valor."), TxidCollision("collision", "V.")]
)
def test_a_refused_charge_cancels_its_payment(client, rows, scripted, account, refusal):
    """409 has the bank's sentence, also on a repeat, and the order is free for a new payment."""
    scripted.errors = [refusal]
    answer = create(client, "k1", order_id="1")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "provider-refused")
    assert refusal.detail in answer.get_json()["detail"]
    assert create(client, "k1", order_id="1").status_code == 409
    assert rows.events() == ["payment.created", "payment.cancelled"]
    assert rows.charge_row(scripted.opened[0].txid).status == "refused"
    assert create(client, "k2", order_id="1").status_code == 201
    assert len(scripted.opened) == 2


def test_a_refused_account_keeps_the_payment_and_is_shown(client, rows, scripted, account):
    """A person must act; the charge is tried again, and a success clears the fault."""
    scripted.errors = [AccountRefusal("unauthorized")]
    answer = create(client, "k1")
    assert answer.status_code == 503
    assert "account at the bank" in answer.get_json()["detail"]
    assert rows.account_row(account).fault == "unauthorized"
    assert create(client, "k1").status_code == 201
    stored = rows.account_row(account)
    assert (stored.fault, stored.fault_at, stored.clock_offset_ms) == (None, None, 2000)
    assert stored.answered_at is not None


def test_a_call_that_has_ended_before_the_request_waits_is_its_answer(
    client, rows, scripted, account, monkeypatch
):
    """A second call would follow at once, to a bank that wants to be left alone."""
    scripted.errors = [ProviderAway("breaker-open", was_sent=False)]
    wait = waiting.wait_for_code

    def wait_later(txid):
        until(lambda: rows.charge_row(txid).fault is not None)
        until(lambda: not rows.app.extensions["balcao"].charge_calls._queues)
        wait(txid)

    monkeypatch.setattr(waiting, "wait_for_code", wait_later)
    answer = create(client, "k1")
    assert answer.status_code == 503
    assert rows.charge_row(answer.get_json()["payment_id"]).attempts == 1
    assert create(client, "k1").status_code == 201


def test_a_slow_bank_is_not_waited_for_and_the_call_goes_on(
    client, rows, scripted, account, monkeypatch
):
    """The request gives up; the call does not, and a repeat waits for the same call."""
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.2)
    scripted.gate = threading.Event()
    first = create(client, "k1")
    assert (first.status_code, first.headers["Retry-After"]) == (503, "5")
    assert create(client, "k1").status_code == 503
    scripted.gate.set()
    txid = first.get_json()["payment_id"]
    until(lambda: rows.charge_row(txid).status == "open")
    assert create(client, "k1").get_json()["payment"]["id"] == txid
    assert len(scripted.opened) == 1


def test_the_job_goes_on_after_a_crash(client, rows, scripted, account, clock):
    """The lease of a dead process ends, and the same charge is opened."""
    waiting_payment = rows.payment(
        account,
        has_location=False,
        charge={"status": "opening", "next_at": clock.now() + LEASE},
    )
    assert run_job(rows) == 0
    clock.advance(seconds=LEASE.total_seconds() + 1)
    assert run_job(rows) == 1
    assert rows.payment_row(waiting_payment.txid).has_location
    assert rows.charge_row(waiting_payment.txid).attempts == 2


def test_the_pauses_of_an_unanswered_charge_grow(client, rows, scripted, account, clock):
    """A bank that is away is asked less and less often."""
    payment = rows.payment(
        account, has_location=False, charge={"status": "opening", "next_at": clock.now()}
    )
    pauses = []
    for _ in range(4):
        scripted.errors = [ProviderAway("timeout")]
        assert run_job(rows) == 1
        due_at = rows.charge_row(payment.txid).next_at
        pauses.append((due_at - clock.now()).total_seconds())
        clock.advance(seconds=pauses[-1])
    assert pauses == [4, 8, 16, 32]


def test_the_job_tries_one_charge_while_the_bank_wants_to_be_left_alone(
    rows, scripted, account, clock
):
    """Each further try would be refused at once, and its transactions delay other merchants."""
    away = ProviderAway("breaker-open", retry_after=timedelta(seconds=60), was_sent=False)
    for _ in range(5):
        rows.payment(
            account, has_location=False, charge={"status": "opening", "next_at": clock.now()}
        )
    scripted.errors = [away] * 6
    begun = []
    for _ in range(4):
        begun.append(run_job(rows))
        clock.advance(seconds=61)
    assert begun == [5, 1, 1, 4]


def test_the_charge_of_a_cancelled_payment_is_opened_no_more(
    client, rows, scripted, account, clock
):
    """It may be at the bank, so it is closed there instead."""
    payment = rows.payment(
        account, has_location=False, charge={"status": "opening", "next_at": clock.now()}
    )
    assert client.post(f"/payments/pix/{payment.txid}/cancel").status_code == 200
    run_job(rows)
    assert scripted.opened == []
    assert rows.charge_row(payment.txid).status == "closing"
    run_job(rows)
    assert rows.charge_row(payment.txid).status == "closed"


def test_a_payment_that_is_cancelled_during_the_call_gets_no_code(
    client, rows, scripted, account, monkeypatch
):
    """The bank has the charge by then, so the job removes it."""
    monkeypatch.setattr(waiting, "WAIT_SECONDS", 0.1)
    scripted.gate = threading.Event()
    answer = create(client)
    assert answer.status_code == 503
    txid = answer.get_json()["payment_id"]
    assert client.post(f"/payments/pix/{txid}/cancel").status_code == 200
    scripted.gate.set()
    until(lambda: rows.charge_row(txid).status == "closing")
    run_job(rows)
    assert rows.charge_row(txid).status == "closed"
    assert scripted.charges[txid].state is ChargeState.REMOVED
    assert rows.payment_row(txid).br_code == ""


def test_a_dead_bank_holds_up_nobody_else(client, rows, scripted, account, app, clock):
    """Every line of the dead bank is taken; the job opens the charges of the other one."""
    scripted.gate = threading.Event()
    dead = [rows.payment(account, has_location=False, charge=due_charge(clock)) for _ in range(40)]
    other = rows.account(rows.merchant("Bob"))
    lively = ScriptedBank(clock)
    clients = app.extensions["balcao"].provider_clients
    clients._build = lambda row, _secrets: scripted if row.id == account else lively
    payment = rows.payment(other, has_location=False, charge=due_charge(clock))
    with app.app_context():
        jobs.run()
    until(lambda: rows.charge_row(payment.txid).status == "open")
    assert len(scripted.opened) == 12
    scripted.gate.set()
    until(lambda: not app.extensions["balcao"].charge_calls._queues)
    assert {rows.charge_row(one.txid).status for one in dead[:12]} == {"open"}


def due_charge(clock):
    """The columns of a charge whose call is due."""
    return {"status": "opening", "next_at": clock.now()}


def test_a_payment_that_pays_itself_is_refused(client, scripted, account):
    """Nothing is stored that the real bank could not honour."""
    answer = create(client, test={"pay_after": 1})
    assert (answer.status_code, answer.get_json()["code"]) == (409, "provider-unsupported")
    assert scripted.opened == []


def test_eight_repeats_of_one_key_make_one_charge(any_database_url, tmp_path, clock):
    """On every engine: one payment, one charge at the bank, and eight equal answers."""
    app = ready_app(settings_for(any_database_url, tmp_path), clock)
    try:
        rows, bank = BankRows(app, clock), ScriptedBank(clock)
        use_bank(app, rows, bank)
        bank.gate = threading.Event()
        threading.Timer(0.3, bank.gate.set).start()
        answers = at_once([partial(create, app.test_client(), "one-key") for _ in range(8)])
        assert [answer.status_code for answer in answers] == [201] * 8
        assert len({answer.data for answer in answers}) == 1
        assert len(bank.opened) == 1
        assert rows.events() == ["payment.created", "payment.code-ready"]
    finally:
        close_app(app)
