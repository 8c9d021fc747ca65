"""The service as several processes run it: several apps, each with an engine of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from payments.sweep import Sweep
from repository import connections, database
from repository.mysql_connections import QuickConnection
from tests.db.tables import Tables
from tests.support.clocks import FrozenClock
from tests.support.service import BankInTest, close_app, ready_app, settings_for

APPS = 4
CONNECTIONS_EACH = 8
"""A usual server accepts a hundred connections, and other tests run at the same time."""


class LazyApps(Sequence[Flask]):
    """A sequence of apps, each created at its first use; not safe for threads."""

    def __init__(self, number: int, make: Callable[[], Flask]) -> None:
        self._apps: list[Flask | None] = [None] * number
        self._make = make

    def __len__(self) -> int:
        return len(self._apps)

    def __getitem__(self, place: Any) -> Any:
        if self._apps[place] is None:
            self._apps[place] = self._make()
        return self._apps[place]


@dataclass
class Processes:
    """Several apps on one database with one clock."""

    apps: Sequence[Flask]
    clock: FrozenClock
    tables: Tables

    def app(self, number: int = 0) -> Flask:
        """An app by any number; numbers wrap around."""
        return self.apps[number % len(self.apps)]

    def bank(self, number: int = 0) -> BankInTest:
        """A bank that notifies one of the apps; each thread needs its own."""
        return BankInTest(self.app(number).test_client(), self.clock)

    def post(self, path: str, number: int = 0, **options: Any) -> Any:
        """POST to one of the apps."""
        return self.app(number).test_client().post(path, **options)

    def create(self, **fields: Any) -> dict[str, Any]:
        """Create a payment of the demo merchant."""
        answer = self.post("/payments/pix", json={"value": "54.90", **fields})
        assert answer.status_code == 201, answer.text
        payment: dict[str, Any] = answer.get_json()["payment"]
        return payment

    def sweep(self, number: int = 0) -> int:
        """Run the sweep of one app without its grace; return how many payments it expired."""
        with self.app(number).app_context():
            return Sweep.starting_at(self.clock.now(), timedelta(0)).run()

    def status(self, txid: str, number: int = 0) -> dict[str, Any]:
        """Poll a payment; return the answer."""
        answer = self.app(number).test_client().get(f"/payments/pix/{txid}/status")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.get_json()
        return body


@pytest.fixture
def processes(
    any_database_url: str,
    tmp_path: Path,
    clock: FrozenClock,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Processes]:
    """Four apps on one new database, once for each engine.

    Modules that race threads get all apps at once; the others create them at first use.
    """

    def few_connections(url: str, green: bool) -> dict[str, Any]:
        options = connections.engine_options(url, green)
        return {**options, "pool_size": CONNECTIONS_EACH, "max_overflow": 0, "pool_timeout": 30}

    monkeypatch.setattr(database, "engine_options", few_connections)
    settings = settings_for(any_database_url, tmp_path)
    with ExitStack() as closing:

        def make() -> Flask:
            app = ready_app(settings, clock)
            closing.callback(close_app, app)
            return app

        apps = LazyApps(APPS, make)
        assert apps[0]  # creates the demo merchant
        yield Processes(
            list(apps) if hasattr(request.module, "at_once") else apps,
            clock,
            Tables(any_database_url),
        )


@pytest.fixture
def commands(monkeypatch):
    """A list of the commands that connections send to MySQL, in their order."""
    sent: list[str] = []
    quick: Any = QuickConnection
    send = quick._execute_command

    def note(self, command, sql):
        sent.append(sql if isinstance(sql, str) else sql.decode())
        send(self, command, sql)

    monkeypatch.setattr(QuickConnection, "_execute_command", note)
    return sent
