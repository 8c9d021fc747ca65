"""Results of MySQL and MariaDB are the same with and without PyMySQL's own reader."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa
from markupsafe import Markup

from db_models import Account, EventName
from db_models.base import db
from repository import mysql_connections
from repository.mysql_connections import QuickConnection, ReusedDescriptions
from tests.support.service import close_app, ready_app, settings_for

LONG = "á" * 200
LONGER = "x" * 70_000
QUERY = (
    "SELECT 1 AS number, NULL AS nothing, '' AS empty, %s AS text, %s AS longer,"
    " CAST('2026-11-30 12:00:00.000001' AS DATETIME(6)) AS instant, 1.50 AS exact,"
    " CAST('[1]' AS JSON) AS document"
)


@pytest.fixture
def connect(any_database_url):
    """A function that opens a connection of a class of PyMySQL."""
    url = sa.make_url(any_database_url)
    opened = []

    def open_one(kind, **more):
        options: dict[str, Any] = {"host": url.host, "port": url.port, "user": url.username}
        options |= {"password": url.password or "", "database": url.database, "charset": "utf8mb4"}
        if url.query.get("unix_socket"):
            options["unix_socket"] = url.query["unix_socket"]
        opened.append(kind(**{**options, **more}))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


pytestmark = pytest.mark.parametrize("any_database_url", ["mysql"], indirect=True)


def rows_of(connection, query, values=()):
    """The description and the rows."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.description, cursor.fetchall()


def test_all_kinds_of_values_are_read_as_by_pymysql(connect):
    """The first time, a repetition, other values, and rows that are longer than one packet read."""
    query = QUERY.replace("CAST('[1]' AS JSON)", "JSON_ARRAY(1)")
    plain, quick = connect(pymysql.Connection), connect(QuickConnection)
    for text, longer in [("a", "b"), ("a", "b"), (LONG, LONGER), ("ç", LONG), (None, "b")] * 2:
        expected = rows_of(plain, query, (text, longer))
        assert rows_of(quick, query, (text, longer)) == expected
    _, ((number, nothing, empty, *_, instant, exact, _document),) = expected
    assert (number, nothing, empty, str(exact)) == (1, None, "", "1.50")
    assert str(instant) == "2026-11-30 12:00:00.000001"


def test_instants_are_read_as_by_pymysql(connect):
    """With and without a fraction, as TIMESTAMP too, and those that are no dates."""
    plain, quick = connect(pymysql.Connection), connect(QuickConnection)
    for connection in (plain, quick):
        with connection.cursor() as cursor:
            cursor.execute("SET sql_mode = ''")
            cursor.execute(
                "CREATE TEMPORARY TABLE instants (whole DATETIME, third DATETIME(3),"
                " sixth DATETIME(6), stamp TIMESTAMP(6) NULL, day DATE)"
            )
    for text in (
        "2026-12-01 09:44:35.120406",
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59.999",
        "0000-00-00 00:00:00",
        "2026-00-00 00:00:00",
        "1970-01-02 00:00:01",
        None,
    ):
        read = []
        for connection in (plain, quick):
            with connection.cursor() as cursor:
                cursor.execute("DELETE FROM instants")
                cursor.execute("INSERT INTO instants VALUES (%s, %s, %s, %s, %s)", (text,) * 5)
            read += [rows_of(connection, "SELECT * FROM instants")[1] for _ in range(2)]
        assert read[0] == read[1] == read[2] == read[3]
        assert repr(read[0]) == repr(read[3])


def test_a_changed_table_is_read_with_its_new_columns(connect):
    """A migration changes a table below a running process."""
    quick = connect(QuickConnection)
    other = connect(pymysql.Connection)
    rows_of(other, "CREATE TABLE changing (a INT, b VARCHAR(9))")
    rows_of(other, "INSERT INTO changing VALUES (1, 'x')")
    other.commit()
    for change, expected in (
        ("DO 0", ((1, "x"),)),
        ("ALTER TABLE changing MODIFY b VARCHAR(90)", ((1, "x"),)),
        ("ALTER TABLE changing ADD c INT DEFAULT 7", ((1, "x", 7),)),
        ("ALTER TABLE changing MODIFY a VARCHAR(5)", (("1", "x", 7),)),
        ("ALTER TABLE changing DROP b", (("1", 7),)),
    ):
        rows_of(other, change)
        for _ in range(3):
            assert rows_of(quick, "SELECT * FROM changing")[1] == expected
            quick.rollback()


def test_a_wide_result_beyond_the_buffer_is_read(connect):
    """Descriptions that are longer than one read of the socket are never reused."""
    query = "SELECT " + ", ".join(f"{n} AS a_long_name_of_a_column_{n:030d}" for n in range(400))
    quick = connect(QuickConnection)
    for _ in range(3):
        assert rows_of(quick, query)[1] == (tuple(range(400)),)


def test_errors_and_results_without_rows_leave_the_connection_usable(connect):
    """A violated index is an answer like any other."""
    quick = connect(QuickConnection)
    for _ in range(2):
        with pytest.raises(pymysql.ProgrammingError):
            rows_of(quick, "SELECT * FROM no_such_table")
        assert not rows_of(quick, "SELECT 1 FROM DUAL WHERE 1 = 0")[1]
        assert not rows_of(quick, "DO 1")[1]
        assert rows_of(quick, "SELECT 2")[1] == ((2,),)


