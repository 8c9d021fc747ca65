"""Test halves in tests: a key by which a merchant's programs use its test half."""

from __future__ import annotations

from flask import Flask

from accounts import halves, service
from accounts.keys import SCOPES
from repository.database import Work, in_unit_of_work


def key_of_test_half(app: Flask, login: str) -> str:
    """Make a key of the merchant's test half, which is made if it does not exist."""

    def make(work: Work) -> str:
        merchant = work.accounts.by_login(login)
        assert merchant is not None
        half = halves.ensure_test_half(work, merchant)
        return service.make_key(work, half, "tests", tuple(SCOPES), by=None)[1]

    with app.app_context():
        return in_unit_of_work(make)
