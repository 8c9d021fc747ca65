"""Fixtures of merchants at a real bank."""

from __future__ import annotations

import pytest

from db_models import Account
from tests.providers.bank_rows import BankRows
from tests.providers.scripted_bank import ScriptedBank


@pytest.fixture
def scripted(clock):
    """A bank that does what the test plans."""
    return ScriptedBank(clock)


@pytest.fixture
def rows(app, clock):
    """Rows at a bank, read and written beside the service."""
    return BankRows(app, clock)


@pytest.fixture
def account(app, rows, scripted):
    """The row id of the demo merchant's account at that bank, which gets the new payments."""
    return use_bank(app, rows, scripted)


def use_bank(app, rows, provider, **values):
    """Send the demo merchant's new payments to a provider; returns the account's row id."""
    clients = app.extensions["balcao"].provider_clients
    clients._build = lambda _account, _secrets: provider
    row = rows.account(**values)
    rows.write(Account, rows.account_row(row).merchant_id, test_provider_id=row)
    return row
