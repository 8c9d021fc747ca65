"""Closing charges at a real bank: nobody pays a code that its shop has given up, unseen."""

from __future__ import annotations

import secrets
import threading
import time
from datetime import timedelta
from functools import partial

import pytest

from db_models import ProviderAccount
from payments.at_bank import booking, closing, jobs
from payments.sweep import Sweep
from providers.port import UNPROVED, ChargeState, ProviderAway
from repository.database import in_unit_of_work
from tests.db.crowd import at_once
from tests.providers.bank_rows import LIFETIME, BankRows
from tests.providers.conftest import use_bank
from tests.providers.connections import new_charge, provider_for
from tests.providers.scripted_bank import ScriptedBank
from tests.providers.stand_in import StandInBank
from tests.providers.stand_in_dialects import DIALECTS
from tests.support.service import close_app, ready_app, settings_for

PATIENCE_SECONDS = 10


def create(client, **fields):
    """Create a payment at the bank; returns the payment object."""
    answer = client.post("/payments/pix", json={"value": "54.90", **fields})
    assert answer.status_code == 201, answer.text
    return answer.get_json()["payment"]


def cancel(client, payment):
    """The shop cancels."""
    return client.post(f"/payments/pix/{payment['id']}/cancel")


def pay(rows, bank, payment, **changes):
    """A payer pays at the bank, and no callback comes."""
    money = rows.money(payment["id"], **changes)
    bank.change(payment["id"], state=ChargeState.PAID, money=(money,))
    return money


def run_jobs(rows):
    """Sweep, plan and close, until the calls have ended."""
    with rows.app.app_context():
        Sweep.starting_at(rows.clock.now(), timedelta(0)).run()
        closing.plan_closings()
        jobs.run()
    calls = rows.app.extensions["balcao"].charge_calls
    end = time.monotonic() + PATIENCE_SECONDS
    while calls._queues and time.monotonic() < end:
        time.sleep(0.01)


def status(rows, payment):
    """The status of the charge."""
    return rows.charge_row(payment["id"]).status


def test_a_cancelled_payment_is_closed_at_the_bank(client, rows, scripted, account):
    """The bank is asked first, and its charge removed soon after."""
    payment = create(client)
    assert cancel(client, payment).status_code == 200
    assert scripted.calls == ["find"]
    assert status(rows, payment) == "closing"
    run_jobs(rows)
    assert scripted.calls == ["find", "close"]
    assert (status(rows, payment), rows.charge_row(payment["id"]).next_at) == ("closed", None)
    assert scripted.charges[payment["id"]].state is ChargeState.REMOVED


def test_a_payment_that_was_paid_is_not_cancelled(client, rows, scripted, account):
    """The question before the cancellation finds the money, which settles the payment."""
    payment = create(client)
    pay(rows, scripted, payment)
    answer = cancel(client, payment)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "not-cancellable")
    assert rows.payment_row(payment["id"]).status == "confirmed"
    assert status(rows, payment) == "paid"


def test_a_bank_that_is_away_keeps_nobody_from_cancelling(
    client, rows, scripted, account, monkeypatch
):
    """The charge is closed once the bank answers again."""
    payment = create(client)
    scripted.errors = [ProviderAway("timeout"), ProviderAway("timeout")]
    assert cancel(client, payment).status_code == 200
    run_jobs(rows)
    charge = rows.charge_row(payment["id"])
    assert (charge.status, charge.fault) == ("closing", "timeout")
    rows.clock.advance(seconds=3)
    run_jobs(rows)
    assert status(rows, payment) == "closed"


def test_money_that_came_before_the_closing_is_kept(client, rows, scripted, account):
    """It pays no cancelled order: it is a receipt that the merchant attaches or gives back."""
    payment = create(client)
    assert cancel(client, payment).status_code == 200
    money = pay(rows, scripted, payment)
    run_jobs(rows)
    [receipt] = rows.receipts()
    assert (receipt.end_to_end_id, receipt.payment_id) == (money.end_to_end_id, None)
    assert receipt.misfit == "payment-cancelled"
    assert status(rows, payment) == "paid"
    assert rows.payment_row(payment["id"]).status == "cancelled"


