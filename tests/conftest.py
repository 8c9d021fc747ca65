"""Fixtures for every test. Alice sells, Bob pays, Charlie is a stranger.

The app is imported by the fixtures that need it: a test of a pure rule runs without it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.clocks import FrozenClock

if TYPE_CHECKING:
    from flask import Flask
    from flask.testing import FlaskClient

    from config import Settings
    from tests.support.service import BankInTest, ServiceProcess

try:
    import hypothesis
except ModuleNotFoundError:
    # An exception would bury this sentence under a traceback.
    sys.exit("The packages that the tests need are not installed: `make test` installs them.")

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
    from tests.support.service import settings_for

    return settings_for(fresh_database("sqlite"), tmp_path)


@pytest.fixture
def app(settings: Settings, clock: FrozenClock) -> Iterator[Flask]:
    """The service on a migrated database with the demo merchant; no server runs."""
    from tests.support.service import close_app, ready_app

    app = ready_app(settings, clock)
    yield app
    close_app(app)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client without credentials: in development it acts for the demo merchant."""
    return app.test_client()


@pytest.fixture
def bank(client: FlaskClient, clock: FrozenClock) -> BankInTest:
    """A bank that sends notifications to the service."""
    from tests.support.service import BankInTest

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
    from tests.support.service import ServiceProcess

    with ExitStack() as running:

        def start(**environment: Any) -> ServiceProcess:
            instance = Path(environment.pop("instance", tmp_path / "instance"))
            return running.enter_context(ServiceProcess(instance, **environment))

        yield start


@pytest.fixture
def production_app(tmp_path: Any, fresh_database: Any, clock: Any) -> Iterator[Flask]:
    """The app in production, behind https, with open sign-up."""
    from tests.support.service import TEST_BANK_SECRET, close_app, ready_app, settings_for

    settings = settings_for(
        fresh_database("sqlite"),
        tmp_path,
        app_env="production",
        sign_up="open",
        public_url="https://shop.example",
        test_bank_url="https://shop.example/bank",
        test_bank_webhook_secret=TEST_BANK_SECRET,
    )
    app = ready_app(settings, clock)
    yield app
    close_app(app)
