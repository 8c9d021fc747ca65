"""The servers of the tests are found or started, and nothing of them is left behind."""

import os
import time

import pytest
import sqlalchemy as sa
from redis import Redis

from tests.support import databases as support
from tests.support.parts import MissingPart
from tests.support.servers import PrivateRedis, redis_answers

ONE_COLUMN = "CREATE TABLE kept (word VARCHAR(20) NOT NULL PRIMARY KEY)"
SERVERS = [
    pytest.param("mysql", id="mariadb", marks=pytest.mark.mysql),
    pytest.param("postgres", id="postgres", marks=pytest.mark.postgres),
]


def run(url, *statements):
    """Run each statement in a transaction of its own; the rows of the last one."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    rows = []
    for statement in statements:
        with engine.begin() as connection:
            result = connection.execute(sa.text(statement))
            rows = [tuple(row) for row in result] if result.returns_rows else []
    return rows


def test_each_engine_gives_an_empty_database_that_takes_rows(any_empty_database_url):
    """A test must not find the rows of another test."""
    url = any_empty_database_url
    assert sa.inspect(sa.create_engine(url, poolclass=sa.NullPool)).get_table_names() == []
    insert = "INSERT INTO kept VALUES ('aceitação 🛒')"
    assert run(url, ONE_COLUMN, insert, "SELECT word FROM kept") == [("aceitação 🛒",)]


def test_two_databases_of_one_engine_are_separate(fresh_database):
    """Tests run side by side, each in its own database."""
    first, second = fresh_database("sqlite"), fresh_database("sqlite")
    run(first, ONE_COLUMN)
    assert sa.inspect(sa.create_engine(first, poolclass=sa.NullPool)).has_table("kept")
    assert not sa.inspect(sa.create_engine(second, poolclass=sa.NullPool)).has_table("kept")


@pytest.mark.parametrize("engine", SERVERS)
def test_a_database_with_an_open_transaction_is_dropped(databases, fresh_database, engine):
    """A test that forgot to close a connection must not stop the run."""
    fresh_database(engine)
    with databases.fresh(engine) as url:
        run(url, ONE_COLUMN)
        open_connection = sa.create_engine(url, poolclass=sa.NullPool).connect()
        open_connection.execute(sa.text("SELECT * FROM kept"))
    with pytest.raises(sa.exc.DBAPIError):
        run(url, "SELECT 1")
    open_connection.invalidate()


@pytest.mark.parametrize("engine", SERVERS)
def test_only_databases_of_killed_runs_are_dropped(databases, fresh_database, engine):
    """They would fill the developer's server; those of a running test are in use."""
    current = fresh_database(engine)
    long_ago = time.time() - support.STALE_AFTER_SECONDS - 60
    stale_url = support.create_database(databases.server(engine), made_at=long_ago)
    dropped = support.drop_stale(databases.server(engine))
    assert sa.make_url(stale_url).database in dropped
    assert sa.make_url(current).database not in dropped
    assert run(current, "SELECT 1") == [(1,)]


def test_only_databases_of_the_tests_are_ever_dropped():
    """A wrong address in the environment must not cost anybody their data."""
    with pytest.raises(ValueError, match="not a test database"):
        support.drop_database("mysql+pymysql://root@127.0.0.1:3306/balcao")


@pytest.mark.parametrize("engine", SERVERS)
def test_a_killed_server_restarts_with_its_committed_rows(private_server, engine):
    """The fault tests kill a database during many confirmations and check its rows."""
    server = private_server(engine)
    url = support.create_database(server.url)
    run(url, ONE_COLUMN, "INSERT INTO kept VALUES ('one')")
    server.kill()
    assert not server.is_running()
    with pytest.raises((sa.exc.DBAPIError, OSError)):
        run(url, "SELECT 1")
    server.start()
    run(url, "INSERT INTO kept VALUES ('two')")
    server.restart()
    assert run(url, "SELECT word FROM kept ORDER BY word") == [("one",), ("two",)]


def test_a_private_server_is_removed_with_its_data_after_the_test():
    """A run leaves nothing on the machine."""
    with PrivateRedis() as server:
        process_id = server.process_id
        assert redis_answers(server.url)
    assert not redis_answers(server.url)
    assert not server.folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


def test_a_redis_space_starts_empty_and_is_left_empty(redis_space, redis_url):
    """Keys of one test must not be in the next test's database, nor in the developer's own."""
    with Redis.from_url(redis_url) as mine:
        assert mine.dbsize() == 0
        mine.set("word", "kept")
        with redis_space.fresh() as other_url, Redis.from_url(other_url) as other:
            assert other_url != redis_url
            other.set("word", "elsewhere")
            assert mine.get("word") == b"kept"
        with Redis.from_url(other_url) as freed:
            assert freed.dbsize() == 0


@pytest.mark.parametrize("variable", ["MYSQL_URL", "POSTGRES_URL"])
def test_a_configured_server_that_does_not_answer_is_not_replaced(monkeypatch, variable):
    """Somebody who sets an address wants that server to be tested."""
    dialect = {"MYSQL_URL": "mysql+pymysql", "POSTGRES_URL": "postgresql+psycopg"}[variable]
    monkeypatch.setenv(variable, f"{dialect}://nobody@127.0.0.1:9/")
    engine = {name: engine for engine, name in support.ENVIRONMENT.items()}[variable]
    with pytest.raises(MissingPart, match=variable):
        support.Databases().server(engine)
