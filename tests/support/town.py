"""The service and its bank in the test's process, each on its own port.

They use only HTTP between them, as two companies do. Their clock is the machine's plus an offset
that the test sets, and a job runs only when the test runs it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from bank.app import close_bank_app, create_bank_app
from bank.branch import EXTENSION, Branch
from bank.money.audit import LedgerAudit, audit
from bank.money.demo import migrate
from bank.money.ledger import balance_centavos
from bank.money.payers import payer_by_handle
from bank.settings import BankSettings, own_host
from core.clock import Clock
from payments import refunds
from payments.reconciliation import Reconciler
from providers.accounts import signing_banks
from tests.db.tables import Tables
from tests.support.ports import free_port
from tests.support.service import SECRET, close_app, ready_app, settings_for
from tests.support.templates import copy_sqlite

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PIN = "1234"
HELD_SECONDS_MAX = 30.0


class MovingClock:
    """The machine's clock plus an offset."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        """The machine's time plus the offset."""
        return datetime.now(UTC) + self.ahead

    def advance(self, **by: float) -> None:
        """Add to the offset; takes the arguments of `timedelta`."""
        self.ahead += timedelta(**by)


class Gate:
    """A WSGI wrapper of a bank that holds requests to one path, or their answers."""

    def __init__(self, bank: Flask) -> None:
        self.bank = bank
        self._mounted = DispatcherMiddleware(Response("", 404), {"/bank": bank})
        self._path = ""
        self._is_after = False
        self._go = threading.Event()
        self.reached = threading.Event()
        """Set when a request is held."""

    def hold(self, path: str, *, after: bool = False) -> None:
        """Hold requests below this path, or with `after` their answers, until `let_go`."""
        self._path, self._is_after = path, after
        self._go.clear()
        self.reached.clear()

    def let_go(self) -> None:
        """Release what is held, and hold nothing further."""
        self._path = ""
        self._go.set()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a request to the bank."""
        is_held = self._path and environ["PATH_INFO"].startswith(f"/bank{self._path}")
        if is_held and not self._is_after:
            self._wait()
        answer = Response.from_app(self._mounted, environ)
        if is_held and self._is_after:
            self._wait()
        return answer(environ, start)

    def _wait(self) -> None:
        self.reached.set()
        self._go.wait(HELD_SECONDS_MAX)


