"""Fixtures: accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from tests.accounts.people import Person
from tests.support.service import close_app, ready_app, settings_for


@pytest.fixture
def person(app: Flask) -> Callable[..., Person]:
    """Create an account: person("alice", role="merchant") → Person."""

    def make(login: str, address: str = "127.0.0.1", **fields: Any) -> Person:
        account = Person(app, login, address=address)
        account.sign_up(**fields)
        return account

    return make


@pytest.fixture
def alice(person: Callable[..., Person]) -> Person:
    """Alice, a merchant."""
    return person("alice")


@pytest.fixture
def production_app(tmp_path: Any, fresh_database: Any, clock: Any) -> Iterator[Flask]:
    """The app in production, behind https, with open sign-up."""
    settings = settings_for(
        fresh_database("sqlite"),
        tmp_path,
        app_env="production",
        sign_up="open",
        public_url="https://shop.example",
    )
    app = ready_app(settings, clock)
    yield app
    close_app(app)
