"""A bank with its own database, and a double of the service at the other end of real HTTP."""

from __future__ import annotations

import html
import re
import secrets
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
    """The machine's clock plus an offset that tests advance."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def advance(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


@dataclass
class Bank:
    """The bank under test: its application, a test client, and its clock."""

    app: Flask
    client: FlaskClient
    clock: MovingClock

    @property
    def branch(self) -> Branch:
        """The objects that the bank's views share."""
        branch: Branch = self.app.extensions[EXTENSION]
        return branch

    def pay(self, code: str, **changes: object) -> TestResponse:
        """Pay over JSON, by default as Bia and with the right PIN."""
        return self.client.post("/api/pay", json={"code": code, "pin": "1234", **changes})

    def pay_on_page(self, code: str, pin: str = "1234", scenario: str = "normal") -> TestResponse:
        """Open the review, after a login as Bia if nobody is logged in, and send its form."""
        with self.client.session_transaction() as session:
            is_logged_in = "payer" in session
        if not is_logged_in:
            self.log_in()
        review = self.client.get("/pay", query_string={"code": code, "scenario": scenario})
        return self.client.post("/pay", data={**hidden_fields(review.text), "pin": pin})

    def balance(self, payer: str = "bia") -> int:
        """A client's balance in centavos."""
        with self.branch.database.reading() as session:
            return balance_centavos(session, payer_by_handle(session, payer).account_id)

    def lookup(self, txid: str) -> list[dict[str, object]]:
        """The payments of a charge, as the service reads them."""
        answer = self.signed_get(f"/api/payments/{txid}")
        payments: list[dict[str, object]] = answer.get_json()["payments"]
        return payments

    def signed_get(self, target: str) -> TestResponse:
        """Send a GET that the service signs over its target."""
        secret = self.branch.settings.webhook_secret
        body = f"GET {target}".encode()
        headers = signed_headers(secret, "msg_lookup", self.clock.now(), body)
        return self.client.get(target, headers=headers)

    def log_in(self, payer: str = "bia", pin: str = "1234") -> TestResponse:
        """Log a client in with the form."""
        form = hidden_fields(self.client.get("/login").text)
        return self.client.post("/login", data={**form, "login": payer, "pin": pin})


def hidden_fields(page: str) -> dict[str, str]:
    """The hidden fields of the form on a page."""
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: html.unescape(value) for name, value in fields}


def settings_for(database_url: str, service: ServiceDouble) -> BankSettings:
    """Settings of a bank whose only participant is this service."""
    return BankSettings(
        database_url=database_url,
        webhook_secret=service.secret,
        service_url=service.url,
        secret_key=secrets.token_hex(32),
        participant_hosts=own_host(service.url),
    )


@pytest.fixture
def service() -> Iterator[ServiceDouble]:
    """The double of the service."""
    with ServiceDouble(new_secret()) as double:
        yield double


@pytest.fixture
def bank(service, fresh_database) -> Iterator[Bank]:
    """A bank on SQLite whose outbox runs only when a test calls it."""
    yield from _open_bank(fresh_database("sqlite"), service)


@pytest.fixture
def any_bank(service, any_database_url) -> Iterator[Bank]:
    """A bank as in the fixture `bank`, once for each database engine."""
    yield from _open_bank(any_database_url, service)


@pytest.fixture
def bank_url(bank) -> Iterator[str]:
    """The URL of the bank, mounted at /bank as in the service."""
    dispatcher = DispatcherMiddleware(Response("", 404), {"/bank": bank.app})
    server = make_server("127.0.0.1", 0, dispatcher, threaded=True)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/bank"
    server.shutdown()
    server.server_close()


def _open_bank(database_url: str, service: ServiceDouble) -> Iterator[Bank]:
    migrate(database_url)
    clock = MovingClock()
    app = create_bank_app(settings_for(database_url, service), clock)
    yield Bank(app, app.test_client(), clock)
    close_bank_app(app)
