"""People with accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.accounts.people import Person


@pytest.fixture
def person(app: Flask) -> Callable[..., Person]:
    """Somebody who signed up: person("alice", role="merchant") → Person."""

    def make(login: str, address: str = "127.0.0.1", **fields: Any) -> Person:
        made = Person(app, login, address=address)
        made.sign_up(**fields)
        return made

    return make


@pytest.fixture
def alice(person: Callable[..., Person]) -> Person:
    """Alice, who sells."""
    return person("alice")
