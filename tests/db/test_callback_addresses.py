"""A merchant's one address for recurrences, and the one for recurring charges, on every engine."""

from __future__ import annotations

from functools import partial

import pytest
import sqlalchemy as sa
from flask_migrate import downgrade, upgrade

from accounts.access import DEMO_LOGIN
from db_models import EndpointKind, WebhookEndpoint
from db_models.base import db
from repository.database import in_unit_of_work, reading
from repository.webhook_endpoints import WebhookEndpoints
from server.schema import MIGRATIONS
from tests.db.crowd import at_once
from tests.db.tables import NOON, Tables
from tests.support.service import close_app, ready_app, settings_for
from webhooks import pix_endpoints

CROWD = 6
URL = "https://a.example.com/automatic/"
SOLE_KINDS = (EndpointKind.REC, EndpointKind.COBR)


def put(app, kind, url):
    """Set the demo merchant's address of this kind."""
    with app.app_context():
        return in_unit_of_work(
            lambda work: (
                pix_endpoints.put_sole(
                    work, work.accounts.by_login(DEMO_LOGIN), kind, url
                ).public_id
            )
        )


@pytest.mark.parametrize("kind", SOLE_KINDS)
def test_of_addresses_that_are_set_at_once_one_is_there(processes, kind):
    """Each waits for the one before and replaces it: two rows would get each callback twice."""
    ids = at_once(
        [partial(put, processes.app(number), kind, f"{URL}{number}") for number in range(CROWD)]
    )
    assert len(set(ids)) == 1
    with processes.app(0).app_context(), reading() as work:
        merchant = work.accounts.by_login(DEMO_LOGIN)
        [endpoint] = WebhookEndpoints(work.session).of_merchant(merchant.id)
    assert (endpoint.public_id, endpoint.kind) == (ids[0], kind)


@pytest.fixture
def migrated(any_empty_database_url, tmp_path, clock):
    """The service on a database that it has migrated itself, and that is its own."""
    app = ready_app(settings_for(any_empty_database_url, tmp_path), clock)
    yield app
    close_app(app)


def test_only_the_address_of_a_pix_key_has_a_key(migrated, any_empty_database_url):
    """The schema is the last safeguard."""
    tables = Tables(any_empty_database_url)
    common_values = {
        "merchant_id": tables.merchant_id(),
        "url": URL,
        "secret": "",
        "enabled": True,
        "is_gone": False,
        "created_at": NOON,
    }
    for wrong in (
        {"kind": "rec", "pix_key": "a@example.com"},
        {"kind": "cobr", "pix_key": "a@example.com"},
        {"kind": "pix"},
        {"kind": "lote"},
    ):
        with pytest.raises(sa.exc.DBAPIError, match="kind_has_its_key"):
            tables.insert(WebhookEndpoint, {**common_values, **wrong})


@pytest.mark.slow
def test_an_operator_goes_back_and_the_addresses_are_deleted_ones(migrated, any_empty_database_url):
    """The older version would send our own events to them, unsigned."""
    tables = Tables(any_empty_database_url)
    for kind in SOLE_KINDS:
        put(migrated, kind, URL)
    with migrated.app_context():
        downgrade(directory=str(MIGRATIONS), revision="0022")
        query = sa.text("SELECT kind, enabled, deleted_at IS NULL FROM webhook_endpoints")
        with db.engine.connect() as connection:
            rows = connection.execute(query).all()
        assert [tuple(row) for row in rows] == [("pix", False, False)] * 2
        upgrade(directory=str(MIGRATIONS))
    assert len(tables.rows(sa.select(WebhookEndpoint.id))) == 2
