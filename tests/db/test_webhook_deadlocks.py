"""Deadlocks and lock waits while deliveries are claimed and their results are written.

Another connection takes locks in the opposite order, so that the server really ends a transaction
of the dispatcher. Nothing is lost by it, and nothing is sent again.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from config import parts_of
from db_models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from repository.database import ledger
from repository.driver_errors import code_of
from tests.db.tables import Tables
from tests.faults.storm import wait_until
from tests.support.plugin import SERVERS
from tests.support.service import close_app, ready_app, settings_for
from tests.webhooks.shops import open_shop, send_all

HEAVY_ROWS = 100
"""MariaDB ends the transaction that has changed fewer rows."""
DEADLOCKS = {"mysql": "1213", "postgresql": "40P01"}


@pytest.fixture(params=SERVERS)
def tables(request, fresh_database):
    """A new database on each server."""
    return Tables(fresh_database(request.param))


@pytest.fixture
def app(tables, tmp_path, clock):
    """The service."""
    url = tables.engine.url.render_as_string(hide_password=False)
    app = ready_app(settings_for(url, tmp_path), clock)
    yield app
    close_app(app)


@pytest.fixture
def shop(clock):
    """Alice's server."""
    with open_shop(clock) as shop:
        yield shop


@pytest.fixture
def codes(app):
    """The codes of the errors that the server gave the app."""
    codes: list[str] = []

    def note(context):
        codes.append(code_of(context.original_exception))

    with app.app_context():
        engine = ledger().engine
    sa.event.listen(engine, "handle_error", note)
    return codes


