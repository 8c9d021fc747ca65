"""A merchant changes while its test half is made."""

from __future__ import annotations

import threading

import pytest

from accounts import halves, service
from repository.database import in_unit_of_work, reading
from tests.accounts.people import Person
from tests.support.plugin import SERVERS
from tests.support.service import close_app, ready_app, settings_for


@pytest.fixture(params=SERVERS)
def app(request, fresh_database, tmp_path, clock):
    """The service in production, on a database where a transaction does not stop the others."""
    changes = {"app_env": "production", "sign_up": "open", "public_url": "https://shop.example"}
    app = ready_app(settings_for(fresh_database(request.param), tmp_path, **changes), clock)
    Person(app, "alice").sign_up()
    yield app
    close_app(app)


def test_a_half_that_is_made_while_its_merchant_is_disabled_is_disabled(app):
    """Its keys would otherwise work for a merchant that is shut out."""

    def disable():
        with app.app_context():
            in_unit_of_work(lambda work: service.disable(work, work.accounts.by_login("alice")))

    def make(work):
        merchant = work.accounts.by_login("alice")
        thread = threading.Thread(target=disable)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
        halves.ensure_test_half(work, merchant)

    with app.app_context():
        in_unit_of_work(make)
        with reading() as work:
            merchant = work.accounts.by_login("alice")
            half = work.accounts.find_test_half(merchant.id)
    assert merchant.disabled_at is not None
    assert half is not None
    assert half.disabled_at == merchant.disabled_at
