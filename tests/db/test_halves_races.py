"""A merchant changes while its test half is made."""

from __future__ import annotations

import threading

import pytest

from accounts import halves, service
from core.ids import new_public_id
from repository.database import in_unit_of_work, reading
from repository.portal import PortalQueries
from tests.accounts.people import Person
from tests.support.plugin import SERVERS
from tests.support.service import close_app, ready_app, settings_for

WAITS_SECONDS = 0.5


@pytest.fixture(params=SERVERS)
def app(request, fresh_database, tmp_path, clock):
    """The service in production, on a database where a transaction does not stop the others."""
    changes = {"app_env": "production", "sign_up": "open", "public_url": "https://shop.example"}
    app = ready_app(settings_for(fresh_database(request.param), tmp_path, **changes), clock)
    Person(app, "alice").sign_up()
    yield app
    close_app(app)


def disable_alice(app):
    """Shut the merchant out, in a unit of work."""
    with app.app_context():
        in_unit_of_work(lambda work: service.disable(work, work.accounts.by_login("alice")))


def halves_of_alice(app):
    """The merchant, and its test half or None."""
    with app.app_context(), reading() as work:
        merchant = work.accounts.by_login("alice")
        return merchant, work.accounts.find_test_half(merchant.id)


def test_a_half_that_is_made_while_its_merchant_is_disabled_is_disabled(app):
    """Its keys would otherwise work for a merchant that is shut out."""

    def make(work):
        merchant = work.accounts.by_login("alice")
        thread = threading.Thread(target=disable_alice, args=(app,))
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
        halves.ensure_test_half(work, merchant)

    with app.app_context():
        in_unit_of_work(make)
    merchant, half = halves_of_alice(app)
    assert merchant.disabled_at is not None
    assert half is not None
    assert half.disabled_at == merchant.disabled_at


def change_name(app):
    """Give the shop another name, in a unit of work."""
    with app.app_context():
        in_unit_of_work(
            lambda work: work.accounts.change(
                work.accounts.by_login("alice").id, {"name": "Outra loja"}
            )
        )


@pytest.mark.parametrize("change", [disable_alice, change_name])
def test_a_merchant_that_changes_before_its_half_is_committed_changes_both(app, change):
    """PostgreSQL's UPDATE waited for the merchant's row, and did not see the half's.

    Its snapshot was that of the moment before the wait.
    """
    thread = threading.Thread(target=change, args=(app,))

    def make(work):
        halves.ensure_test_half(work, work.accounts.by_login("alice"))
        thread.start()
        thread.join(WAITS_SECONDS)
        assert thread.is_alive(), "it waits for this transaction"

    with app.app_context():
        in_unit_of_work(make)
    thread.join(30)
    assert not thread.is_alive()
    merchant, half = halves_of_alice(app)
    assert half is not None
    assert (half.disabled_at, half.name) == (merchant.disabled_at, merchant.name)
    assert (merchant.disabled_at is not None) is (change is disable_alice)
    assert (merchant.name == "Outra loja") is (change is change_name)


@pytest.mark.parametrize(
    "app", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_rows_that_refer_to_a_merchant_do_not_wait_for_its_change(app):
    """Each payment is such a row. On MySQL and MariaDB the UPDATE itself makes them wait."""

    def add_row():
        with app.app_context():
            in_unit_of_work(
                lambda work: PortalQueries(work.session).replace_logo(
                    work.accounts.by_login("alice").id, new_public_id(), b"logo", work.now
                )
            )

    thread = threading.Thread(target=add_row)

    def change(work):
        work.accounts.change(work.accounts.by_login("alice").id, {"name": "Outra loja"})
        thread.start()
        thread.join(10)
        assert not thread.is_alive(), "it waits for this transaction"

    with app.app_context():
        in_unit_of_work(change, attempts=1)