def test_an_abandoned_charge_is_closed_a_minute_after_its_deadline(client, rows, scripted, account):
    """Not before: a Pix of the last second may still be on its way."""
    payment = create(client, expires_in=600)
    rows.clock.advance(seconds=601)
    run_jobs(rows)
    assert rows.payment_row(payment["id"]).status == "expired"
    assert status(rows, payment) == "open"
    rows.clock.advance(seconds=60)
    run_jobs(rows)
    run_jobs(rows)
    assert status(rows, payment) == "closed"
    assert scripted.calls == ["close"]


@pytest.mark.parametrize("hours", [-3, 3])
def test_a_clock_of_the_bank_that_is_off_moves_no_closing(client, rows, scripted, account, hours):
    """The instant that the bank gave is compared by the offset of its clock."""
    payment = create(client, expires_in=600)
    offset = timedelta(hours=hours)
    charge = rows.charge_row(payment["id"])
    stored = rows.payment_row(payment["id"])
    charge.bank_created_at += offset + timedelta(seconds=30)
    due_at = closing.close_time(charge, _expired(stored), offset)
    assert due_at == stored.expires_at + timedelta(seconds=90)


def _expired(payment):
    payment.status = "expired"
    return payment


def test_a_superseded_payment_is_closed_too(client, rows, scripted, account):
    """Late news of the older payment's money cancels the newer one of the order."""
    payment = create(client, order_id="1")
    with rows.app.app_context():
        in_unit_of_work(lambda work: _supersede(work, payment["id"]))
    assert status(rows, payment) == "closing"


def test_a_payment_with_other_money_is_closed_too(client, rows, scripted, account):
    """Its merchant has attached a transfer: nobody shall pay the code a second time."""
    payment = create(client)
    money = rows.money(None)
    with rows.app.app_context():
        booking.book(account, money)
    address = f"/payments/pix/receipts/{money.end_to_end_id}/attach"
    assert client.post(address, json={"payment_id": payment["id"]}).status_code == 200
    run_jobs(rows)
    assert rows.payment_row(payment["id"]).status == "confirmed"
    assert status(rows, payment) == "closed"
    assert scripted.charges[payment["id"]].state is ChargeState.REMOVED


def _supersede(work, txid):
    from payments import lifecycle, service

    payment = work.payments.by_txid(txid)
    service.apply_change(work, payment, lifecycle.supersede(payment, work.now))


def test_a_charge_that_the_bank_does_not_have_is_closed(client, rows, scripted, account):
    """There is nothing to remove."""
    payment = create(client)
    assert cancel(client, payment).status_code == 200
    del scripted.charges[payment["id"]]
    run_jobs(rows)
    assert status(rows, payment) == "closed"


GATEWAY_ANSWERS = [
    {"message": "no Route matched with those values"},
    {"fault": {"faultstring": "Unable to identify proxy", "detail": {"errorcode": "x"}}},
    {"timestamp": "2026-11-30T10:00:00Z", "status": 404, "error": "Not Found", "path": "/cob"},
    {"type": "about:blank", "title": "Not Found", "status": 404},
]


@pytest.mark.parametrize("answer", GATEWAY_ANSWERS)
def test_a_gateway_s_word_removes_no_charge(answer):
    """Its JSON 404 comes while the bank's program is down; the charge may be payable."""
    with StandInBank() as bank:
        provider, txid = provider_for(bank), secrets.token_hex(16)
        provider.open_charge(new_charge(txid))
        bank.book.get_charge = lambda txid: (404, answer)  # type: ignore[method-assign]  # noqa: ARG005
        with pytest.raises(ProviderAway) as away:
            provider.close_charge(txid)
        assert away.value.code == UNPROVED
        assert bank.count("patch-cob") == 0


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_a_bank_s_own_word_that_it_has_no_such_charge_is_believed(dialect):
    """Each names the problem in a form of its own."""
    with StandInBank(dialect) as bank:
        assert provider_for(bank).close_charge(secrets.token_hex(16)) is None


