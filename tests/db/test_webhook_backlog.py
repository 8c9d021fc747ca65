"""The dispatcher's look for due deliveries reads no delivery that has ended."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from core import ids
from db_models import WebhookDelivery, WebhookEndpoint
from repository.database import ledger, reading
from repository.webhook_backlog import WebhookBacklog
from repository.webhook_deliveries import PAUSE_MAX, WebhookDeliveries
from tests.db.tables import NOON, Tables
from tests.support.service import close_app, ready_app, settings_for

ENDED = 400
"""Per endpoint."""
ANALYSE = {
    "sqlite": "ANALYZE",
    "mysql": "ANALYZE TABLE webhook_deliveries",
    "postgresql": "ANALYZE",
}


@pytest.fixture
def tables(any_database_url):
    """The database of the test."""
    return Tables(any_database_url)


@pytest.fixture
def app(any_database_url, tmp_path, clock):
    """The service on one engine."""
    app = ready_app(settings_for(any_database_url, tmp_path), clock)
    yield app
    close_app(app)


def insert_endpoints(tables, *changes):
    """Insert an endpoint for each mapping of changed columns; return their row ids."""
    usual = {
        "merchant_id": tables.merchant_id(),
        "url": "http://127.0.0.1:9/",
        "secret": "none",
        "enabled": True,
        "is_gone": False,
        "failing_since": None,
        "paused_at": None,
        "deleted_at": None,
        "created_at": NOON,
    }
    rows = [{**usual, "public_id": ids.new_public_id(), **change} for change in changes]
    tables.insert(WebhookEndpoint, *rows)
    query = sa.select(WebhookEndpoint.id).order_by(WebhookEndpoint.id)
    return [row[0] for row in tables.rows(query)]


def delivery_row(endpoint_id, due_at=None):
    """A ping that is due at this time, or has ended."""
    return {
        "public_id": ids.new_public_id(),
        "endpoint_id": endpoint_id,
        "kind": "ping",
        "status": "delivered" if due_at is None else "pending",
        "created_at": NOON,
        "due_at": due_at,
        "attempts": 1,
        "refusals": 0,
        "ended_at": NOON if due_at is None else None,
    }


def test_endpoints_with_a_due_delivery_are_found(app, tables, clock):
    """Due now, due before, or due later than any pause ends; beside ended and later ones."""
    late = NOON + timedelta(minutes=1)
    due, ended, later, too_far, both, paused, disabled = insert_endpoints(
        tables, {}, {}, {}, {}, {}, {"paused_at": NOON}, {"enabled": False}
    )
    rows = [delivery_row(endpoint) for endpoint in (due, ended, later, both) for _ in range(3)]
    rows += [delivery_row(endpoint, NOON) for endpoint in (due, both, paused, disabled)]
    rows += [delivery_row(endpoint, late) for endpoint in (later, both, both)]
    rows.append(delivery_row(too_far, NOON + PAUSE_MAX + timedelta(minutes=2)))
    tables.insert(WebhookDelivery, *rows)

    with app.app_context(), reading() as work:
        deliveries = WebhookDeliveries(work)
        due_ids = [one.id for one in deliveries.endpoints_due(NOON, 0, 10)]
        second = [one.id for one in deliveries.endpoints_due(NOON, due, 1)]
        pending = [one.id for one in deliveries.endpoints_pending(10)]
        backlog = WebhookBacklog(work).read(late + timedelta(seconds=1))

    assert due_ids == [due, too_far, both]
    assert second == [too_far]
    assert pending == [due, later, too_far, both]
    assert backlog.oldest_due_at == NOON
    assert (backlog.pending, backlog.paused, backlog.unnumbered) == (6, 1, 0)


def test_ended_deliveries_are_not_read(app, tables):
    """Every process looks each second, and deliveries of a month stay in the table."""
    endpoint_ids = insert_endpoints(tables, {}, {}, {})
    rows = [delivery_row(endpoint) for endpoint in endpoint_ids for _ in range(ENDED)]
    rows += [delivery_row(endpoint, NOON + timedelta(hours=1)) for endpoint in endpoint_ids]
    tables.insert(WebhookDelivery, *rows)
    with tables.engine.connect() as connection:
        connection.exec_driver_sql(ANALYSE[tables.engine.dialect.name])

    with app.app_context():
        for search in (
            lambda work: WebhookDeliveries(work).endpoints_due(NOON, 0, 10),
            lambda work: WebhookDeliveries(work).due(endpoint_ids[0], NOON, 10),
            lambda work: WebhookBacklog(work).read(NOON),
        ):
            check_reads_few_rows(search)


def check_reads_few_rows(search):
    """Check what the engine read, or how the engine says that it seeks."""
    if ledger().engine.dialect.name == "mysql":
        with reading() as work:
            work.connection.exec_driver_sql("FLUSH STATUS")
            search(work)
            status = "SHOW SESSION STATUS LIKE 'Handler_read%%'"
            read = {name: int(number) for name, number in work.connection.exec_driver_sql(status)}
        # The status itself comes from a temporary table, whose rows are counted as rnd_next.
        assert read["Handler_read_next"] + read["Handler_read_prev"] < ENDED / 10, read
        return
    statements = []

    def note(_connection, _cursor, statement, parameters, _context, _many):
        statements.append((statement, parameters))

    engine = ledger().reading_engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        with reading() as work:
            search(work)
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    explain = "EXPLAIN" if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    own = [one for one in statements if "webhook_deliveries" in one[0]]
    assert own
    with reading() as work:
        for statement, parameters in own:
            rows = work.connection.exec_driver_sql(f"{explain} {statement}", parameters)
            plan = "\n".join(str(row) for row in rows)
            assert "ix_webhook_deliveries_due" in plan, plan
            assert not any(
                "webhook_deliveries" in line and ("Seq Scan" in line or "'SCAN" in line)
                for line in plan.splitlines()
            ), plan
            if engine.dialect.name == "postgresql":
                assert "due_at > " in plan.split("Index Cond", 1)[1].splitlines()[0], plan