def test_descriptions_are_reused_and_bounded(connect, monkeypatch):
    """Otherwise nothing is gained, or a process grows with each new statement."""
    descriptions = ReusedDescriptions()
    monkeypatch.setattr(mysql_connections, "_DESCRIPTIONS", descriptions)
    monkeypatch.setattr(mysql_connections, "DESCRIPTIONS_MAX", 3)
    quick = connect(QuickConnection)
    parsed = []
    result_class: Any = pymysql.connections.MySQLResult
    original = result_class._get_descriptions

    def count(result):
        parsed.append(result)
        original(result)

    monkeypatch.setattr(result_class, "_get_descriptions", count)
    for _ in range(4):
        rows_of(quick, "SELECT 1 AS a, 2 AS b")
    assert len(parsed) == 1
    for number in range(20):
        rows_of(quick, f"SELECT 1 AS a{number}")
        rows_of(quick, f"SELECT 1 AS a, 1 AS b{number}")
    assert len(descriptions._seen) <= 3
    assert max(map(len, descriptions._seen.values())) <= mysql_connections._ALIKE_MAX


def test_rows_as_dictionaries_are_read_the_second_time_too(connect):
    """A cursor of PyMySQL asks the result for its fields."""
    quick = connect(QuickConnection)
    for _ in range(2):
        with quick.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute("SELECT 1 AS a, 2 AS b")
            assert cursor.fetchall() == [{"a": 1, "b": 2}]


@pytest.mark.parametrize(
    ("cause", "raised"),
    [(TimeoutError("timed out"), pymysql.OperationalError), (KeyboardInterrupt(), None)],
)
def test_a_connection_lost_before_the_descriptions_is_closed(connect, monkeypatch, cause, raised):
    """Half of a result was read: the next user of the connection would read the rest."""
    quick: Any = connect(QuickConnection)
    whole = quick._rfile

    class Cut:
        """A stream that breaks after the first packet."""

        def read(self, size):
            return whole.read(size)

        def peek(self, _size):
            raise cause

        def close(self):
            whole.close()

    monkeypatch.setattr(quick, "_rfile", Cut())
    with pytest.raises(raised or type(cause)):
        rows_of(quick, "SELECT 1 AS a, 2 AS b")
    assert not quick.open


def test_tls_is_used_as_before(connect, monkeypatch):
    """One context for connections without options; options get a context of their own."""
    monkeypatch.setattr(mysql_connections, "_SSL_CONTEXTS", [])
    first, second = connect(QuickConnection), connect(QuickConnection)
    assert first.ctx is second.ctx
    plain = connect(pymysql.Connection)
    assert (first.ssl, first._ssl_required) == (plain.ssl, plain._ssl_required)
    assert first.ctx.verify_mode == plain.ctx.verify_mode
    cipher = "SHOW STATUS LIKE 'Ssl_cipher'"
    assert rows_of(first, cipher)[1] == rows_of(plain, cipher)[1]
    with pytest.raises(FileNotFoundError):
        connect(QuickConnection, ssl_ca="/no/such/file.pem")
    with pytest.raises(pymysql.OperationalError):  # this server has no certificate of a known CA
        connect(QuickConnection, ssl_verify_cert=True, ssl_verify_identity=True)


def test_the_service_uses_these_connections(processes):
    """Both pools do, for units of work and for reads."""
    with processes.app().app_context():
        for engine in db.engines.values():
            with engine.connect() as connection:
                opened: Any = connection.connection.dbapi_connection
                assert isinstance(opened, QuickConnection)
                assert connection.execute(sa.select(Account)).all()


def test_the_pools_have_the_size_of_the_setting(any_database_url, tmp_path, clock):
    """Both of them, and no connection beyond it, which would be opened for one request."""
    for changes, size in (({}, 25), ({"database_pool_size": 3}, 3)):
        app = ready_app(settings_for(any_database_url, tmp_path, **changes), clock)
        with app.app_context():
            pools: list[Any] = [engine.pool for engine in db.engines.values()]
            assert [(pool.size(), pool._max_overflow) for pool in pools] == [(size, 0)] * 2
        close_app(app)


class Shout(str):
    """A text whose `replace` is not that of a text."""

    __slots__ = ()

    def replace(self, *_arguments: Any) -> str:
        return f"{self.upper()}'"


@pytest.mark.parametrize("mode", ["", "NO_BACKSLASH_ESCAPES"])
def test_values_are_written_as_by_pymysql(connect, mode):
    """A character that is left as it is could end its text and begin another statement."""
    setting = {"init_command": f"SET SESSION sql_mode = '{mode}'"}
    plain, quick = connect(pymysql.Connection, **setting), connect(QuickConnection, **setting)
    for one in (plain, quick):
        one.ping()  # its answer says which mode is on
    values: list[Any] = [None, True, 0, -1, 2**63, 1.5, Decimal("1.50"), b"\0'", ("a", 1)]
    noon = datetime(2026, 1, 2, 12, tzinfo=UTC)
    values += [noon, noon.replace(tzinfo=None), noon.replace(tzinfo=None, microsecond=6), date.min]
    values += [EventName.PAYMENT_CREATED, "", "plain", "%s é 🎁"]
    values += [f"a{chr(code)}b" for code in range(256)]
    for value in values:
        assert quick.escape(value) == plain.escape(value), repr(value)
    for special in (Markup("a'b\"c\\d<"), Shout("it's")):  # their `replace` is not a text's
        assert quick.escape(special) == plain.escape("".join(list(special)))
    text = "".join(map(chr, range(1, 256)))
    assert rows_of(quick, "SELECT %s, %s", (text, "\0"))[1] == ((text, "\0"),)
