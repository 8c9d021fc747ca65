"""A dead or missing database connection is a 503: nothing happened, try again."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from functools import partial

import pytest
import sqlalchemy as sa

from db_models.base import db
from repository import connections, database
from tests.db.crowd import at_once
from tests.support.plugin import SERVERS
from tests.support.service import BankInTest, close_app, ready_app, settings_for


def unavailable(answer):
    """Whether the answer is a 503 with Retry-After."""
    is_unavailable = (answer.status_code, answer.json["code"]) == (503, "service-unavailable")
    return is_unavailable and int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("lost", [ConnectionResetError, BrokenPipeError, TimeoutError])
@pytest.mark.parametrize("statement", ["SELECT", "UPDATE", "INSERT INTO receipts"])
def test_a_connection_reset_under_a_statement_is_a_503_and_changes_nothing(
    processes, lost, statement
):
    """A driver may raise the socket's own error, which must not become a 500."""
    payment = processes.create()
    body = processes.bank().body(payment)

    def lose(_connection, _cursor, sql, *_more):
        if sql.startswith(statement):
            raise lost

    with processes.app().app_context():
        engines = list(db.engines.values())
    for engine in engines:
        sa.event.listen(engine, "before_cursor_execute", lose)
    try:
        assert unavailable(processes.bank().tell(body))
        if statement == "SELECT":
            client = processes.app().test_client()
            assert unavailable(client.get(f"/payments/pix/{payment['id']}/status"))
    finally:
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", lose)
    assert processes.tables.receipts(payment["id"]) == []
    assert processes.status(payment["id"])["status"] == "pending"
    answers = at_once([partial(processes.bank().tell, body) for _ in range(8)])
    assert sorted(answer.json["duplicate"] for answer in answers) == [False] + [True] * 7


@pytest.mark.parametrize("any_database_url", SERVERS, indirect=True)
def test_connections_that_the_server_closed_meanwhile_are_replaced(processes, any_database_url):
    """A firewall drops connections in a quiet night; the first payer must not notice."""
    payment = processes.create()
    _end_other_connections(processes.tables, sa.make_url(any_database_url).database)
    assert processes.bank().confirm(payment).status_code == 200
    assert processes.status(payment["id"])["status"] == "confirmed"


def _end_other_connections(tables, name):
    """End every other client of this database, and wait until the server has closed them.

    Servers only ask a connection to end, and one that dies after its ping is another story. All
    statements use one connection: a new one for each would see the last one while that closes.
    """
    if tables.engine.dialect.name == "mysql":
        others = "SELECT id FROM information_schema.processlist WHERE db = :name"
        others += " AND id <> CONNECTION_ID()"
        end = "KILL {}"
    else:
        others = "SELECT pid FROM pg_stat_activity WHERE datname = :name"
        others += " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        end = "SELECT pg_terminate_backend({})"
    with tables.connected() as connection:

        def ids():
            return set(connection.scalars(sa.text(others), {"name": name}))

        targets = ids()
        assert targets
        for number in targets:
            # One that has ended by itself is unknown.
            with suppress(sa.exc.OperationalError):
                connection.execute(sa.text(end.format(int(number))))
        limit = time.monotonic() + 10
        while left := ids() & targets:
            assert time.monotonic() < limit, left
            time.sleep(0.02)


def test_without_a_free_connection_the_answer_is_503(fresh_database, tmp_path, clock, monkeypatch):
    """Overload gets 503 at once, and 200 as soon as a connection is free."""

    def one_connection(url, green):
        options = connections.engine_options(url, green)
        return {**options, "pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1}

    monkeypatch.setattr(database, "engine_options", one_connection)
    app = ready_app(settings_for(fresh_database("sqlite"), tmp_path), clock)
    client = app.test_client()
    bank = BankInTest(client, clock)
    with ExitStack() as closing:
        closing.callback(close_app, app)
        payment = client.post("/payments/pix", json={"value": 10}).get_json()["payment"]
        body = bank.body(payment)
        with app.app_context(), db.engine.connect():
            answer = at_once([partial(bank.tell, body)])[0]
        assert unavailable(answer)
        assert bank.tell(body).get_json()["duplicate"] is False