@dataclass
class Town:
    """A service, its bank, and one clock for both."""

    app: Flask
    bank_app: Flask
    clock: MovingClock
    url: str
    bank_port: int
    tables: Tables
    gate: Gate
    _serving: BaseWSGIServer | None = None

    @property
    def branch(self) -> Branch:
        """The bank's parts."""
        branch: Branch = self.bank_app.extensions[EXTENSION]
        return branch

    @property
    def bank_url(self) -> str:
        """The bank's address."""
        return f"http://127.0.0.1:{self.bank_port}/bank"

    def client(self) -> FlaskClient:
        """A new client of the service without credentials: it acts for the demo merchant."""
        return self.app.test_client()

    def create(self, **fields: Any) -> dict[str, Any]:
        """Create a payment of the demo merchant."""
        answer = self.client().post("/payments/pix", json={"value": "54.90", **fields})
        assert answer.status_code == 201, answer.text
        payment: dict[str, Any] = answer.get_json()["payment"]
        return payment

    def pay(self, payment: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
        """Pay at the bank, by default as Bia; return the bank's answer."""
        order = {"code": payment["pix_code"], "pin": PIN, **changes}
        answer = self.bank_app.test_client().post("/api/pay", json=order)
        assert answer.status_code == 200, answer.text
        paid: dict[str, Any] = answer.get_json()
        return paid

    def paid(self, **fields: Any) -> dict[str, Any]:
        """Create a payment and pay it."""
        payment = self.create(**fields)
        self.pay(payment)
        assert self.payment(payment)["status"] == "confirmed"
        return payment

    def payment(self, payment: Mapping[str, Any]) -> dict[str, Any]:
        """Read the payment."""
        headers = {"Accept": "application/json"}
        answer = self.client().get(f"/payments/pix/{payment['id']}", headers=headers)
        assert answer.status_code == 200, answer.text
        current: dict[str, Any] = answer.get_json()["payment"]
        return current

    def refund(
        self,
        payment: Mapping[str, Any],
        client: FlaskClient | None = None,
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> TestResponse:
        """Request a refund."""
        path = f"/payments/pix/{payment['id']}/refunds"
        return (client or self.client()).post(path, json=body, headers=dict(headers or {}))

    def refunds(self, payment: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The payment's refunds, as the API lists them."""
        answer = self.client().get(f"/payments/pix/{payment['id']}/refunds")
        assert answer.status_code == 200, answer.text
        refunds_: list[dict[str, Any]] = answer.get_json()
        return refunds_

    def run_refunds(self) -> int:
        """Run the refund job once; return how many refunds it settled."""
        with self.app.app_context():
            return refunds.run()

    def reconcile(self) -> None:
        """Run reconciliation once."""
        with self.app.app_context():
            Reconciler(signing_banks()[0], timedelta(seconds=15)).run(lambda: True)

    def balance(self, handle: str = "bia") -> int:
        """A client's balance at the bank, in centavos."""
        with self.branch.database.reading() as session:
            return balance_centavos(session, payer_by_handle(session, handle).account_id)

    def audit(self) -> LedgerAudit:
        """The bank's own audit of its whole ledger."""
        return audit(self.branch.database)

    def open_bank(self) -> None:
        """Start the bank's server."""
        self._serving = _serve(self.gate, self.bank_port)

    def close_bank(self) -> None:
        """Stop the bank's server."""
        if self._serving is not None:
            _close(self._serving)
            self._serving = None


@contextmanager
def town(
    database_url: str, instance: Path, *, refund_delay_seconds: int = 0, **settings: Any
) -> Iterator[Town]:
    """A service on this database, and its bank; on SQLite the bank has its own file."""
    port, bank_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    clock = MovingClock()
    is_sqlite = sa.make_url(database_url).get_backend_name() == "sqlite"
    bank_database = database_url
    if is_sqlite:
        bank_file = instance / "bank.sqlite3"
        copy_sqlite(bank_file)
        bank_database = f"sqlite:///{bank_file}"
    app = ready_app(
        settings_for(
            database_url,
            instance,
            public_url=url,
            bank_url=f"http://127.0.0.1:{bank_port}/bank",
            bank_database_url=bank_database,
            **settings,
        ),
        clock,
    )
    bank_app = ready_bank(bank_database, url, clock, refund_delay_seconds)
    there = Town(app, bank_app, clock, url, bank_port, Tables(database_url), Gate(bank_app))
    serving = _serve(app, port)
    there.open_bank()
    try:
        yield there
    finally:
        there.gate.let_go()
        there.close_bank()
        _close(serving)
        close_bank_app(bank_app)
        close_app(app)


def ready_bank(
    database_url: str, service_url: str, clock: Clock, refund_delay_seconds: int = 0
) -> Flask:
    """A bank on a migrated database, whose only service is this one."""
    migrate(database_url)
    settings = BankSettings(
        database_url=database_url,
        webhook_secret=SECRET,
        service_url=service_url,
        secret_key="b" * 32,
        participant_hosts=own_host(service_url),
        refund_delay_seconds=refund_delay_seconds,
    )
    return create_bank_app(settings, clock)


@contextmanager
def gated_bank(database_url: str, service_url: str, port: int, clock: Clock) -> Iterator[Gate]:
    """A bank behind a gate on this port, for a service in another process."""
    bank_app = ready_bank(database_url, service_url, clock)
    gate = Gate(bank_app)
    serving = _serve(gate, port)
    try:
        yield gate
    finally:
        gate.let_go()
        _close(serving)
        close_bank_app(bank_app)


def _serve(application: Any, port: int) -> BaseWSGIServer:
    server = make_server("127.0.0.1", port, application, threaded=True)
    # Threads with keep-alive connections must not delay the end of the test.
    server.daemon_threads = True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def _close(server: BaseWSGIServer) -> None:
    server.shutdown()
    with suppress(OSError):
        server.socket.shutdown(socket.SHUT_RDWR)
    server.server_close()
