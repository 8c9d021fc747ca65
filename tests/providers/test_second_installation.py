"""A second installation is the bank: a shop in front of it, over mutual TLS, with real faults.

The bank's API Pix runs in its own process and database. After each fault `flask provider audit`
finds that nothing was lost or doubled.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from app import create_app
from config import Settings
from core.clock import SystemClock
from core.signing import development_ca
from db_models import Environment, ProviderCharge, Refund
from providers import accounts, enrolment
from providers.enrolment import BankCredentials, NewAccount
from repository.database import Work, in_unit_of_work, reading, unit_of_work
from tests.pix_api.tls_talking import CLIENT, TlsClient, stored_ca
from tests.support.ports import free_port
from tests.support.service import PIX_KEY, ServiceProcess, close_app

WITHIN_SECONDS = 25
BASE = "/api-pix/v2"


class BankInstallation:
    """The other installation, which the shop knows by its API alone."""

    def __init__(self, folder: Path) -> None:
        self.clock_file = folder / "clock"
        self.tls_port = free_port()
        self.process = ServiceProcess(
            folder / "bank",
            TLS_PORT=self.tls_port,
            DEMO_CLIENT_ID=CLIENT.client_id,
            DEMO_CLIENT_SECRET=CLIENT.secret,
            CLOCK_FILE=self.clock_file,
        )

    @property
    def tls(self) -> Path:
        """The folder of its certificates."""
        return self.process.instance / "tls"

    def credentials(self, pem: bytes | None = None) -> BankCredentials:
        """The shop's client with its certificate, by default the first one."""
        text = (pem or (self.tls / "clients" / f"{CLIENT.client_id}.pem").read_bytes()).decode()
        begin = text.index("-----BEGIN PRIVATE KEY")
        certificate, key = text[:begin], text[begin:]
        authority = (self.tls / "ca.pem").read_text(encoding="ascii")
        return BankCredentials(CLIENT.client_id, CLIENT.secret, certificate, key, authority)

    def register(self, folder: Path) -> bytes:
        """Give the client a new certificate: tokens of the old one are worth nothing."""
        identity = development_ca.new_client(
            stored_ca(self.tls), CLIENT.client_id, SystemClock().now()
        )
        pem = identity.certificate_pem + identity.key_pem
        file = folder / "new.pem"
        file.write_bytes(pem)
        app = create_app(Settings.from_env(self.process.environment), SystemClock())
        try:
            arguments = ["pix-ca", "register", CLIENT.client_id, str(file)]
            result = app.test_cli_runner().invoke(args=arguments)
            assert result.exit_code == 0, result.output
        finally:
            close_app(app)
        return pem


class ShopInstallation:
    """The shop's installation, with an account at the bank."""

    def __init__(self, folder: Path, bank: BankInstallation) -> None:
        self.bank = bank
        self.process = ServiceProcess(folder / "shop", WEBHOOK_ALLOW_PRIVATE="true")
        self.process.start()
        environment = {**self.process.environment, "LOG_LEVEL": "error"}
        self.app: Flask = create_app(Settings.from_env(environment), SystemClock())
        origin = f"https://127.0.0.1:{bank.tls_port}/api-pix"
        overrides = {"base": f"{origin}/v2", "token_url": f"{origin}/oauth/token", "rate": 6000}
        new = NewAccount(
            "standard", Environment.TEST, PIX_KEY, "Banco", bank.credentials(), overrides
        )
        with self.app.app_context():
            self.account = in_unit_of_work(
                lambda work: enrolment.add(work, work.accounts.by_login("demo"), new)
            )
            token = accounts.vault().open(self.account.sealed).callback_token
        self.callback = f"{self.process.url}/providers/{token}"

    def close(self) -> None:
        close_app(self.app)
        self.process.kill()

    def post(self, path: str, body: Any, key: str = "") -> tuple[int, dict[str, Any]]:
        """POST as the shop's server does. Raises OSError and HTTPException without an answer."""
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        status, data, _ = self.process.request(
            "POST", path, json.dumps(body).encode(), headers, timeout=30
        )
        return status, json.loads(data)

    def create(self, key: str) -> dict[str, Any]:
        """Create a payment, as a shop that repeats its request until it has a code."""
        limit = time.monotonic() + WITHIN_SECONDS
        while True:
            with suppress(OSError, HTTPException):
                status, answer = self.post("/payments/pix", {"value": "54.90"}, key)
                if status in (200, 201):
                    payment: dict[str, Any] = answer["payment"]
                    return payment
                assert status in (409, 503), (status, answer)
            assert time.monotonic() < limit, self.process.log()[-3000:]
            time.sleep(0.1)

    def pay(self, payment: dict[str, Any]) -> None:
        """Order the robot at the bank to pay this charge."""
        pem = self.bank.tls / "clients" / f"{CLIENT.client_id}.pem"
        payer = TlsClient(self.bank.tls_port, self.bank.tls / "ca.pem", pem)
        path, bearer = f"{BASE}/cob/pagar/{payment['id']}", f"Bearer {payer.token()}"
        status, answer = payer.request("POST", path, b"", Authorization=bearer)
        assert status == 200, answer

    def wait_until_paid(self, payment: dict[str, Any]) -> None:
        wait_until(
            lambda: self.process.payment(payment["id"])["status"] == "confirmed", self.process
        )

    def refund(self, payment: dict[str, Any], value: str) -> None:
        """Ask for a refund, again and again until there is an answer."""
        refund_id = secrets.token_hex(8)

        def is_stored() -> bool:
            body = {"refund_id": refund_id, "value": value}
            with suppress(OSError, HTTPException):
                status, answer = self.post(f"/payments/pix/{payment['id']}/refunds", body)
                assert status in (200, 201, 202), answer
                return True
            return False

        wait_until(is_stored, self.process)

    def refunds(self, payment: dict[str, Any]) -> list[str]:
        """The statuses of the payment's refunds."""
        status, body = self.process.get(f"/payments/pix/{payment['id']}/refunds")
        assert status == 200, body
        return [one["status"] for one in json.loads(body)]

    def assert_both_sides_agree(self) -> None:
        """Run the audit; print its table if a rule is broken."""
        arguments = ["provider", "audit", "--days", "1"]
        result = self.app.test_cli_runner().invoke(args=arguments)
        assert result.exit_code == 0, result.output
        assert "No broken rule." in result.output, result.output

    def assert_no_secret_in_log(self) -> None:
        """Neither credentials nor the callback's token nor the key."""
        log = str(self.process._log)
        arguments = ["provider", "audit", "--days", "1", "--log", log]
        result = self.app.test_cli_runner().invoke(args=arguments)
        assert "secret-in-log" not in result.output, result.output

    def end_leases(self) -> None:
        """Let the time pass for which a killed process keeps charges and refunds to itself."""
        opening = sa.update(ProviderCharge).where(ProviderCharge.status == "opening")
        processing = sa.update(Refund).where(Refund.status == "processing")
        with self.app.app_context(), unit_of_work() as work:
            work.connection.execute(opening.values(next_at=work.now))
            work.connection.execute(processing.values(ask_at=work.now))

    def charges_at_bank(self) -> list[str]:
        """The txids of all charges that the bank has."""
        with self.app.app_context():
            provider = accounts.provider_of(self.account.id)
            with reading() as work:
                end = work.now
            page = provider.charge_page(self.account.created_at, end, None)
            txids = [one.txid for one in page.charges]
            while page.next is not None:
                page = provider.charge_page(self.account.created_at, end, page.next)
                txids += [one.txid for one in page.charges]
        return txids


