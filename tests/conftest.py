"""Fixtures that every test may ask for. Alice sells, Bob pays, Charlie is a stranger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient

from config import Settings
from tests.support.clocks import FrozenClock
from tests.support.service import (
    BankInTest,
    ServiceProcess,
    close_app,
    ready_app,
    settings_for,
)

pytest_plugins = ["tests.support.plugin"]

# A busy machine is no reason for a property to fail.
hypothesis.settings.register_profile("balcao", deadline=None)
hypothesis.settings.load_profile("balcao")


@pytest.fixture
def clock() -> FrozenClock:
    """The app's clock; only the test moves it."""
    return FrozenClock()


@pytest.fixture
def settings(fresh_database: Callable[[str], str], tmp_path: Path) -> Settings:
    """Development settings on a new SQLite file; parametrise `any_database_url` for the others."""
    return settings_for(fresh_database("sqlite"), tmp_path)


@pytest.fixture
def app(settings: Settings, clock: FrozenClock) -> Iterator[Flask]:
    """The service on a migrated database with the demo merchant, nobody serving it."""
    app = ready_app(settings, clock)
    yield app
    close_app(app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client without credentials: in development it acts for the demo merchant."""
    return app.test_client()


@pytest.fixture
def bank(client: FlaskClient, clock: FrozenClock) -> BankInTest:
    """A bank that tells the service of money."""
    return BankInTest(client, clock)


@pytest.fixture
def make_payment(client: FlaskClient) -> Callable[..., dict[str, Any]]:
    """Create a payment: make_payment(value="54.90", order_id=…) → the payment object."""

    def make(**fields: Any) -> dict[str, Any]:
        answer = client.post("/payments/pix", json={"value": "54.90", **fields})
        assert answer.status_code == 201, answer.text
        payment: dict[str, Any] = answer.get_json()["payment"]
        return payment

    return make


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Start the service as a process: serve(DATABASE_URL=…, ASYNC_MODE=…) → ServiceProcess."""
    with ExitStack() as running:

        def start(**environment: Any) -> ServiceProcess:
            instance = Path(environment.pop("instance", tmp_path / "instance"))
            return running.enter_context(ServiceProcess(instance, **environment))

        yield start
