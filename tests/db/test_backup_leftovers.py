"""What a killed check leaves is deleted, and nothing that could be somebody else's."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from repository import backups
from repository.scratch_databases import SCRATCH_PREFIX, drop_leftovers, scratch_database
from server.backup.copy_folders import COPY, MARKER, copy_folder, delete_leftovers
from tests.support.plugin import SERVERS

CHECKS = 300


def files_in(folder: Path) -> set[str]:
    """The names of the entries of a folder."""
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    "names", [[], ["letter.txt"], [COPY], [MARKER, "letter.txt"], [MARKER, COPY, "letters/"]]
)
def test_folders_of_users_stay(tmp_path, names):
    """A folder of the counter (balcao-check-20261130) was once deleted with what was in it."""
    folder = tmp_path / "balcao-check-20261130"
    folder.mkdir()
    for name in names:
        if name.endswith("/"):
            (folder / name).mkdir()
        else:
            (folder / name).write_text("Alice's", encoding="utf-8")
    before = files_in(folder)
    assert delete_leftovers(tmp_path) == []
    assert files_in(folder) == before


def test_a_folder_elsewhere_is_not_followed(tmp_path):
    """A link of this name leads to what somebody else has put there."""
    elsewhere, backups_folder = tmp_path / "elsewhere", tmp_path / "backups"
    elsewhere.mkdir()
    backups_folder.mkdir()
    (elsewhere / MARKER).touch()
    (backups_folder / "balcao-check-0a1b2c3d").symlink_to(elsewhere)
    assert delete_leftovers(backups_folder) == []
    assert files_in(elsewhere) == {MARKER}


def test_the_copy_of_a_killed_check_is_deleted_with_its_log(tmp_path):
    """It is as large as the database."""
    folder = tmp_path / "balcao-check-0a1b2c3d"
    folder.mkdir()
    for name in (MARKER, COPY, f"{COPY}-wal", f"{COPY}-shm", f".{COPY}.0a1b2c3d"):
        (folder / name).touch()
    assert delete_leftovers(tmp_path) == [folder.name]
    assert files_in(tmp_path) == set()


def test_a_check_that_runs_keeps_its_folder_and_leaves_nothing(tmp_path):
    """Others look for leftovers meanwhile."""
    with copy_folder(tmp_path) as folder:
        (folder / COPY).touch()
        assert delete_leftovers(tmp_path) == []
        assert files_in(folder) == {MARKER, COPY}
    assert files_in(tmp_path) == set()


def test_a_check_begins_while_others_look_for_leftovers(tmp_path):
    """Each 25th failed between the creation of its folder and the lock."""
    is_over = threading.Event()
    deleted: list[str] = []

    def look() -> None:
        while not is_over.is_set():
            deleted.extend(delete_leftovers(tmp_path))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(CHECKS):
            with copy_folder(tmp_path) as folder:
                assert files_in(folder) == {MARKER}
    finally:
        is_over.set()
        looking.join(30)
    assert (deleted, files_in(tmp_path)) == ([], set())


@pytest.fixture
def scratch_name(any_database_url: str) -> Iterator[str]:
    """An empty database with the name of a scratch database, which nobody uses."""
    name = SCRATCH_PREFIX + secrets.token_hex(6)
    with backups.connected(any_database_url, "AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
        try:
            yield name
        finally:
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name}"))


def change(url: str, name: str, *statements: str) -> None:
    """Run these statements in that database of the same server."""
    address = sa.make_url(url).set(database=name).render_as_string(hide_password=False)
    with backups.connected(address, "AUTOCOMMIT") as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


@pytest.mark.parametrize("any_database_url", SERVERS, indirect=True)
def test_a_database_with_any_object_of_another_kind_stays(any_database_url, scratch_name):
    """Databases without a table in the first schema once counted as empty, and were dropped."""
    if any_database_url.startswith("postgresql"):
        objects = [
            ("CREATE SCHEMA shop", "DROP SCHEMA shop"),
            ("CREATE VIEW seen AS SELECT 1", "DROP VIEW seen"),
            ("CREATE SEQUENCE numbers", "DROP SEQUENCE numbers"),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION f()"),
            ("CREATE TYPE mood AS ENUM ('happy')", "DROP TYPE mood"),
            ("SELECT lo_create(70001)", "SELECT lo_unlink(70001)"),
        ]
    else:
        objects = [
            ("CREATE VIEW seen AS SELECT 1 AS one", "DROP VIEW seen"),
            ("CREATE PROCEDURE p() SELECT 1", "DROP PROCEDURE p"),
            ("CREATE FUNCTION f() RETURNS int DETERMINISTIC RETURN 1", "DROP FUNCTION f"),
            ("CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO SELECT 1", "DROP EVENT e"),
        ]
        with backups.connected(any_database_url) as connection:
            if "MariaDB" in str(connection.scalar(sa.text("SELECT VERSION()"))):
                objects.append(("CREATE SEQUENCE numbers", "DROP SEQUENCE numbers"))
    for create, remove in objects:
        change(any_database_url, scratch_name, create)
        assert scratch_name not in drop_leftovers(any_database_url), create
        change(any_database_url, scratch_name, remove)
    assert scratch_name in drop_leftovers(any_database_url), "nothing is in it"


@pytest.mark.mysql
def test_a_database_that_may_only_seem_empty_stays(fresh_database):
    """A user without the rights to see routines and events cannot know whether it is empty."""
    url = fresh_database("mysql")
    user, name = f"balcao_{secrets.token_hex(4)}", SCRATCH_PREFIX + secrets.token_hex(6)
    address = sa.make_url(url)
    with backups.connected(url, "AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
        connection.execute(sa.text(f"CREATE USER {user} IDENTIFIED BY 'a-password-3f9a'"))
        try:
            connection.execute(sa.text(f"GRANT CREATE, DROP, SELECT ON *.* TO {user}"))
            connection.execute(sa.text(f"CREATE PROCEDURE {name}.p() SELECT 1"))
            # The address names another database: one that is in use stays in any case.
            theirs = address.set(username=user, password="a-password-3f9a", database="mysql")
            limited = theirs.render_as_string(hide_password=False)
            assert name not in drop_leftovers(limited)
            change(url, name, "DROP PROCEDURE p")
            assert name not in drop_leftovers(limited)
            connection.execute(sa.text(f"GRANT EXECUTE, EVENT ON *.* TO {user}"))
            assert name in drop_leftovers(limited)
        finally:
            connection.execute(sa.text(f"DROP USER {user}"))
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name}"))


@pytest.mark.parametrize("any_database_url", SERVERS, indirect=True)
def test_a_lock_connection_that_the_server_has_closed_fails_no_check(any_database_url):
    """It is silent while the copy is restored and compared."""
    with scratch_database(any_database_url) as copy:
        name = sa.make_url(copy).database
        with backups.connected(any_database_url, "AUTOCOMMIT") as connection:
            if connection.dialect.name == "postgresql":
                end = (
                    "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                    "AND pid <> pg_backend_pid() AND database = "
                    "(SELECT oid FROM pg_database WHERE datname = current_database())"
                )
                assert connection.scalars(sa.text(end)).all() == [True]
            else:
                holder = connection.scalar(sa.text("SELECT IS_USED_LOCK(:name)"), {"name": name})
                connection.execute(sa.text(f"KILL {int(holder)}"))
    with pytest.raises(sa.exc.DBAPIError, match=r"(?i)unknown database|does not exist"):
        change(any_database_url, str(name), "SELECT 1")