def test_a_charge_is_read_twice_to_be_closed():
    """Once before it is removed, and once after."""
    with StandInBank() as bank:
        provider, txid = provider_for(bank), secrets.token_hex(16)
        provider.open_charge(new_charge(txid))
        closed = provider.close_charge(txid)
        assert closed is not None
        assert closed.state is ChargeState.REMOVED
        assert (bank.count("get-cob"), bank.count("patch-cob")) == (2, 1)


def test_a_charge_is_missed_for_a_day_before_a_strange_answer_is_believed(
    client, rows, scripted, account
):
    """It is asked about again until then, and closed when the bank answers by itself."""
    first, second = create(client), create(client)
    for payment in (first, second):
        assert cancel(client, payment).status_code == 200
    scripted.errors = [ProviderAway(UNPROVED), ProviderAway(UNPROVED)]
    run_jobs(rows)
    assert [status(rows, one) for one in (first, second)] == ["closing", "closing"]
    scripted.change(first["id"], money=(rows.money(first["id"]),), state=ChargeState.PAID)
    rows.clock.advance(minutes=11)
    scripted.errors = []
    run_jobs(rows)
    assert [status(rows, one) for one in (first, second)] == ["paid", "closed"]
    third = create(client)
    assert cancel(client, third).status_code == 200
    rows.clock.advance(days=1, seconds=1)
    scripted.errors = [ProviderAway(UNPROVED)]
    run_jobs(rows)
    assert status(rows, third) == "closed"


def test_a_bank_that_never_answers_is_given_up_after_a_week(client, rows, scripted, account):
    """The charge cannot be paid at the bank any more by then."""
    payment = create(client)
    assert cancel(client, payment).status_code == 200
    rows.clock.advance(days=7, seconds=LIFETIME + 1)
    scripted.errors = [ProviderAway("timeout")]
    run_jobs(rows)
    charge = rows.charge_row(payment["id"])
    assert (charge.status, charge.fault, charge.next_at) == ("closed", "given-up", None)


def test_the_account_shows_a_bank_that_does_not_answer(client, rows, scripted, account):
    """The fault is that of the last failed call."""
    payment = create(client)
    assert cancel(client, payment).status_code == 200
    scripted.errors = [ProviderAway("status-503", retry_after=timedelta(seconds=45))]
    run_jobs(rows)
    stored: ProviderAccount = rows.account_row(account)
    assert stored.fault == "status-503"
    wait = rows.charge_row(payment["id"]).next_at - rows.clock.now()
    assert wait == timedelta(seconds=45)


def test_a_cancellation_races_a_payment_on_every_engine(any_database_url, tmp_path, clock):
    """Confirmed or cancelled: either way the money is here once, and nothing is lost."""
    app = ready_app(settings_for(any_database_url, tmp_path), clock)
    try:
        rows, bank = BankRows(app, clock), ScriptedBank(clock)
        use_bank(app, rows, bank)
        for _ in range(3):
            payment = create(app.test_client())
            start = threading.Event()
            at_once(
                [
                    partial(cancel, app.test_client(), payment),
                    partial(pay, rows, bank, payment),
                    start.set,
                ]
            )
            run_jobs(rows)
            row = rows.payment_row(payment["id"])
            money = bank.charges[payment["id"]].money
            here = [one for one in rows.receipts() if one.end_to_end_id == money[0].end_to_end_id]
            assert len(here) == 1
            assert (row.status, here[0].payment_id, here[0].misfit) in (
                ("confirmed", row.id, None),
                ("cancelled", None, "payment-cancelled"),
            )
    finally:
        close_app(app)