@contextmanager
def opponent(tables):
    """A connection in a transaction that the server does not choose as the victim."""
    engine = sa.create_engine(tables.engine.url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET deadlock_timeout = '30s'")
            connection.commit()
        rows = [{"id": number} for number in range(HEAVY_ROWS)]
        connection.execute(sa.text("INSERT INTO heavy VALUES (:id)"), rows)
        yield connection
        connection.commit()


def wait_for_a_waiting_transaction(tables):
    """Wait until the server says that a transaction waits for a lock."""
    query = (
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        if tables.engine.dialect.name == "postgresql"
        else "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    )
    limit = time.monotonic() + 10
    while not tables.rows(query)[0][0]:
        assert time.monotonic() < limit
        time.sleep(0.15)  # MariaDB renews its list only if nobody has read it for 0.1 s


def update_row(connection, model, row_id):
    """Lock a row as a change does."""
    same = sa.update(model.__table__).where(model.id == row_id)
    connection.execute(same.values(id=row_id))


def create_webhook(client, url):
    """Create a webhook of the demo merchant; its ping is due."""
    assert client.post("/webhooks", json={"url": url}).status_code == 201


def limit_lock_waits(app, milliseconds):
    """Set the limit for every transaction of the app; MariaDB counts whole seconds."""
    with app.app_context():
        engine = ledger().engine
    limit = f"lock_timeout = {milliseconds}"
    if engine.dialect.name != "postgresql":
        limit = f"SESSION innodb_lock_wait_timeout = {milliseconds // 1000}"

    def set_limit(connection, _record, _proxy):
        connection.cursor().execute(f"SET {limit}")

    sa.event.listen(engine, "checkout", set_limit)


def row_ids(tables, status):
    """The row ids of deliveries with this status, in order."""
    query = sa.select(WebhookDelivery.id).where(WebhookDelivery.status == status)
    return [row[0] for row in tables.rows(query.order_by(WebhookDelivery.id))]


def test_a_deadlock_while_a_result_is_written_neither_loses_nor_repeats_it(
    app, client, shop, tables, codes, clock
):
    """The result is written again; the receiver gets one request."""
    tables.change("CREATE TABLE heavy (id INTEGER)")
    create_webhook(client, shop.url)
    [delivery_id] = row_ids(tables, "pending")
    endpoint_id = tables.rows(sa.select(WebhookEndpoint.id))[0][0]
    release = threading.Event()
    shop.answer = lambda _: (500 if release.wait(10) else 200, {})
    dispatcher = parts_of(app).webhooks.worker.dispatcher
    with app.app_context():
        assert dispatcher.run() == 1
    with opponent(tables) as other:
        update_row(other, WebhookEndpoint, endpoint_id)
        release.set()
        wait_for_a_waiting_transaction(
            tables
        )  # it has written the delivery, and needs the endpoint
        update_row(other, WebhookDelivery, delivery_id)
    wait_until(lambda: dispatcher.slots.in_use == 0, 10, "the result is written")

    assert DEADLOCKS[tables.engine.dialect.name] in codes
    assert len(shop.events) == 1
    assert len(tables.rows(sa.select(WebhookAttempt.id))) == 1
    [row] = tables.rows(sa.select(WebhookDelivery.__table__))
    assert (row.status, row.attempts, row.lease) == ("pending", 1, None)
    assert tables.rows(sa.select(WebhookEndpoint.failing_since))[0][0] is not None
    shop.answer = lambda _: (200, {})
    clock.advance(seconds=10)
    send_all(app, clock)
    assert len(shop.events) == 2
    assert row_ids(tables, "delivered") == [delivery_id]


def test_a_deadlock_while_deliveries_are_claimed_sends_each_once(
    app, client, shop, tables, codes, make_payment, clock
):
    """The claim begins again; the worker goes on."""
    tables.change("CREATE TABLE heavy (id INTEGER)")
    create_webhook(client, shop.url)
    send_all(app, clock)  # a quick answer, so that several are claimed at once
    for _ in range(3):
        make_payment()
    worker = parts_of(app).webhooks.worker
    with app.app_context():
        assert worker._number() == 3
    first_id, *_, last_id = row_ids(tables, "pending")
    with opponent(tables) as other:
        update_row(other, WebhookDelivery, last_id)
        run = threading.Thread(target=worker.run_once)
        run.start()
        wait_for_a_waiting_transaction(tables)
        update_row(other, WebhookDelivery, first_id)
    run.join(20)
    assert not run.is_alive()
    send_all(app, clock)

    assert DEADLOCKS[tables.engine.dialect.name] in codes
    assert row_ids(tables, "pending") == []
    assert len(shop.events) == len({event["id"] for event in shop.events}) == 1 + 3


def test_a_lock_that_lasts_too_long_delays_a_result_and_nothing_else(
    app, client, shop, tables, codes, clock
):
    """MariaDB gives up a statement and PostgreSQL too, if somebody sets a limit."""
    is_postgres = tables.engine.dialect.name == "postgresql"
    limit_lock_waits(app, 1000)
    create_webhook(client, shop.url)
    [delivery_id] = row_ids(tables, "pending")
    release = threading.Event()
    shop.answer = lambda _: (200 if release.wait(10) else 500, {})
    dispatcher = parts_of(app).webhooks.worker.dispatcher
    with app.app_context():
        assert dispatcher.run() == 1
    with sa.create_engine(tables.engine.url, poolclass=sa.NullPool).connect() as other:
        update_row(other, WebhookDelivery, delivery_id)
        release.set()
        wait_until(lambda: codes, 10, "the wait ends with an error")
        other.rollback()
    wait_until(lambda: dispatcher.slots.in_use == 0, 10, "the result is written")

    assert codes[0] == ("55P03" if is_postgres else "1205")
    assert len(shop.events) == 1
    assert row_ids(tables, "delivered") == [delivery_id]
    assert len(tables.rows(sa.select(WebhookAttempt.id))) == 1


def test_an_endpoint_whose_rows_are_held_keeps_no_other_one_waiting(
    app, client, shop, tables, codes, clock
):
    """It is left out, and its deliveries stay due."""
    limit_lock_waits(app, 20)
    with open_shop(clock) as other_shop:
        create_webhook(client, shop.url)
        create_webhook(client, other_shop.url)
        held_id, _ = row_ids(tables, "pending")
        dispatcher = parts_of(app).webhooks.worker.dispatcher
        with sa.create_engine(tables.engine.url, poolclass=sa.NullPool).connect() as other:
            update_row(other, WebhookDelivery, held_id)
            with app.app_context():
                assert dispatcher.run() == 1
            wait_until(lambda: dispatcher.slots.in_use == 0, 10, "the result is written")
            assert (len(shop.events), len(other_shop.events)) == (0, 1)
            other.rollback()
        send_all(app, clock)
        assert (len(shop.events), len(other_shop.events)) == (1, 1)
    assert len(codes) >= 2
