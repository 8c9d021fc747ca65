"""Accounts at a service within the test: Alice and Charlie sell, Bob pays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from tests.accounts.people import Person
from tests.transactions.merchant import Merchant


@pytest.fixture
def sign_up_merchant(app: Flask) -> Callable[[str], Merchant]:
    """Sign up a merchant who has a token: sign_up_merchant("alice")."""

    def sign_up(login: str) -> Merchant:
        person = Person(app, login)
        person.sign_up()
        return Merchant(person, person.bearer())

    return sign_up


@pytest.fixture
def alice(sign_up_merchant: Callable[[str], Merchant]) -> Merchant:
    """Alice, who sells."""
    return sign_up_merchant("alice")


@pytest.fixture
def charlie(sign_up_merchant: Callable[[str], Merchant]) -> Merchant:
    """Charlie, who sells too, and must not see Alice's payments."""
    return sign_up_merchant("charlie")


@pytest.fixture
def bob(app: Flask) -> Merchant:
    """Bob, who pays, and has a token too."""
    person = Person(app, "bob")
    person.sign_up(role="payer")
    return Merchant(person, person.bearer())
