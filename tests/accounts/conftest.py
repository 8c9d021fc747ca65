"""Fixtures: accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.accounts.people import Person


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
