"""People with accounts at a service within the test: Alice and Charlie sell, Bob pays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from tests.accounts.people import Person
from tests.transactions.merchant import Merchant


@pytest.fixture
def sells(app: Flask) -> Callable[[str], Merchant]:
    """A merchant who has just signed up, as a program with a token: sells("alice")."""

    def make(login: str) -> Merchant:
        person = Person(app, login)
        person.sign_up()
        return Merchant(person, person.bearer())

    return make


@pytest.fixture
def alice(sells: Callable[[str], Merchant]) -> Merchant:
    """Alice, who sells."""
    return sells("alice")


@pytest.fixture
def charlie(sells: Callable[[str], Merchant]) -> Merchant:
    """Charlie, who sells too, and is a stranger to Alice's payments."""
    return sells("charlie")


@pytest.fixture
def bob(app: Flask) -> Merchant:
    """Bob, who pays, with a token like the others'."""
    person = Person(app, "bob")
    person.sign_up(role="payer")
    return Merchant(person, person.bearer())
