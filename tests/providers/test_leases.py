"""Leases of calls to banks: renewed while a call runs, and lost for good when another one has them.

A process that stalls is one whose bank answers only after another process has acquired the lease.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from db_models import Account
from payments import refunds
from payments.at_bank import booking, jobs, leases, refund_runs, repairs
from payments.at_bank.calls import AT_ONCE
from payments.at_bank.opening import open_at_bank
from payments.schemas import NewRefund
from providers.port import ProviderAway, ProviderRefusal
from repository.bank_leases import LEASE, BankLease
from repository.database import in_unit_of_work, unit_of_work
from tests.providers.bank_rows import BankRows, returned
from tests.providers.conftest import use_bank
from tests.providers.scripted_bank import ScriptedBank
from tests.support.service import close_app, ready_app, settings_for

PATIENCE_SECONDS = 10


@pytest.fixture
def engine(any_database_url, tmp_path, clock):
    """A service on each engine, with an account at a scripted bank."""
    app = ready_app(settings_for(any_database_url, tmp_path), clock)
    rows, bank = BankRows(app, clock), ScriptedBank(clock)
    account = use_bank(app, rows, bank)
    try:
        yield rows, bank, account
    finally:
        close_app(app)


def calls_of(rows):
    return rows.app.extensions["balcao"].charge_calls


def run_jobs(rows):
    """One run of the job; returns how many calls it began."""
    with rows.app.app_context():
        return jobs.run()


def until(condition):
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


def leased_payment(rows, account, **charge):
    """A payment whose charge this process has just begun to open."""
    until_time = rows.clock.now() + LEASE
    values = {"status": "opening", "next_at": until_time, "attempts": 1, **charge}
    return rows.payment(account, has_location=False, charge=values)


class Stalled:
    """A process that has sent its request, and stalls until `go_on`."""

    def __init__(self, rows, bank, txid, lease):
        self._app, self._bank, self._txid, self._lease = rows.app, bank, txid, lease
        bank.gate = self._gate = threading.Event()
        self.result = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        until(lambda: len(bank.opened) == 1)
        bank.gate = None

    def _run(self):
        with self._app.app_context():
            try:
                self.result = open_at_bank(self._txid, self._lease)
            except (ProviderAway, ProviderRefusal) as error:
                self.result = error

    def go_on(self):
        self._gate.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive()


def acquire(rows, txid):
    """Another process acquires the lease, whose time has passed; returns its `attempts`."""
    row = rows.charge_row(txid).id
    with rows.app.app_context():
        assert in_unit_of_work(lambda work: work.provider_charges.acquire(row, work.now))
    return rows.charge_row(txid).attempts


def test_a_refusal_that_comes_after_the_lease_cancels_nothing(engine, clock):
    """The bank may accept the request of the process that has the lease now, as it does here."""
    rows, bank, account = engine
    txid = leased_payment(rows, account).txid
    stalled = Stalled(rows, bank, txid, 1)
    clock.advance(seconds=LEASE.total_seconds() + 1)
    lease = acquire(rows, txid)
    bank.errors = [ProviderRefusal("CobOperacaoInvalida", "Valor.")]
    stalled.go_on()
    assert stalled.result is False
    charge = rows.charge_row(txid)
    assert (charge.status, charge.attempts, charge.fault) == ("opening", 2, None)
    assert rows.payment_row(txid).status == "pending"
    with rows.app.app_context():
        assert open_at_bank(txid, lease)
    assert rows.charge_row(txid).status == "open"
    assert rows.payment_row(txid).has_location


def test_a_failure_that_comes_after_the_lease_ends_no_other_lease(engine, clock):
    """A pause and a fault would let a third process begin beside the second one."""
    rows, bank, account = engine
    txid = leased_payment(rows, account).txid
    stalled = Stalled(rows, bank, txid, 1)
    clock.advance(seconds=LEASE.total_seconds() + 1)
    acquire(rows, txid)
    before = rows.charge_row(txid)
    bank.errors = [ProviderAway("timeout")]
    stalled.go_on()
    after = rows.charge_row(txid)
    assert (after.fault, after.attempts, after.next_at) == (None, 2, before.next_at)


def test_a_success_that_comes_after_the_lease_is_left_to_its_holder(engine, clock):
    """Nothing is written twice: the holder stores what the bank has."""
    rows, bank, account = engine
    txid = leased_payment(rows, account).txid
    stalled = Stalled(rows, bank, txid, 1)
    clock.advance(seconds=LEASE.total_seconds() + 1)
    lease = acquire(rows, txid)
    with rows.app.app_context():
        assert open_at_bank(txid, lease)
    stalled.go_on()
    assert stalled.result is False
    assert rows.charge_row(txid).status == "open"
    assert rows.events().count("payment.code-ready") == 1
    assert len(bank.charges) == 1


def test_only_leases_that_are_still_held_are_renewed(engine, clock):
    """Neither those of other processes, nor pauses, nor what has ended; by one call for all."""
    rows, _, account = engine
    own, lost, pausing, ended = (
        leased_payment(rows, account),
        leased_payment(rows, account, attempts=2),
        leased_payment(rows, account, fault="timeout"),
        leased_payment(rows, account, status="open", next_at=None),
    )
    closing = leased_payment(rows, account, status="closing", attempts=7)
    keeper = calls_of(rows).leases
    all_leases = [
        BankLease(7 if one is closing else 1, account, one.txid)
        for one in (own, lost, pausing, ended, closing)
    ]
    before = rows.charge_row(own.txid).next_at
    clock.advance(seconds=9)
    for lease in all_leases:
        keeper.hold(lease)
    try:
        assert keeper.renew() == 2
    finally:
        for lease in all_leases:
            keeper.release(lease)
    for payment in (own, closing):
        assert rows.charge_row(payment.txid).next_at == clock.now() + LEASE
    for payment in (lost, pausing):
        assert rows.charge_row(payment.txid).next_at == before
    assert rows.charge_row(ended.txid).next_at is None
    assert keeper.renew() == 0


def test_a_call_that_lasts_longer_than_its_lease_keeps_it(
    rows, scripted, account, clock, monkeypatch
):
    """Also one that waits for its turn in its account's queue; no job begins it a second time."""
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.05)
    scripted.gate = threading.Event()
    due = {"status": "opening", "next_at": clock.now(), "attempts": 0}
    payments = [rows.payment(account, has_location=False, charge=due) for _ in range(AT_ONCE + 3)]
    calls = calls_of(rows)
    for payment in payments:
        calls.open(account, payment.txid, acquire(rows, payment.txid))
    for _ in range(4):
        clock.advance(seconds=LEASE.total_seconds() - 3)
        lease_end = clock.now() + LEASE
        until(
            lambda end=lease_end: all(rows.charge_row(one.txid).next_at >= end for one in payments)
        )
        assert run_jobs(rows) == 0
    assert len(scripted.opened) == AT_ONCE
    scripted.gate.set()
    until(lambda: all(rows.charge_row(one.txid).status == "open" for one in payments))
    assert {rows.charge_row(one.txid).attempts for one in payments} == {1}
    until(lambda: not calls.leases._is_running)