def wait_until(is_so: Callable[[], bool], process: ServiceProcess) -> None:
    limit = time.monotonic() + WITHIN_SECONDS
    while not is_so():
        assert time.monotonic() < limit, process.log()[-4000:]
        time.sleep(0.1)


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
    shop.wait_until_paid(payment)
    shop.refund(payment, "4.90")
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


def test_kill_9_while_charges_and_refunds_are_made_loses_and_doubles_none(shop):
    """The shop repeats with the same keys; a job finishes what nobody repeats."""
    paid = shop.create("to be refunded")
    shop.pay(paid)
    shop.wait_until_paid(paid)
    before = len(shop.charges_at_bank())
    payments: dict[str, dict[str, Any]] = {}

    def create(number: int) -> None:
        key = f"killed {number}"
        payments[key] = shop.create(key)

    def refund(number: int) -> None:
        shop.refund(paid, f"{number + 1}.00")

    threads = [threading.Thread(target=create, args=(number,)) for number in range(12)]
    threads += [threading.Thread(target=refund, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for pause in (0.15, 0.6):
        time.sleep(pause)
        shop.process.kill()
        shop.process.start(wait=False)
    shop.process.wait_until_ready()
    shop.end_leases()
    for thread in threads:
        thread.join(WITHIN_SECONDS)
    txids = {payment["id"] for payment in payments.values()}
    assert len(txids) == 12
    at_bank = shop.charges_at_bank()
    assert len(at_bank) == len(set(at_bank)) == before + 12
    assert txids <= set(at_bank)
    wait_until(lambda: set(shop.refunds(paid)) == {"done"}, shop.process)
    assert len(shop.refunds(paid)) == 4
    shop.assert_both_sides_agree()


def test_revoked_tokens_are_renewed_once_and_the_charge_is_made(shop, bank):
    """The bank restarts with another key, so no token that it has issued is worth anything."""
    bank.process.kill()
    bank.process.environment["SECRET_KEY"] = secrets.token_urlsafe(32)
    bank.process.start()
    payment = shop.create("revoked")
    shop.pay(payment)
    shop.wait_until_paid(payment)
    shop.assert_both_sides_agree()


def test_a_renewed_certificate_is_used_without_a_restart(shop, bank, tmp_path):
    """A token belongs to its certificate, so the shop asks for a new one by the new certificate."""
    pem = bank.register(tmp_path)

    def renew(work: Work) -> None:
        account = work.provider_accounts.find(shop.account.id)
        assert account is not None
        fresh = bank.credentials(pem)
        enrolment.renew(work, work.accounts.by_login("demo"), account, fresh)

    with shop.app.app_context():
        in_unit_of_work(renew)
    (bank.tls / "clients" / f"{CLIENT.client_id}.pem").write_bytes(pem)
    payment = shop.create("renewed")
    shop.pay(payment)
    shop.wait_until_paid(payment)
    shop.assert_both_sides_agree()


def test_the_banks_clock_three_hours_ahead_changes_nothing(shop, bank):
    """In time is judged by the bank's clock, and windows are asked by it."""
    bank.clock_file.write_text("10800", encoding="utf-8")
    payment = shop.create("ahead")
    shop.pay(payment)
    shop.wait_until_paid(payment)
    wait_until(lambda: shop.process.payment(payment["id"])["status"] == "confirmed", shop.process)
    shop.assert_both_sides_agree()
    shop.assert_no_secret_in_log()
