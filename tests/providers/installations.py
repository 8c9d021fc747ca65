"""Two installations: one is the shop's, the other its bank, with a network between them."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from flask import Flask

from app import create_app
from config import Settings, clock_of
from core.clock import SystemClock
from core.signing import development_ca
from db_models import Environment, ProviderCharge, Refund
from providers import accounts, enrolment
from providers.enrolment import BankCredentials, NewAccount
from repository.database import Work, in_unit_of_work, reading, unit_of_work
from tests.pix_api.tls_talking import CLIENT, TlsClient, stored_ca
from tests.providers.losing_proxy import LosingProxy
from tests.support.ports import free_port
from tests.support.service import PIX_KEY, ServiceProcess, close_app

WITHIN_SECONDS = 40
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

    def register(self) -> bytes:
        """Give the client a new certificate: tokens of the old one are worth nothing."""
        identity = development_ca.new_client(
            stored_ca(self.tls), CLIENT.client_id, SystemClock().now()
        )
        pem = identity.certificate_pem + identity.key_pem
        file = self.tls / "clients" / f"{CLIENT.client_id}.crt"
        # The bank reads it again at its next start.
        file.write_bytes(identity.certificate_pem)
        file.with_suffix(".key").write_bytes(identity.key_pem)
        file.with_suffix(".pem").write_bytes(pem)
        app = create_app(Settings.from_env(self.process.environment), SystemClock())
        try:
            arguments = ["pix-ca", "register", CLIENT.client_id, str(file)]
            result = app.test_cli_runner().invoke(args=arguments)
            assert result.exit_code == 0, result.output
        finally:
            close_app(app)
        return pem

    def restart(self) -> None:
        """Kill it and start it with its files and settings of now."""
        self.process.kill()
        self.process.start()

    def begin_authority(self) -> tuple[bytes, bytes]:
        """Accept a second authority and present its certificate; returns the old and the new one.

        The bank must be started again. Until then it has the old certificate.
        """
        old, moment = (self.tls / "ca.pem").read_bytes(), SystemClock().now()
        authority = development_ca.new_ca(moment)
        server = development_ca.new_server(authority, ["127.0.0.1", "localhost"], moment)
        self._write("ca", authority.certificate_pem + old, authority.key_pem)
        self._write("server", server.certificate_pem, server.key_pem)
        return old, authority.certificate_pem

    def end_authority(self, new: bytes) -> None:
        """Accept certificates of the new authority alone, from the next start on."""
        (self.tls / "ca.pem").write_bytes(new)

    def _write(self, name: str, certificate: bytes, key: bytes) -> None:
        (self.tls / f"{name}.pem").write_bytes(certificate)
        (self.tls / f"{name}-key.pem").write_bytes(key)


class ShopInstallation:
    """The shop's installation, with an account at the bank, and a network that can lose answers."""

    def __init__(self, folder: Path, bank: BankInstallation) -> None:
        self.bank = bank
        self.network = LosingProxy(bank.tls_port)
        self.clock_file = folder / "clock"
        self.process = ServiceProcess(
            folder / "shop", WEBHOOK_ALLOW_PRIVATE="true", CLOCK_FILE=self.clock_file
        )
        self.processes = [self.process]
        """Every process of this installation, also those that have ended."""
        self.process.start()
        self.app = self._new_app()
        origin = f"https://127.0.0.1:{self.network.port}/api-pix"
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
        self.network.close()

    def restart(self) -> None:
        """Kill the process and start it; the commands begin anew too."""
        self.process.kill()
        self.process.start()
        close_app(self.app)
        self.app = self._new_app()

    def _new_app(self) -> Flask:
        """The app of the commands."""
        settings = Settings.from_env({**self.process.environment, "LOG_LEVEL": "error"})
        return create_app(settings, clock_of(settings))

    def advance(self, seconds: int) -> None:
        """Let so much time pass, here and at the bank."""
        for file in (self.clock_file, self.bank.clock_file):
            move_clock(file, seconds)

    @contextmanager
    def second_process(self) -> Iterator[ServiceProcess]:
        """Another process of this installation."""
        environment: dict[str, Any] = {**self.process.environment, "PORT": free_port()}
        with ServiceProcess(self.process.instance, **environment) as process:
            self.processes.append(process)
            yield process

    def renew(self, credentials: BankCredentials) -> None:
        """Give the account other credentials, as its merchant."""

        def do(work: Work) -> None:
            account = work.provider_accounts.find(self.account.id)
            assert account is not None
            enrolment.renew(work, work.accounts.by_login("demo"), account, credentials)

        with self.app.app_context():
            in_unit_of_work(do)

    def post(
        self, path: str, body: Any, key: str = "", process: ServiceProcess | None = None
    ) -> tuple[int, dict[str, Any]]:
        """POST as the shop's server does. Raises OSError and HTTPException without an answer."""
        headers = {"Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        status, data, _ = (process or self.process).request(
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
        """Order the robot at the bank to pay this charge, and wait until the bank has the money."""
        pem = self.bank.tls / "clients" / f"{CLIENT.client_id}.pem"
        payer = TlsClient(self.bank.tls_port, self.bank.tls / "ca.pem", pem)
        path, bearer = f"{BASE}/cob/pagar/{payment['id']}", f"Bearer {payer.token()}"
        status, answer = payer.request("POST", path, b"", Authorization=bearer)
        assert status == 200, answer
        charge = f"{BASE}/cob/{payment['id']}"

        def is_paid() -> bool:
            view = payer.request("GET", charge, Authorization=bearer)[1]
            return view["status"] == "CONCLUIDA"

        wait_until(is_paid, self.bank.process)

    def wait_until_paid(self, payment: dict[str, Any]) -> None:
        def is_paid() -> bool:
            return self.process.payment(payment["id"])["status"] == "confirmed"

        wait_until(is_paid, *self.processes)

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

    def assert_no_secret_in_logs(self) -> None:
        """Neither credentials nor the callback's token nor the key."""
        for process in self.processes:
            arguments = ["provider", "audit", "--days", "1", "--log", str(process._log)]
            result = self.app.test_cli_runner().invoke(args=arguments)
            assert "secret-in-log" not in result.output, result.output

    def end_leases(self) -> None:
        """Let the time pass for which a killed process keeps charges and refunds to itself."""
        opening = sa.update(ProviderCharge).where(ProviderCharge.status == "opening")
        processing = sa.update(Refund).where(Refund.status == "processing")
        with self.app.app_context(), unit_of_work() as work:
            work.connection.execute(opening.values(next_at=work.now))
            work.connection.execute(processing.values(ask_at=work.now))

    def bank_is_ahead(self) -> timedelta:
        """How far the bank's clock is ahead of ours, by its answers."""
        with self.app.app_context():
            provider = accounts.provider_of(self.account.id)
            provider.charge_page(self.account.created_at, self.account.created_at, None)
            offset = provider.clock_offset()
        assert offset is not None
        return offset

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


def move_clock(file: Path, seconds: int) -> None:
    """Move the clock of the installation with this file ahead."""
    lead = int(file.read_text(encoding="ascii")) if file.exists() else 0
    file.write_text(str(lead + seconds), encoding="ascii")


def wait_until(is_so: Callable[[], bool], *processes: ServiceProcess) -> None:
    """Wait; in the end show what these processes have logged."""
    limit = time.monotonic() + WITHIN_SECONDS
    while not is_so():
        assert time.monotonic() < limit, [_without_requests(one.log()) for one in processes]
        time.sleep(0.1)


def _without_requests(log: str) -> str:
    """The end of a log; the requests of a test that waits would fill it."""
    return "\n".join(line for line in log.splitlines() if "event=request " not in line)[-6000:]
