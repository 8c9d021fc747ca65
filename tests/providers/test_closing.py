"""Closing charges at a real bank: nobody pays a code that its shop has given up, unseen."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from functools import partial

import pytest

from db_models import ProviderAccount
from payments.at_bank import booking, closing, jobs
from payments.sweep import Sweep
from providers.port import ChargeState, ProviderAway
from repository.database import in_unit_of_work
from tests.db.crowd import at_once
from tests.providers.bank_rows import LIFETIME, BankRows
from tests.providers.conftest import use_bank
from tests.providers.scripted_bank import ScriptedBank
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
    assert scripted.calls == ["find", "find", "close"]
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
    assert scripted.calls == ["find", "close"]


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
