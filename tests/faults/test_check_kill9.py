"""`flask restore --check`, killed: the next check deletes the copy, and nothing else."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from repository import backups
from repository.scratch_databases import scratch_database
from server.backup.checks import drop_leftovers
from server.backup.copy_folders import FOLDER_PREFIX
from tests.support.plugin import SERVERS
from tests.support.service import ROOT, ServiceProcess

pytestmark = pytest.mark.slow

WITHIN_SECONDS = 60.0
FOREIGN = ("balcao_check_0123456789ab", "balcao_check_theirs")
"""One with a scratch database's name and a foreign table, and one with another name."""


def flask(instance: Path, url: str, *args: str) -> list[str]:
    """The command line of `flask`, with this database."""
    environment = ServiceProcess(instance, DATABASE_URL=url).environment
    variables = [f"{name}={value}" for name, value in environment.items()]
    return ["env", "-i", *variables, sys.executable, "-m", "flask", "--app", "app", *args]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_SECONDS, check=False
    )


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    limit = time.monotonic() + WITHIN_SECONDS
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.002)


def names_of(connection: sa.Connection) -> set[str]:
    """The databases on the server whose names begin as a scratch database's."""
    is_postgres = connection.dialect.name == "postgresql"
    names = "SELECT datname FROM pg_database" if is_postgres else "SHOW DATABASES"
    rows = connection.execute(sa.text(names))
    return {name for (name,) in rows if name.startswith("balcao_check_")}


def copies(url: str, folder: Path) -> set[str]:
    """The copies that are there now."""
    if url.startswith("sqlite"):
        return {path.name for path in folder.glob(f"{FOLDER_PREFIX}*")}
    with backups.connected(url, "AUTOCOMMIT") as connection:
        return names_of(connection)


@contextmanager
def stopped_check(command: list[str], url: str, folder: Path) -> Iterator[tuple[Any, str]]:
    """A check that stands still while its copy exists: the process, and the copy's name."""
    before = copies(url, folder)
    for _ in range(20):  # on a busy machine a check may have ended before it is stopped
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            while process.poll() is None and not copies(url, folder) - before:
                time.sleep(0.02)
            process.send_signal(signal.SIGSTOP)
            if left := copies(url, folder) - before:
                (copy,) = left
                yield process, copy
                return
        finally:
            process.kill()
            process.wait(10)
    raise AssertionError("no check was stopped while its copy existed")


def is_unused(url: str, copy: str) -> bool:
    """Whether nobody is connected to the copy: a tool of the killed check may go on a while."""
    if url.startswith("sqlite"):
        return True
    query = (
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = :name"
        if url.startswith("postgresql")
        else "SELECT COUNT(*) FROM information_schema.processlist WHERE db = :name"
    )
    with backups.connected(url, "AUTOCOMMIT") as connection:
        return connection.scalar(sa.text(query), {"name": copy}) == 0


@pytest.mark.timeout(240)
def test_the_next_check_deletes_the_copy_of_a_killed_one(any_database_url, tmp_path):
    """It takes as much space as the database, and somebody would have to find it."""
    url, folder = any_database_url, tmp_path / "backups"
    instance = tmp_path / "instance"
    backup = run(flask(instance, url, "backup", "--to", str(folder)))
    assert backup.returncode == 0, backup.stderr
    check = flask(instance, url, "restore", "--check", backup.stdout.splitlines()[0])
    with stopped_check(check, url, folder) as (_, copy):
        beside = run(check)
        assert beside.returncode == 0, beside.stderr
        assert copy in copies(url, folder), "the other check is alive"
        assert copy not in beside.stderr
    assert copy in copies(url, folder), "nobody has dropped it"
    wait_until(lambda: is_unused(url, copy))
    after = run(check)
    assert after.returncode == 0, after.stderr
    assert f"Dropped {copy}, the copy of a check that was killed." in after.stderr
    assert copy not in copies(url, folder)
    assert "Dropped" not in run(check).stderr


@pytest.mark.parametrize("any_database_url", SERVERS, indirect=True)
def test_databases_of_others_are_left_alone(any_database_url, tmp_path):
    """Whatever their names are; and one that somebody looks at is still needed."""
    url = any_database_url
    with scratch_database(url) as copy, backups.connected(url, "AUTOCOMMIT") as connection:
        name = sa.make_url(copy).database
        for foreign in FOREIGN:
            connection.execute(sa.text(f"DROP DATABASE IF EXISTS {foreign}"))
            connection.execute(sa.text(f"CREATE DATABASE {foreign}"))
        address = sa.make_url(url).set(database=FOREIGN[0]).render_as_string(hide_password=False)
        try:
            with backups.connected(address, "AUTOCOMMIT") as inside:
                inside.execute(sa.text("CREATE TABLE theirs (id INTEGER PRIMARY KEY)"))
            assert not {name, *FOREIGN} & set(drop_leftovers(tmp_path / "x", url))
            with backups.connected(address, "AUTOCOMMIT") as inside:
                inside.execute(sa.text("DROP TABLE theirs"))
                assert FOREIGN[0] not in drop_leftovers(tmp_path / "x", url), "in use"
            wait_until(lambda: is_unused(url, FOREIGN[0]))
            assert FOREIGN[0] in drop_leftovers(tmp_path / "x", url), "empty, unused and unlocked"
            assert {name, FOREIGN[1]} <= names_of(connection)
        finally:
            for foreign in FOREIGN:
                connection.execute(sa.text(f"DROP DATABASE IF EXISTS {foreign}"))
