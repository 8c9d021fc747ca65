"""Root looks after the service; Alice sells, Bob pays, Charlie is nobody here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from tests.db.tables import Tables
from tests.portal.conftest import counted
from tests.portal.signing import Browser, make_account, sign_in

__all__ = ["counted"]


@pytest.fixture
def people(app: Flask) -> None:
    """Accounts of each role; the second administrator is Rita."""
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
    """The database, beside the service."""
    return Tables(settings.database_url)


@pytest.fixture
def id_of(tables: Tables) -> Callable[[str], str]:
    """The id of the wire of an account, by its login."""

    def find(login: str) -> str:
        return str(
            tables.rows("SELECT public_id FROM accounts WHERE login = :login", login=login)[0][0]
        )

    return find
