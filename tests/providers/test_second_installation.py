"""A second installation is the bank: a shop in front of it, over mutual TLS, with real faults.

The bank's API Pix runs in its own process and database. After each fault `flask provider audit`
finds that nothing was lost or doubled.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from providers import accounts
from repository.database import reading
from tests.providers.installations import (
    WITHIN_SECONDS,
    BankInstallation,
    ShopInstallation,
    move_clock,
    wait_until,
)

CHARGES, REFUNDS = 12, 4
LOST = 10
"""Answers of about twenty that the rush needs."""
HOUR = 3600


@pytest.fixture(scope="module")
def bank(tmp_path_factory) -> Iterator[BankInstallation]:
    """The bank, which makes its own certificates."""
    bank = BankInstallation(tmp_path_factory.mktemp("second-installation"))
    with bank.process:
        yield bank


@pytest.fixture(scope="module")
def shop(bank, tmp_path_factory) -> Iterator[ShopInstallation]:
    """The shop."""
    shop = ShopInstallation(tmp_path_factory.mktemp("first-installation"), bank)
    try:
        yield shop
    finally:
        shop.close()


def test_a_payment_is_confirmed_without_any_callback_and_given_back(shop):
    """The bank does not know the address: the charge is asked about."""
    payment = shop.create("first")
    assert payment["provider"]["txid"] == payment["id"]
    shop.pay(payment)
    shop.advance(20)
    shop.wait_until_paid(payment)
    shop.refund(payment, "4.90")
    shop.advance(70)
    wait_until(lambda: shop.refunds(payment) == ["done"], shop.process)
    shop.assert_both_sides_agree()


def test_a_callback_of_the_bank_confirms_a_payment(shop):
    """The bank posts to the registered address; the shop then asks the bank."""
    with shop.app.app_context():
        provider = accounts.provider_of(shop.account.id)
        provider.register_callback(shop.callback)
        assert provider.registered_callback() == shop.callback
    payment = shop.create("callback")
    shop.pay(payment)
    shop.wait_until_paid(payment)

    def has_come() -> bool:
        with shop.app.app_context(), reading() as work:
            account = work.provider_accounts.find(shop.account.id)
        return account is not None and account.callback_came_at is not None

    wait_until(has_come, shop.process)
    shop.assert_both_sides_agree()


class Rush:
    """Charges and refunds, all at once, by a shop that repeats each until it has an answer."""

    def __init__(self, shop: ShopInstallation, name: str) -> None:
        """Make one paid payment, of which parts are given back."""
        self._shop, self._name = shop, name
        self._paid = shop.create(f"{name}: to be refunded")
        shop.pay(self._paid)
        shop.wait_until_paid(self._paid)
        self._before = len(shop.charges_at_bank())
        self._payments: dict[str, dict[str, Any]] = {}

    def begin(self) -> None:
        """Begin all of it."""
        self._threads = [
            *(threading.Thread(target=self._create, args=(number,)) for number in range(CHARGES)),
            *(threading.Thread(target=self._refund, args=(number,)) for number in range(REFUNDS)),
        ]
        for thread in self._threads:
            thread.start()

    def assert_nothing_lost_or_doubled(self) -> None:
        """Wait for the answers and the refunds; then both sides have each of them once."""
        shop = self._shop
        for thread in self._threads:
            thread.join(WITHIN_SECONDS)
        txids = {payment["id"] for payment in self._payments.values()}
        assert len(txids) == CHARGES
        at_bank = shop.charges_at_bank()
        assert len(at_bank) == len(set(at_bank)) == self._before + CHARGES
        assert txids <= set(at_bank)
        wait_until(lambda: set(shop.refunds(self._paid)) == {"done"}, shop.process)
        assert len(shop.refunds(self._paid)) == REFUNDS
        shop.assert_both_sides_agree()

    def _create(self, number: int) -> None:
        key = f"{self._name} {number}"
        self._payments[key] = self._shop.create(key)

    def _refund(self, number: int) -> None:
        self._shop.refund(self._paid, f"{number + 1}.00")


@pytest.mark.parametrize("victim", ["shop", "bank"])
def test_kill_9_while_charges_and_refunds_are_made_loses_and_doubles_none(shop, bank, victim):
    """The shop repeats with the same keys; a job finishes what nobody repeats."""
    rush = Rush(shop, f"killed {victim}")
    process = {"shop": shop.process, "bank": bank.process}[victim]
    rush.begin()
    for pause in (0.15, 0.6):
        time.sleep(pause)
        process.kill()
        process.start(wait=False)
    process.wait_until_ready()
    if victim == "bank":  # the pauses after failures grow; the leases of a killed shop end soon
        shop.end_leases()
    rush.assert_nothing_lost_or_doubled()


def test_answers_of_the_bank_that_are_lost_lose_and_double_nothing(shop):
    """The bank has acted, and the shop does not know: it asks with the same ids again."""
    rush = Rush(shop, "lost answers")
    before = shop.network.lost
    shop.network.lose(LOST, pass_between=1)
    rush.begin()
    wait_until(lambda: shop.network.lost - before == LOST, shop.process)
    shop.end_leases()
    rush.assert_nothing_lost_or_doubled()


def test_revoked_tokens_are_renewed_once_and_the_charge_is_made(shop, bank):
    """The bank restarts with another key, so no token that it has issued is worth anything."""
    bank.process.environment["SECRET_KEY"] = secrets.token_urlsafe(32)
    bank.restart()
    payment = shop.create("revoked")
    shop.pay(payment)
    shop.wait_until_paid(payment)
    shop.assert_both_sides_agree()


def test_a_renewed_certificate_is_used_without_a_restart(shop, bank):
    """A token belongs to its certificate, so the shop asks for a new one by the new certificate."""
    shop.renew(bank.credentials(bank.register()))
    payment = shop.create("renewed")
    shop.pay(payment)
    shop.wait_until_paid(payment)
    shop.assert_both_sides_agree()


def test_the_banks_authority_is_replaced_under_two_running_processes_of_the_shop(shop, bank):
    """First the shop accepts both, then the bank changes, then the shop forgets the old one."""
    with shop.second_process() as second:

        def assert_both_processes_work(step: str) -> None:
            # Each process opens its own charge at once, or else the other one's job might do it.
            payments = []
            for process in (shop.process, second):
                status, answer = shop.post("/payments/pix", {"value": "54.90"}, process=process)
                assert status == 201, (step, answer, process.log()[-3000:])
                payments.append(answer["payment"])
                shop.pay(answer["payment"])
            for payment in payments:
                shop.wait_until_paid(payment)
            shop.assert_both_sides_agree()

        assert_both_processes_work("the old authority")
        old, new = bank.begin_authority()
        own = bank.credentials()
        shop.renew(replace(own, ca_pem=(old + new).decode()))
        assert_both_processes_work("the shop accepts both")
        bank.restart()
        assert_both_processes_work("the bank has the new one")
        shop.renew(replace(bank.credentials(bank.register()), ca_pem=new.decode()))
        bank.end_authority(new)
        bank.restart()
        assert_both_processes_work("both have the new one alone")


@pytest.mark.parametrize(
    ("whose", "seconds", "hours"),
    [("bank", 3 * HOUR, 3), ("shop", 6 * HOUR, -3)],
    ids=["ahead", "behind"],
)
def test_the_banks_clock_three_hours_off_changes_nothing(shop, bank, whose, seconds, hours):
    """In time is judged by the bank's clock, and windows are asked by it.

    Clocks of tests only go forward, so the bank is three hours behind once the shop is six ahead.
    """
    move_clock({"bank": bank.clock_file, "shop": shop.clock_file}[whose], seconds)
    # A running process takes the median of many answers, so it learns of a jump a little later.
    shop.restart()
    payment = shop.create(f"clock {whose}")
    shop.pay(payment)
    shop.wait_until_paid(payment)
    shop.refund(payment, "4.90")
    wait_until(lambda: shop.refunds(payment) == ["done"], shop.process)
    shop.assert_both_sides_agree()
    assert abs(shop.bank_is_ahead() - timedelta(hours=hours)) < timedelta(minutes=1)
    assert payment["id"] in shop.charges_at_bank()


def test_no_fault_left_a_secret_or_a_traceback_in_the_logs(shop):
    """After all faults above."""
    shop.assert_no_secret_in_logs()
    for process in shop.processes:
        assert "Traceback" not in process.log()
