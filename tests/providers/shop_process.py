"""The service as a process in front of a stand-in bank, with an account added by the commands."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any

from flask import Flask

from app import create_app
from config import Settings
from core.clock import SystemClock
from core.signing.development_ca import Identity
from tests.providers.stand_in import CLIENT_ID, CLIENT_SECRET, PIX_KEY, StandInBank
from tests.support.service import ServiceProcess, close_app

WITHIN_SECONDS = 25
PFX_PASSWORD = "the-password-of-the-file"


class ShopProcess:
    """A shop's installation. Its clock and the bank's can be moved ahead together."""

    def __init__(self, folder: Path, bank: StandInBank, **environment: Any) -> None:
        """Start the process with this environment."""
        self.bank, self.folder = bank, folder
        self._clock_file = folder / "clock"
        self._lead = 0
        self.process = ServiceProcess(
            folder / "shop", CLOCK_FILE=self._clock_file, LOG_FORMAT="json", **environment
        )
        self.process.start()
        settings = Settings.from_env({**self.process.environment, "LOG_LEVEL": "error"})
        self._app: Flask = create_app(settings, SystemClock())

    def __enter__(self) -> ShopProcess:
        return self

    def __exit__(self, *_: object) -> None:
        close_app(self._app)
        self.process.kill()

    # -- the operator -------------------------------------------------------------------------

    def command(self, *words: str, status: int = 0) -> str:
        """Run `flask provider …` in this process; returns its output."""
        result = self._app.test_cli_runner().invoke(args=["provider", *words])
        assert result.exit_code == status, result.output
        return result.output

    def certificate_options(self, identity: Identity) -> list[str]:
        """The options that give the commands this certificate, as a PFX with a password."""
        files = {"shop.p12": identity.pfx("shop", PFX_PASSWORD), "password": PFX_PASSWORD.encode()}
        for name, data in files.items():
            (self.folder / name).write_bytes(data)
        return [
            *("--certificate", str(self.folder / "shop.p12")),
            *("--certificate-password-file", str(self.folder / "password")),
        ]

    def add_words(self, pix_key: str = PIX_KEY) -> list[str]:
        """The words of `flask provider add` for the demo merchant's account at the bank."""
        overrides = self.bank.overrides()
        (self.folder / "secret").write_text(f"{CLIENT_SECRET}\n", encoding="ascii")
        (self.folder / "ca.pem").write_bytes(self.bank.authority.certificate_pem)
        return [
            *("add", "--merchant", "demo", "--profile", self.bank.dialect_name),
            *("--environment", "test", "--key", pix_key, "--rule", "rate=6000"),
            *("--client-id", CLIENT_ID, "--client-secret-file", str(self.folder / "secret")),
            *self.certificate_options(self.bank.client_identity),
            *("--ca", str(self.folder / "ca.pem")),
            *("--base-url", overrides["base"], "--token-url", overrides["token_url"]),
        ]

    def note_account(self, output: str) -> None:
        """Remember what `flask provider add` has printed."""
        [self.account_id] = re.findall(r"^Account +([0-9a-f]{32})$", output, re.MULTILINE)
        [self.callback_token] = re.findall(r"/providers/([\w-]+)$", output, re.MULTILINE)
        self.callback_url = f"{self.process.url}/providers/{self.callback_token}"

    def advance(self, **length: float) -> None:
        """Move the clocks of shop and bank ahead by a timedelta's arguments."""
        self._lead += int(timedelta(**length).total_seconds())
        self.bank.clock_offset = timedelta(seconds=self._lead)
        self._clock_file.write_text(str(self._lead), encoding="ascii")

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The lines of the log with this event."""
        parsed = []
        for text in self.process.log().splitlines():
            with suppress(ValueError):
                parsed.append(json.loads(text))
        return [line for line in parsed if isinstance(line, dict) and line.get("event") == event]

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait; fail with the end of the log."""
        limit = time.monotonic() + WITHIN_SECONDS
        while not is_so():
            assert time.monotonic() < limit, self.process.log()[-4000:]
            time.sleep(0.05)

    # -- the shop's server --------------------------------------------------------------------

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, dict[str, Any]]:
        """POST JSON. Raises OSError and HTTPException without an answer."""
        sent = {"Content-Type": "application/json", "Accept": "application/json"}
        sent |= {name.replace("_", "-"): text for name, text in headers.items()}
        status, data, _ = self.process.request(
            "POST", path, json.dumps(body).encode(), sent, timeout=30
        )
        return status, json.loads(data)

    def create(self, key: str, value: str = "54.90") -> dict[str, Any]:
        """Create a payment of the demo merchant, with this key until it has its code."""
        limit = time.monotonic() + WITHIN_SECONDS
        while True:
            with suppress(OSError, HTTPException):
                status, answer = self.post("/payments/pix", {"value": value}, Idempotency_Key=key)
                if status in (200, 201):
                    payment: dict[str, Any] = answer["payment"]
                    return payment
                assert status in (409, 503), (status, answer)
            assert time.monotonic() < limit, self.process.log()[-4000:]
            time.sleep(0.1)

    def status_of(self, payment: dict[str, Any]) -> str:
        """The payment's status now."""
        return str(self.process.payment(payment["id"])["status"])

    def wait_until_paid(self, payment: dict[str, Any]) -> None:
        """Wait until the payment is confirmed."""
        self.wait_until(lambda: self.status_of(payment) == "confirmed")

    def way_of(self, end_to_end_id: str) -> str:
        """How the service learnt of this Pix, by its log; the line is written after the commit."""

        def lines() -> list[dict[str, Any]]:
            return [one for one in self.lines("provider.booked") if one["id"] == end_to_end_id]

        self.wait_until(lambda: bool(lines()))
        [line] = lines()
        return str(line["way"])

    def refunds(self, payment: dict[str, Any]) -> list[dict[str, Any]]:
        """The payment's refunds."""
        status, body = self.process.get(f"/payments/pix/{payment['id']}/refunds")
        assert status == 200, body
        refunds: list[dict[str, Any]] = json.loads(body)
        return refunds
