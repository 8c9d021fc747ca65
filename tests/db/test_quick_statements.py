"""A statement that the driver's cursor sends does what SQLAlchemy does with it, on each engine."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from db_models.base import UtcDateTime, db
from repository.connections import engine_options, read_results_quickly, reading_options
from repository.driver_errors import is_away
from repository.hosts import use_hosts
from repository.statements import COMPILED, QuickStatement, clear_column
from tests.support.service import close_app, ready_app, settings_for

PARTS = sa.MetaData()
TABLE = sa.Table(
    "quick_statements",
    PARTS,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
    sa.Column("text", sa.String(60), unique=True),
    sa.Column("at", UtcDateTime()),
    sa.Column("details", sa.JSON()),
    sa.Column("is_new", sa.Boolean()),
    sa.Column("size", sa.Integer(), default=7, nullable=False),
    mysql_charset="utf8mb4",
)
INSERT = sa.insert(TABLE)
BY_TEXT = sa.select(TABLE, sa.exists().where(TABLE.c.size > 99)).where(
    TABLE.c.text == sa.bindparam("text"), TABLE.c.size < 100
)
RESIZE = sa.update(TABLE).where(
    TABLE.c.text == sa.bindparam("wanted"), sa.or_(TABLE.c.size == 7, TABLE.c.size == 8)
)
NOON = datetime(2026, 11, 30, 12, 0, 0, 1, tzinfo=UTC)
VALUES: list[dict[str, Any]] = [
    {"text": "plain", "at": NOON, "details": {"a": [1, None]}, "is_new": True},
    {"text": "100 % %s %(x)s :y ' \" \\ é 🎁", "at": None, "details": None, "is_new": False},
    {"text": "sized", "size": 8},
]


@pytest.fixture
def engine(any_database_url):
    """An engine as the service opens it, with the table."""
    engine = sa.create_engine(any_database_url, **engine_options(any_database_url, green=False))
    use_hosts(engine)
    read_results_quickly(engine)
    PARTS.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def reading_engine(any_database_url, engine):
    """An engine in autocommit mode, as the service opens it for reads."""
    options = engine_options(any_database_url, green=False)
    if engine.dialect.name != "sqlite":
        options = reading_options(options)
    reading_engine = sa.create_engine(any_database_url, **options)
    use_hosts(reading_engine)
    read_results_quickly(reading_engine)
    yield reading_engine
    reading_engine.dispose()


def test_rows_are_stored_and_read_as_by_sqlalchemy(engine):
    """Values, defaults, keys, nulls, and text that is special in some driver."""
    insert, by_text = QuickStatement(INSERT), QuickStatement(BY_TEXT)
    with engine.begin() as connection:
        for values in VALUES:
            text = values["text"]
            key = insert.insert(connection, values)
            rows = by_text.rows(connection, {"text": text})
            assert rows == [tuple(row) for row in connection.execute(BY_TEXT, {"text": text})]
            assert rows[0][:2] == (key, text)
            assert rows[0][TABLE.c.keys().index("size")] == values.get("size", 7)
            assert by_text.row(connection, {"text": text}) == rows[0]
        assert by_text.row(connection, {"text": "another"}) is None
    assert VALUES[0]["at"] == NOON


def test_a_change_tells_how_many_rows_it_matched(engine):
    """Also a row that had the values already; constants of the statement are sent."""
    resize = QuickStatement(RESIZE)
    with engine.begin() as connection:
        QuickStatement(INSERT).insert(connection, VALUES[0])
        assert resize.change(connection, {"wanted": "plain", "size": 8}) == 1
        assert resize.change(connection, {"wanted": "plain", "size": 8}) == 1
        assert resize.change(connection, {"wanted": "plain", "size": 50, "details": [1]}) == 1
        assert resize.change(connection, {"wanted": "plain", "size": 8}) == 0
        row = connection.execute(BY_TEXT, {"text": "plain"}).one()
    assert (row.size, row.details) == (50, [1])


def test_many_rows_are_stored_as_by_sqlalchemy(engine):
    """Each row with its own values, and none of them if one is refused."""
    insert, read = QuickStatement(INSERT), sa.select(TABLE.c.text, TABLE.c.at, TABLE.c.details)
    rows = [
        {"text": f"{number} {text}", "at": NOON, "details": [number]}
        for number in range(40)
        for text in ("plain", "100 % %s %(x)s :y ' \" \\ é 🎁")
    ]
    statements: list[tuple[str, bool]] = []

    def hear(*arguments: Any) -> None:
        statements.append((arguments[2], arguments[5]))

    sa.event.listen(engine, "before_cursor_execute", hear)
    with engine.begin() as connection:
        insert.insert_many(connection, [])
        assert statements == []
        insert.insert_many(connection, rows)
        assert [(text.split()[0], is_many) for text, is_many in statements] == [("INSERT", True)]
        stored = connection.execute(read.order_by(TABLE.c.id)).all()
        assert [tuple(row) for row in stored] == [tuple(row.values()) for row in rows]
        assert set(connection.scalars(sa.select(TABLE.c.size))) == {7}
    with engine.connect() as connection:
        with pytest.raises(sa.exc.IntegrityError):
            insert.insert_many(connection, [{"text": "new"}, {"text": rows[0]["text"]}])
        connection.rollback()
        assert len(connection.execute(read).all()) == len(rows)


def test_a_column_of_some_rows_is_cleared(engine):
    """Those of the ids, and no others; no id changes nothing."""
    insert = QuickStatement(INSERT)
    with engine.begin() as connection:
        ids = [insert.insert(connection, {"text": str(n), "is_new": True}) for n in range(600)]
        clear_column(connection, TABLE.c.is_new, [])
        clear_column(connection, TABLE.c.is_new, ids[1:])
        others = connection.scalars(sa.select(TABLE.c.id).where(TABLE.c.is_new.is_not(None))).all()
        assert others == ids[:1]


def test_errors_are_those_of_sqlalchemy(engine):
    """A violated constraint, and an error of the server; the transaction can be rolled back."""
    insert = QuickStatement(INSERT)
    missing = QuickStatement(sa.select(sa.table("missing", sa.column("id", sa.Integer))))
    with engine.connect() as connection:
        insert.insert(connection, VALUES[0])
        with pytest.raises(sa.exc.IntegrityError):
            insert.insert(connection, VALUES[0])
        connection.rollback()
        with pytest.raises(sa.exc.DBAPIError) as raised:
            missing.rows(connection, {})
        assert "plain" not in str(raised.value)
        connection.rollback()
        assert QuickStatement(BY_TEXT).rows(connection, {"text": "plain"}) == []


def test_listeners_hear_of_it(engine):
    """As `note_changes_of_callers` must; one that raises keeps the statement from being sent."""
    texts = []

    def hear(_connection, _cursor, statement, *_more):
        texts.append(statement)
        if len(texts) > 1:
            raise RuntimeError("not this one")

    sa.event.listen(engine, "before_cursor_execute", hear)
    insert = QuickStatement(INSERT)
    with engine.begin() as connection:
        insert.insert(connection, VALUES[0])
        with pytest.raises(RuntimeError, match="not this one"):
            insert.insert(connection, VALUES[1])
        sa.event.remove(engine, "before_cursor_execute", hear)
        assert connection.execute(sa.select(sa.func.count()).select_from(TABLE)).scalar_one() == 1
    assert [text.startswith("INSERT INTO quick_statements") for text in texts] == [True] * len(
        texts
    )


def test_one_row_is_read_without_a_connection_of_sqlalchemy(reading_engine, engine):
    """The same row; the pool has its connection back afterwards, also after an error."""
    with engine.begin() as connection:
        QuickStatement(INSERT).insert(connection, VALUES[1])
        expected = QuickStatement(BY_TEXT).row(connection, {"text": VALUES[1]["text"]})
    by_text = QuickStatement(BY_TEXT)
    missing = QuickStatement(sa.select(sa.table("missing", sa.column("id", sa.Integer))))
    for _ in range(2):
        assert by_text.row_alone(reading_engine, {"text": VALUES[1]["text"]}) == expected
        assert by_text.row_alone(reading_engine, {"text": "another"}) is None
        with pytest.raises(sa.exc.DBAPIError) as raised:
            missing.row_alone(reading_engine, {})
        assert "missing" in str(raised.value)
    assert reading_engine.pool.checkedout() == 0


def test_a_row_read_alone_is_what_is_committed_now(reading_engine, engine):
    """No transaction stays open on the connection, whose first read would hide what comes later."""
    by_text, resize = QuickStatement(BY_TEXT), QuickStatement(RESIZE)
    at = TABLE.c.keys().index("size")
    with engine.begin() as connection:
        QuickStatement(INSERT).insert(connection, VALUES[0])
    for size in (8, 7):
        with engine.begin() as connection:
            resize.change(connection, {"wanted": "plain", "size": size})
        row = by_text.row_alone(reading_engine, {"text": "plain"})
        assert row is not None
        assert row[at] == size


def test_a_listener_hears_of_a_row_that_is_read_alone(reading_engine):
    """As the tests that count statements do."""
    texts = []

    def hear(_connection, _cursor, statement, *_more):
        texts.append(statement)

    sa.event.listen(reading_engine, "before_cursor_execute", hear)
    QuickStatement(BY_TEXT).row_alone(reading_engine, {"text": "plain"})
    sa.event.remove(reading_engine, "before_cursor_execute", hear)
    assert [text.startswith("SELECT") for text in texts if "PRAGMA" not in text][-1]


@pytest.mark.parametrize("any_database_url", ["mysql", "postgres"], indirect=True)
def test_a_lost_connection_is_replaced_after_a_row_that_is_read_alone(any_database_url, engine):
    """The read that finds out fails as the database away, and replaces those beside it too."""
    options = reading_options(engine_options(any_database_url, green=False))
    reading_engine = sa.create_engine(any_database_url, **options)
    use_hosts(reading_engine)  # without the check of idle connections
    read_results_quickly(reading_engine)
    by_text = QuickStatement(BY_TEXT)
    try:
        pooled = [reading_engine.raw_connection() for _ in range(3)]
        for connection in pooled:
            end_connection(engine, connection.dbapi_connection)
            connection.close()
        errors: list[sa.ExceptionContext] = []
        sa.event.listen(reading_engine, "handle_error", errors.append)
        with pytest.raises(sa.exc.DBAPIError) as raised:
            by_text.row_alone(reading_engine, {"text": "plain"})
        assert is_away(raised.value)
        assert [error.is_disconnect for error in errors] == [True]
        for _ in pooled:
            assert by_text.row_alone(reading_engine, {"text": "plain"}) is None
    finally:
        reading_engine.dispose()


def end_connection(engine, connection):
    """Let the server end a driver's connection."""
    is_mysql = engine.dialect.name != "postgresql"
    number = connection.thread_id() if is_mysql else connection.info.backend_pid
    command = f"KILL {number}" if is_mysql else f"SELECT pg_terminate_backend({number})"
    with engine.connect() as own:
        own.execute(sa.text(command))
        own.commit()
    time.sleep(0.2)


@pytest.mark.parametrize("any_database_url", ["mysql", "postgres"], indirect=True)
def test_a_default_that_is_computed_is_refused(engine):
    """It would be stored as null otherwise. On SQLite SQLAlchemy sends it."""
    table = sa.Table(
        "computed", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True, default=lambda: 1)
    )
    with engine.connect() as connection, pytest.raises(TypeError, match="computed"):
        QuickStatement(sa.insert(table)).insert(connection, {})


def test_the_service_sends_by_the_cursor_where_a_server_answers(any_database_url, tmp_path, clock):
    """SQLite is left to SQLAlchemy, which begins the transactions."""
    app = ready_app(settings_for(any_database_url, tmp_path), clock)
    try:
        with app.app_context():
            engines = [db.engine, db.engines.get("reading", db.engine)]
            forms = [engine.get_execution_options().get(COMPILED) for engine in engines]
            is_server = db.engine.dialect.name != "sqlite"
        assert [form is not None for form in forms] == [is_server] * 2
        created = app.test_client().post("/payments/pix", json={"value": 1})
        assert created.status_code == 201
        if is_server:
            assert forms[0], "no statement was compiled"
    finally:
        close_app(app)
