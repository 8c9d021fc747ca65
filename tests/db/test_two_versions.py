"""During an upgrade two versions of the code use one schema: the newer one."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import downgrade, upgrade

from config import ConfigurationError
from core.clock import Clock
from server.schema import MIGRATIONS, newest_revision, require_schema
from tests.db.tables import Tables
from tests.realtime.clients import Watcher
from tests.support.parts import MissingPart, leave_out
from tests.support.servers import PrivateServer
from tests.support.service import (
    DEMO_PASSWORD,
    ROOT,
    ServiceProcess,
    close_app,
    ready_app,
    settings_for,
)

RULE = "0043"
"""The revision from which on each migration declares `oldest_code`."""
TRAFFIC_SECONDS = 60

SCRATCH = '''
"""A new table and a new column, which older code does not use."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{newest}"
oldest_code = {oldest_code!r}


def upgrade():
    op.add_column("payments", sa.Column("scratch", sa.String(20), nullable=True))
    op.create_table("scratches", sa.Column("id", sa.Integer(), primary_key=True))


def downgrade():
    op.drop_table("scratches")
    op.drop_column("payments", "scratch")
'''


def add_scratch_migration(folder: Path, oldest_code: str | None) -> None:
    """Write a migration on top of the newest one into these copied migrations."""
    text = SCRATCH.format(newest=newest_revision(), oldest_code=oldest_code)
    (folder / "versions" / "9999_scratch.py").write_text(text, encoding="utf-8")


# --- the declaration -----------------------------------------------------------------------------


def test_each_migration_says_which_code_works_with_it():
    """Without the declaration an old process that restarts in an upgrade cannot know."""
    script = ScriptDirectory(str(MIGRATIONS))
    revisions = list(script.walk_revisions())
    bound = [revision for revision in revisions if revision.revision >= RULE]
    assert bound
    for revision in bound:
        assert hasattr(revision.module, "oldest_code"), f"{revision.path} has no oldest_code"
        ancestors = {old.revision for old in script.iterate_revisions(revision.revision, "base")}
        assert revision.module.oldest_code in {None, *ancestors}, revision.path


@pytest.fixture
def service(any_empty_database_url, tmp_path, clock):
    """The service on a database that it has migrated itself."""
    app = ready_app(settings_for(any_empty_database_url, tmp_path / "instance"), clock)
    yield app
    close_app(app)


def test_code_starts_on_a_newer_schema_only_if_that_supports_it(
    service, any_empty_database_url, tmp_path
):
    """An expanding migration lets old processes restart; a contracting one stops them."""
    tables = Tables(any_empty_database_url)
    support = "SELECT revision, oldest_code FROM schema_support ORDER BY revision"
    before = tables.rows(support)
    assert before[-1][0] == newest_revision()
    for oldest_code, starts in ((None, True), (newest_revision(), True), ("9999", False)):
        folder = tmp_path / str(oldest_code)
        shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        add_scratch_migration(folder, oldest_code)
        with service.app_context():
            upgrade(directory=str(folder))
        assert tables.rows(support) == [*before, ("9999", oldest_code)]
        for may_migrate in (False, True):
            if starts:
                require_schema(service, migrate=may_migrate)
            else:
                with pytest.raises(ConfigurationError, match="newer than this code"):
                    require_schema(service, migrate=may_migrate)
        with service.app_context():
            downgrade(directory=str(folder), revision="-1")
        assert tables.rows(support) == before


# --- two versions at once ------------------------------------------------------------------------


def git(*args: str) -> bytes:
    """What git prints. Raises MissingPart without the repository's history."""
    try:
        return subprocess.run(
            ["git", *args], cwd=ROOT, check=True, capture_output=True, timeout=60
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise MissingPart("the history of the repository (git fetch --unshallow)") from error


def commit_before_newest_migration() -> str:
    """The last commit whose code does not know the newest migration.

    HEAD if that migration is not committed yet, or if it declares that older code does not work.
    """
    script = ScriptDirectory(str(MIGRATIONS))
    newest = script.get_revision("head")
    assert newest is not None
    if newest.module.oldest_code == newest.revision:
        return "HEAD"
    path = Path(newest.path).relative_to(ROOT)
    added_in = git("log", "--diff-filter=A", "--format=%H", "-1", "--", str(path)).decode().strip()
    if not added_in:
        return "HEAD"
    git("cat-file", "-e", f"{added_in}^")
    return f"{added_in}^"


def copy_of(commit: str, folder: Path) -> Path:
    """The files of a commit in this new folder."""
    with tarfile.open(fileobj=io.BytesIO(git("archive", commit))) as archive:
        archive.extractall(folder, filter="data")
    return folder


@dataclass
class Traffic:
    """Payments that one process creates and the next one confirms, without a pause."""

    services: list[ServiceProcess]
    confirmed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Send payments until the block ends."""
        thread = threading.Thread(target=self._send, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ending.set()
            thread.join(TRAFFIC_SECONDS)

    def wait_for_more(self) -> None:
        """Wait until every process has created and confirmed payments anew."""
        least = len(self.confirmed) + 2 * len(self.services)
        limit = time.monotonic() + TRAFFIC_SECONDS
        while len(self.confirmed) < least:
            assert time.monotonic() < limit, f"no payments any more: {self.faults}"
            time.sleep(0.02)

    def _send(self) -> None:
        number = 0
        while not self._ending.is_set():
            services = list(self.services)
            creator = services[number % len(services)]
            number += 1
            confirmer = services[number % len(services)]
            try:
                payment = creator.create(order_id=f"order-{number}")
                status, answer = confirmer.tell(payment)
                assert status == 200, (status, answer)
                self.confirmed.append(payment["id"])
            except Exception as error:
                self.faults.append(repr(error))


def watched_across(watched_at: ServiceProcess, changed_at: ServiceProcess) -> None:
    """A watcher of one process hears of money that another process has booked."""
    payment = changed_at.create()
    with Watcher(watched_at.url, ["websocket"]) as bob:
        assert bob.watch(payment)["status"] == "pending"
        assert changed_at.tell(payment)[0] == 200
        bob.wait_for("payment-confirmed")


def served_well(traffic: Traffic, survivor: ServiceProcess, *processes: ServiceProcess) -> None:
    """Nothing failed, and the process that is left has every payment."""
    assert traffic.faults == []
    for txid in traffic.confirmed:
        assert survivor.payment(txid)["status"] == "confirmed"
    for process in processes:
        assert "Traceback" not in process.log(), process.log()[-3000:]
        assert not re.search(r"status.{0,5}=.{0,5}5\d\d\b", process.log())


@pytest.fixture
def start(
    private_server: Callable[[str], PrivateServer], tmp_path: Path, database: str
) -> Iterator[Callable[..., ServiceProcess]]:
    """Start a process on the common database and Redis: start("name", code=folder)."""
    shared: dict[str, Any] = {
        "DATABASE_URL": database,
        "REDIS_URL": private_server("redis").url,
        "DEMO_PASSWORD": DEMO_PASSWORD,
    }
    with ExitStack() as running:

        def start_one(name: str, code: Path = ROOT) -> ServiceProcess:
            process = ServiceProcess(tmp_path / name, is_first_start=True, code=code, **shared)
            running.callback(process.kill)
            process.start(wait=False)
            return process

        yield start_one


@pytest.fixture
def database(fresh_database: Callable[[str], str]) -> str:
    """A migrated database in MariaDB."""
    return fresh_database("mysql")


@pytest.fixture
def operator(database: str, tmp_path: Path, clock: Clock) -> Iterator[Flask]:
    """This code's app on the database, for `flask db`."""
    app = ready_app(settings_for(database, tmp_path / "operator"), clock)
    yield app
    close_app(app)


@pytest.mark.slow
@pytest.mark.mysql
def test_processes_of_the_version_before_serve_on_the_new_schema(start, operator, tmp_path):
    """The old version is taken from the history, with its own files and its own schema."""
    try:
        old_code = copy_of(commit_before_newest_migration(), tmp_path / "old")
    except MissingPart as missing:
        leave_out(missing)
    with operator.app_context():
        old_revision = ScriptDirectory(str(old_code / "migrations")).get_current_head()
        assert old_revision is not None
        downgrade(directory=str(MIGRATIONS), revision=old_revision)
    one = start("one", old_code)
    one.wait_until_ready()  # it compiles all modules of the new folder, for the second one too
    two = start("two", old_code)
    two.wait_until_ready()
    traffic = Traffic([one, two])
    with traffic.running():
        traffic.wait_for_more()
        with operator.app_context():
            upgrade(directory=str(MIGRATIONS))
        traffic.wait_for_more()
        three = start("three")
        three.wait_until_ready()
        traffic.services = [one, two, three]
        traffic.wait_for_more()
        watched_across(one, three)
        watched_across(three, two)
        for old, rest in ((one, [two, three]), (two, [three])):
            traffic.services = rest
            traffic.wait_for_more()
            assert old.stop(60) == 0
        traffic.wait_for_more()
    served_well(traffic, three, one, two, three)


@pytest.mark.slow
@pytest.mark.mysql
def test_processes_of_this_version_restart_on_the_schema_of_the_next(start, operator, tmp_path):
    """A crash during the next upgrade must not end an old process for ever."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    add_scratch_migration(folder, None)
    one, two = start("one"), start("two")
    one.wait_until_ready()
    two.wait_until_ready()
    traffic = Traffic([one, two])
    with traffic.running():
        traffic.wait_for_more()
        with operator.app_context():
            upgrade(directory=str(folder))
        traffic.wait_for_more()
        traffic.services = [two]
        traffic.wait_for_more()
        one.kill()
        one.start()
        traffic.services = [one, two]
        traffic.wait_for_more()
        watched_across(one, two)
    served_well(traffic, one, one, two)
    assert "schema.newer" in one.log()