def test_a_renewal_that_fails_is_tried_again(rows, scripted, account, clock, monkeypatch):
    """The thread goes on when the database was away for a moment."""
    monkeypatch.setattr(leases, "RENEW_SECONDS", 0.05)
    payment = leased_payment(rows, account)
    keeper, tries = calls_of(rows).leases, []
    renew = leases._renew

    def fail_once(part, work):
        tries.append(part)
        if len(tries) == 1:
            raise OSError("the network is away")
        return renew(part, work)

    monkeypatch.setattr(leases, "_renew", fail_once)
    clock.advance(seconds=9)
    with keeper.holding(BankLease(1, account, payment.txid)):
        until(lambda: rows.charge_row(payment.txid).next_at == clock.now() + LEASE)
    assert len(tries) >= 2


def test_a_refused_return_that_comes_after_the_lease_fails_nothing(engine, clock):
    """The second process's order may be carried out, so the amount stays on hold for it."""
    rows, bank, account = engine
    payment = rows.payment(account)
    money = rows.money(payment.txid)
    with rows.app.app_context():
        booking.book(account, money, booking.Way.POLL)
        with unit_of_work() as work:
            merchant = work.session.get_one(Account, payment.merchant_id)
            paid = work.payments.by_txid(payment.txid)
            refund, _ = refunds.request_refund(work, paid, NewRefund(), merchant)
            row = refund.id
    gate, begun = threading.Event(), threading.Event()

    def refuse_late(*_):
        begun.set()
        gate.wait(PATIENCE_SECONDS)
        raise ProviderRefusal("saldo", "Saldo insuficiente.")

    bank.give_back = refuse_late
    results = []

    def send():
        with rows.app.app_context():
            results.append(refunds.send_order(row, 1))

    thread = threading.Thread(target=send)
    thread.start()
    assert begun.wait(PATIENCE_SECONDS)
    clock.advance(seconds=LEASE.total_seconds() + 1)
    bank.give_back = lambda _e2e, _id, amount: returned(amount)

    def let_the_first_answer(*_):
        gate.set()
        thread.join(PATIENCE_SECONDS)

    bank.find_return = let_the_first_answer
    with rows.app.app_context():
        assert refund_runs.run_at_bank(account) == 1
    [stored] = rows.refunds()
    assert (stored.status, stored.attempts) == ("done", 2)
    assert rows.payment_row(payment.txid).refunded_centavos == payment.amount_centavos


@pytest.mark.parametrize("is_renewed", [True, False])
def test_a_repair_keeps_its_lease_and_counts_what_it_has_stored(
    rows, scripted, account, clock, is_renewed
):
    """Its bank may answer later than the lease would end; a lost lease stores nothing."""
    payment = leased_payment(rows, account, fault="timeout")
    charge = rows.charge_row(payment.txid)
    repaired = repairs.Repairs()
    scripted.gate = threading.Event()

    def repair():
        with rows.app.app_context():
            repairs.finish_charge(repaired, charge)

    thread = threading.Thread(target=repair)
    thread.start()
    until(lambda: len(scripted.opened) == 1)
    clock.advance(seconds=LEASE.total_seconds() - 1)
    if is_renewed:
        assert calls_of(rows).leases.renew() == 1
    clock.advance(seconds=2)
    gate, scripted.gate = scripted.gate, None
    assert run_jobs(rows) == (0 if is_renewed else 1)
    gate.set()
    thread.join(PATIENCE_SECONDS)
    until(lambda: rows.charge_row(payment.txid).status == "open")
    assert repaired.charges == (1 if is_renewed else 0)


def test_leases_last_seconds():
    """What a shopper waits for after kill -9."""
    assert timedelta(seconds=20) >= LEASE
    assert LEASE.total_seconds() > leases.RENEW_SECONDS * 2.5
