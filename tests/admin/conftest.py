"""Root and Rita are administrators, Alice is a merchant, Bob is a payer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.db.tables import Tables
from tests.portal.conftest import count_statements
from tests.portal.signing import Browser, make_account, sign_in

__all__ = ["count_statements"]


@pytest.fixture
def people(app: Flask) -> None:
    """An account of each role, and a second administrator."""
    make_account(app, "alice")
    make_account(app, "bob", "payer")
    make_account(app, "root", "admin")
    make_account(app, "rita", "admin")


@pytest.fixture
def root(app: Flask, people: None) -> Browser:
    """Root's browser, signed in."""
    return sign_in(app, "root")


@pytest.fixture
def alice(app: Flask, people: None) -> Browser:
    """Alice's browser, signed in."""
    return sign_in(app, "alice")


@pytest.fixture
def tables(settings: Any) -> Tables:
    """The database, without the service."""
    return Tables(settings.database_url)


@pytest.fixture
def id_of(tables: Tables) -> Callable[[str], str]:
    """The public id of an account, by its login."""

    def find(login: str) -> str:
        return str(
            tables.rows("SELECT public_id FROM accounts WHERE login = :login", login=login)[0][0]
        )

    return find
