"""INSERTs that wait for the COMMIT: on MySQL and MariaDB sent together with it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from repository.connections import (
    engine_options,
    flush_before_statements,
    read_results_quickly,
)
from repository.hosts import use_hosts
from repository.mysql_connections import QuickConnection
from repository.statements import QuickStatement, flush_inserts
from tests.db.crowd import at_once

PARTS = sa.MetaData()
TABLE, OTHER = (
    sa.Table(
        name,
        PARTS,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("text", sa.String(60), unique=True),
        mysql_charset="utf8mb4",
    )
    for name in ("deferred_inserts", "usual_inserts")
)
DEFERRED, USUAL = QuickStatement(sa.insert(TABLE)), QuickStatement(sa.insert(OTHER))
TEXTS = ["plain", "; COMMIT; 'it''s' \\' %s %(x)s :y \" é 🎁", "last"]


@pytest.fixture
def engine(any_database_url):
    """An engine as the service opens it for units of work, with the tables."""
    engine = sa.create_engine(any_database_url, **engine_options(any_database_url, green=False))
    use_hosts(engine)
    read_results_quickly(engine)
    flush_before_statements(engine)
    PARTS.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def packets(monkeypatch):
    """A list of the commands that connections send to MySQL, in their order."""
    sent = []
    quick: Any = QuickConnection
    send = quick._execute_command

    def count(self, command, sql):
        sent.append(sql if isinstance(sql, str) else sql.decode())
        send(self, command, sql)

    monkeypatch.setattr(QuickConnection, "_execute_command", count)
    return sent


def texts_in(engine, table=TABLE):
    """The stored texts by their ids."""
    with engine.connect() as connection:
        return dict(iter(connection.execute(sa.select(table.c.id, table.c.text))))


def defer(connection, text, stored):
    """An INSERT whose id and text are added to `stored`."""
    DEFERRED.defer_insert(connection, {"text": text}, lambda key: stored.append((key, text)))


def insert_all(engine, texts, stored):
    """A transaction with deferred INSERTs and another one."""
    with engine.begin() as connection:
        USUAL.insert(connection, {"text": "early"})
        for text in texts:
            defer(connection, text, stored)


def test_rows_are_stored_by_the_commit_in_their_order(engine):
    """With ids, and texts that look like SQL."""
    stored: list[tuple[int, str]] = []
    insert_all(engine, TEXTS, stored)
    assert dict(stored) == texts_in(engine)
    assert [text for _, text in stored] == TEXTS
    assert sorted(stored) == stored
    assert list(texts_in(engine, OTHER).values()) == ["early"]


def test_if_one_is_refused_nothing_is_committed(engine):
    """Neither those before and after it nor the rest of the transaction; the error is the usual."""
    with engine.begin() as connection:
        USUAL.insert(connection, {"text": "before"})
        DEFERRED.insert(connection, {"text": "twice"})
    for position in range(3):
        stored: list[tuple[int, str]] = []
        texts = ["one", "two"]
        texts.insert(position, "twice")
        with pytest.raises(sa.exc.IntegrityError):
            insert_all(engine, texts, stored)
        assert list(texts_in(engine, OTHER).values()) == ["before"]
        assert list(texts_in(engine).values()) == ["twice"]
    with engine.begin() as connection:  # the same connection of the pool is usable
        defer(connection, "next", [])
    assert sorted(texts_in(engine).values()) == ["next", "twice"]


def test_a_rollback_forgets_them(engine):
    """The next transaction on the connection must not store them."""
    stored: list[tuple[int, str]] = []
    for _ in range(2):
        with engine.connect() as connection:
            defer(connection, "rolled back", stored)
            connection.rollback()
            connection.commit()
        with engine.connect() as connection:  # given back without an end
            defer(connection, "given back", stored)
        with engine.begin() as connection:
            connection.execute(sa.select(OTHER))
    assert texts_in(engine) == {}


def test_a_statement_on_the_same_table_sees_them(engine):
    """A query in the same transaction gets the truth, and so does who needs the ids."""
    stored: list[tuple[int, str]] = []
    with engine.begin() as connection:
        defer(connection, TEXTS[0], stored)
        assert connection.execute(sa.select(TABLE.c.text)).scalars().all() == TEXTS[:1]
        assert len(stored) == 1
        defer(connection, TEXTS[1], stored)
        flush_inserts(connection)
        assert [text for _, text in stored] == TEXTS[:2]
    assert texts_in(engine) == dict(stored)


@pytest.mark.parametrize(
    "need", [flush_inserts, lambda connection: connection.execute(sa.select(TABLE))]
)
def test_if_one_is_refused_before_the_commit_the_error_is_the_usual(engine, need):
    """Its sender may retry only after an error of SQLAlchemy."""
    insert_all(engine, ["once"], [])
    with engine.connect() as connection:
        with pytest.raises(sa.exc.IntegrityError):
            insert_and(need, connection, "once")
        connection.rollback()
        assert connection.execute(sa.select(TABLE.c.text)).scalars().all() == ["once"]


def insert_and(need, connection, text):
    """A deferred INSERT, and what needs its row."""
    defer(connection, text, [])
    need(connection)


@pytest.mark.parametrize("any_database_url", ["mysql"], indirect=True)
def test_they_take_no_round_trip_of_their_own(engine, packets):
    """All of them and the COMMIT are one command."""
    with engine.connect() as connection:
        connection.execute(sa.select(OTHER))
        packets.clear()
        for text in ("one", "two"):
            defer(connection, text, [])
        assert packets == []
        connection.commit()
        assert [packet.count("INSERT INTO deferred_inserts") for packet in packets] == [2]
    assert packets[0].endswith("; COMMIT")


@pytest.mark.parametrize("any_database_url", ["mysql"], indirect=True)
def test_a_creation_is_one_round_trip_and_a_confirmation_three(processes, packets):
    """With a distant database the round trips are what a client waits for."""
    processes.create()
    packets.clear()
    payment = processes.create()
    assert [packet.split(" ", 3)[:3] for packet in packets] == [["INSERT", "INTO", "payments"]]
    body = processes.bank().body(payment)
    packets.clear()
    assert processes.bank().tell(body).status_code == 200
    assert [packet.split(None, 1)[0] for packet in packets] == ["SELECT", "UPDATE", "INSERT"]


def test_an_event_belongs_to_the_payment_that_was_stored_with_it(processes):
    """Also while many create at once."""
    answers = at_once([partial(processes.post, "/payments/pix", json={"value": 1})] * 8)
    assert [answer.status_code for answer in answers] == [201] * 8
    for answer in answers:
        events = processes.tables.events(answer.json["payment"]["id"])
        assert [(event.name, event.sequence) for event in events] == [("payment.created", 1)]
