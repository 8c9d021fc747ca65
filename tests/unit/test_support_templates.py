"""A copied database equals a newly migrated one, and each test has its own."""

import subprocess
import sys
import tempfile

import pytest
import sqlalchemy as sa

from tests.support import places
from tests.support.plugin import ENGINES
from tests.support.templates import fill

# Columns that differ between first starts: instants and random values.
BY_CHANCE = {"opened_at", "made_at", "identifier", "pin_hash"}

# Queries for all definitions of a database, without the names of databases.
POSTGRES = [
    "SELECT table_name, column_name, ordinal_position, column_default, is_nullable, data_type,"
    " character_maximum_length, numeric_precision, datetime_precision, collation_name, is_identity,"
    " identity_generation, generation_expression FROM information_schema.columns"
    " WHERE table_schema = 'public' ORDER BY 1, 3",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 2",
    "SELECT conrelid::regclass::text, conname, convalidated, pg_get_constraintdef(oid)"
    " FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2",
    "SELECT sequencename, data_type, start_value, increment_by, last_value FROM pg_sequences"
    " ORDER BY 1",
    "SELECT pg_encoding_to_char(encoding), datcollate, datctype FROM pg_database"
    " WHERE datname = current_database()",
]
SQLITE = [
    "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2",
    "PRAGMA journal_mode",
    "PRAGMA user_version",
    "PRAGMA page_size",
    "PRAGMA encoding",
]
MYSQL = ["SELECT @@character_set_database, @@collation_database"]


def definitions(url):
    """All definitions of the tables, without their rows."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    queries = {"sqlite": SQLITE, "postgresql": POSTGRES, "mysql": MYSQL}[engine.dialect.name]
    with engine.connect() as connection:
        results = [
            [tuple(_in_order(value) for value in row) for row in connection.execute(sa.text(query))]
            for query in queries
        ]
        if engine.dialect.name == "mysql":
            for table in sorted(sa.inspect(connection).get_table_names()):
                name, statement = connection.exec_driver_sql(f"SHOW CREATE TABLE {table}").one()
                # MySQL repeats a collation's set where that was once said of the column.
                results.append(
                    [(name, statement.replace(" CHARACTER SET utf8mb4 COLLATE", " COLLATE"))]
                )
    return results


def _in_order(value):
    # Where Alembic rebuilds a table of SQLite it writes the constraints down in any order.
    is_table = isinstance(value, str) and value.startswith("CREATE TABLE")
    return sorted(line.strip(", ") for line in value.splitlines()) if is_table else value


def rows(url):
    """Every row of every table, without the random values."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        return {
            table: [
                {name: value for name, value in row.items() if name not in BY_CHANCE}
                for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()  # noqa: S608
            ]
            for table in sa.inspect(connection).get_table_names()
        }


@pytest.mark.parametrize("engine", ENGINES)
def test_a_copy_equals_a_newly_migrated_database(fresh_database, empty_database, engine):
    """Most tests run on copies, so none of them would notice a difference."""
    copied, migrated = fresh_database(engine), empty_database(engine)
    fill(migrated)
    assert definitions(copied) == definitions(migrated)
    table_rows = rows(copied)
    assert table_rows == rows(migrated)
    assert len(table_rows["bank_payers"]) == 3
    assert table_rows["accounts"] == []


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_written_to_a_copy_is_in_the_next(fresh_database, engine):
    """Each test has its own database."""
    first = fresh_database(engine)
    with sa.create_engine(first, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("UPDATE bank_payers SET name = 'Mallory'"))
        connection.execute(sa.text("CREATE TABLE kept (word VARCHAR(20) PRIMARY KEY)"))
    second = rows(fresh_database(engine))
    assert "kept" not in second
    assert "Mallory" not in [row["name"] for row in second["bank_payers"]]


def test_folders_of_processes_that_are_gone_are_removed(tmp_path, monkeypatch):
    """A killed run must not fill the memory; a running process keeps its folder."""
    monkeypatch.setattr(places, "root", lambda: tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait(10)
    folder_of_ended = tmp_path / f"{places.PREFIX}{ended.pid}-postgres-x"
    strange = tmp_path / f"{places.PREFIX}notes"
    folder_of_ended.mkdir()
    strange.mkdir()
    ours = places.new_folder("postgres")
    assert places.new_folder("redis") != ours
    assert (folder_of_ended.exists(), strange.exists(), ours.exists()) == (False, True, True)
    assert ours.stat().st_mode & 0o777 == 0o700


def test_the_folder_is_the_one_that_is_named(tmp_path, monkeypatch):
    """TMPDIR overrides the folder in memory."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert places.root.__wrapped__() == tmp_path
