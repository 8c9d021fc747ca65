"""INSERTs that wait for the COMMIT: on MySQL and MariaDB sent together with it."""

from __future__ import annotations

from functools import partial

import pytest
import sqlalchemy as sa

from repository import hosts
from repository.connections import (
    engine_options,
    flush_before_statements,
    read_results_quickly,
)
from repository.database import LostRace, in_unit_of_work
from repository.hosts import use_hosts
from repository.mysql_connections import quick_connection
from repository.payments import Payments
from repository.statements import QuickStatement, flush_deferred
from tests.db.crowd import at_once
from tests.support.service import end_to_end_id

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
    hosts.allow_deferring(engine)
    flush_before_statements(engine)
    PARTS.create_all(engine)
    yield engine
    engine.dispose()


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
        texts = ["one", "two"]
        texts.insert(position, "twice")
        with pytest.raises(sa.exc.IntegrityError):
            insert_all(engine, texts, [])
        assert list(texts_in(engine, OTHER).values()) == ["before"]
        assert list(texts_in(engine).values()) == ["twice"]
    with engine.begin() as connection:  # the same connection of the pool is usable
        defer(connection, "next", [])
    assert sorted(texts_in(engine).values()) == ["next", "twice"]


def test_a_rollback_forgets_them(engine):
    """The next transaction on the connection must not store them."""
    for _ in range(2):
        with engine.connect() as connection:
            defer(connection, "rolled back", [])
            connection.rollback()
            connection.commit()
        with engine.connect() as connection:  # given back without an end
            defer(connection, "given back", [])
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
        flush_deferred(connection)
        assert [text for _, text in stored] == TEXTS[:2]
    assert texts_in(engine) == dict(stored)


@pytest.mark.parametrize(
    "need", [flush_deferred, lambda connection: connection.execute(sa.select(TABLE))]
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
def test_they_take_no_round_trip_of_their_own(engine, commands):
    """All of them and the COMMIT are one command."""
    with engine.connect() as connection:
        connection.execute(sa.select(OTHER))
        commands.clear()
        for text in ("one", "two"):
            defer(connection, text, [])
        assert commands == []
        connection.commit()
        assert [one.count("INSERT INTO deferred_inserts") for one in commands] == [2]
    assert commands[0].endswith("; COMMIT")


@pytest.mark.parametrize("any_database_url", ["mysql"], indirect=True)
def test_a_creation_is_one_round_trip_and_a_confirmation_two(processes, commands):
    """With a distant database the round trips are what a client waits for."""
    processes.create()
    commands.clear()
    payment = processes.create()
    assert [one.split(" ", 3)[:3] for one in commands] == [["INSERT", "INTO", "payments"]]
    body = processes.bank().body(payment)
    commands.clear()
    assert processes.bank().tell(body).status_code == 200
    assert [one.split(None, 1)[0] for one in commands] == ["SELECT", "UPDATE"]


def test_an_event_belongs_to_the_payment_that_was_stored_with_it(processes):
    """Also while many create at once."""
    answers = at_once([partial(processes.post, "/payments/pix", json={"value": 1})] * 8)
    assert [answer.status_code for answer in answers] == [201] * 8
    for answer in answers:
        events = processes.tables.events(answer.json["payment"]["id"])
        assert [(event.name, event.sequence) for event in events] == [("payment.created", 1)]


def test_a_refused_commit_leaves_no_open_transaction(processes):
    """The pool would give it to the next request, which would commit what it holds."""
    engine = processes.tables.engine
    PARTS.create_all(engine)

    def fill(text, deferred, work):
        USUAL.insert(work.connection, {"text": text})
        defer(work.connection, deferred, [])

    with processes.app().app_context():
        in_unit_of_work(partial(fill, "first", "twice"))
        for number in range(3):
            with pytest.raises(LostRace):
                in_unit_of_work(partial(fill, f"lost {number}", "twice"), attempts=1)
            in_unit_of_work(partial(fill, f"next {number}", f"next {number}"))
    assert sorted(texts_in(engine, OTHER).values()) == ["first", "next 0", "next 1", "next 2"]
    assert sorted(texts_in(engine).values()) == ["next 0", "next 1", "next 2", "twice"]


def use_each_connection(processes):
    """Let later requests use every connection of the pool: one may have an open transaction."""
    for _ in range(30):
        processes.create()


def test_what_a_refused_commit_leaves_is_not_committed_by_the_next_request(processes):
    """The order has a payment already: the index refuses the new one at the COMMIT."""
    processes.create(order_id="order-1")
    body, key = {"value": 1, "order_id": "order-1"}, {"Idempotency-Key": "key-1"}
    for _ in range(2):
        answer = processes.post("/payments/pix", json=body, headers=key)
        assert (answer.status_code, answer.json["code"]) == (409, "order-already-has-payment")
        use_each_connection(processes)


def test_one_transfer_settles_one_payment(processes, monkeypatch):
    """Another request stores its receipt after this one has looked: the index refuses the second
    at the COMMIT."""
    first, second = processes.create(), processes.create()
    transfer = end_to_end_id()
    assert processes.bank().confirm(first, end_to_end_id=transfer).status_code == 200
    locks = []
    lock = Payments.lock_for_money

    def look_too_early(self, txid, end_to_end_id):
        payment, grace, may_be_repeated = lock(self, txid, end_to_end_id)
        locks.append(may_be_repeated)
        return payment, grace, may_be_repeated and len(locks) > 1

    monkeypatch.setattr(Payments, "lock_for_money", look_too_early)
    assert processes.bank().confirm(second, end_to_end_id=transfer).status_code == 409
    assert locks == [True, True]
    use_each_connection(processes)
    assert processes.status(second["id"])["status"] == "pending"
    assert processes.tables.event_names(second["id"]) == ["payment.created"]
    assert processes.tables.receipts(second["id"]) == []


@pytest.mark.parametrize("any_database_url", ["mysql"], indirect=True)
@pytest.mark.parametrize(
    ("version", "variable", "may_defer"),
    [
        ("10.11.6-MariaDB", 1, False),
        ("10.11.6-MariaDB", 0, True),
        ("10.11.6-MariaDB", None, True),
        ("9.7.4", "3E11FA47", False),
        ("9.7.4", "", True),
        ("9.7.4", None, True),
        ("8.0.11-TiDB-v8.5.0", None, False),
        ("8.0.30-Vitess", None, False),
    ],
)
def test_only_a_server_that_is_alone_gets_deferred_rows(
    engine, monkeypatch, version, variable, may_defer
):
    """A conflict between nodes could undo a part of a command without an error."""
    monkeypatch.setattr(hosts, "_version", lambda _connection: version)
    monkeypatch.setattr(hosts, "_variable", lambda _connection, _name: variable)
    engine.dispose()
    with engine.connect() as connection:
        driver = quick_connection(connection.connection)
        assert driver is not None
        assert driver.may_defer is may_defer
