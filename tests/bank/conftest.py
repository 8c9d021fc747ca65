"""A bank with its own database, and the service it pays on the other side of real HTTP."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from bank.app import close_bank_app, create_bank_app
from bank.branch import EXTENSION, Branch
from bank.money.demo import migrate
from bank.money.ledger import balance_centavos
from bank.money.payers import payer_by_handle
from bank.settings import BankSettings, own_host
from core.signing.signatures import new_secret, signed_headers
from tests.bank.service_double import ServiceDouble


class MovingClock:
    """The machine's clock, moved ahead by as much as a test says."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        """The present instant, as the test sees it."""
        return datetime.now(UTC) + self.ahead

    def advance(self, seconds: float) -> None:
        """Move ahead."""
        self.ahead += timedelta(seconds=seconds)


@dataclass
class Bank:
    """The bank under test: its application, its parts, a client, and its clock."""

    app: Flask
    client: FlaskClient
    clock: MovingClock

    @property
    def branch(self) -> Branch:
        """The parts behind the doors."""
        branch: Branch = self.app.extensions[EXTENSION]
        return branch

    def pay(self, code: str, **changes: object) -> TestResponse:
        """Pay over JSON as Bia, with the right PIN unless told otherwise."""
        return self.client.post("/api/pay", json={"code": code, "pin": "1234", **changes})

    def pay_on_page(self, code: str, pin: str = "1234", scenario: str = "normal") -> TestResponse:
        """Open the review as who is logged in, Bia at first, and send its form with this PIN."""
        with self.client.session_transaction() as session:
            somebody = "payer" in session
        if not somebody:
            self.log_in()
        review = self.client.get("/pay", query_string={"code": code, "scenario": scenario})
        return self.client.post("/pay", data={**hidden_fields(review.text), "pin": pin})

    def balance(self, payer: str = "bia") -> int:
        """A client's balance in centavos."""
        with self.branch.database.reading() as session:
            return balance_centavos(session, payer_by_handle(session, payer).account_id)

    def lookup(self, txid: str) -> list[dict[str, object]]:
        """What the bank tells the service of a charge."""
        answer = self.asked(f"/api/payments/{txid}")
        payments: list[dict[str, object]] = answer.get_json()["payments"]
        return payments

    def asked(self, target: str) -> TestResponse:
        """A question of the service's, signed over its target."""
        secret = self.branch.settings.webhook_secret
        body = f"GET {target}".encode()
        headers = signed_headers(secret, "msg_lookup", self.clock.now(), body)
        return self.client.get(target, headers=headers)

    def log_in(self, payer: str = "bia", pin: str = "1234") -> TestResponse:
        """Log this bank's client in, by the form."""
        form = hidden_fields(self.client.get("/login").text)
        return self.client.post("/login", data={**form, "login": payer, "pin": pin})


def hidden_fields(page: str) -> dict[str, str]:
    """The hidden fields of a page's form."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in found}


def settings_for(database_url: str, service: ServiceDouble) -> BankSettings:
    """Settings of a bank that knows this service, and it alone."""
    return BankSettings(
        database_url=database_url,
        webhook_secret=service.secret,
        service_url=service.url,
        secret_key="k" * 32,
        participant_hosts=own_host(service.url),
    )


@pytest.fixture
def service() -> Iterator[ServiceDouble]:
    """The service on the other side."""
    with ServiceDouble(new_secret()) as double:
        yield double


@pytest.fixture
def bank(service, fresh_database) -> Iterator[Bank]:
    """A bank on SQLite whose outbox runs only when a test calls it."""
    yield from _opened(fresh_database("sqlite"), service)


@pytest.fixture
def any_bank(service, any_database_url) -> Iterator[Bank]:
    """The same, once for each database engine."""
    yield from _opened(any_database_url, service)


@pytest.fixture
def bank_url(bank) -> Iterator[str]:
    """Where the bank answers, mounted at /bank as behind the service."""
    mounted = DispatcherMiddleware(Response("", 404), {"/bank": bank.app})
    server = make_server("127.0.0.1", 0, mounted, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/bank"
    server.shutdown()
    server.server_close()


def _opened(database_url: str, service: ServiceDouble) -> Iterator[Bank]:
    migrate(database_url)
    clock = MovingClock()
    app = create_bank_app(settings_for(database_url, service), clock)
    yield Bank(app, app.test_client(), clock)
    close_bank_app(app)
