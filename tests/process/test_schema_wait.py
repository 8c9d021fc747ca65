"""`flask wait-for-schema`, with which the pods of a new version wait for their migration."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import downgrade, upgrade

from server.schema import MIGRATIONS
from tests.support.clocks import FrozenClock
from tests.support.service import ROOT, close_app, ready_app, settings_for


@pytest.fixture
def old_database(tmp_path: Path) -> Iterator[tuple[Flask, str]]:
    """An app and the URL of its database, which has no tables of the service any more."""
    url = f"sqlite:///{tmp_path / 'balcao.sqlite'}"
    app = ready_app(settings_for(url, tmp_path), FrozenClock())
    with app.app_context():
        downgrade(directory=str(MIGRATIONS), revision="base")
    yield app, url
    close_app(app)


def waiting(url: str, folder: Path, *options: str) -> subprocess.Popen[str]:
    """The command as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "wait-for-schema", *options],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": url, "INSTANCE_DIR": str(folder)},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_it_ends_when_the_migration_has_ended(old_database: tuple[Flask, str], tmp_path: Path):
    """It says once what it waits for, and changes nothing itself."""
    app, url = old_database
    with waiting(url, tmp_path) as process:
        assert process.stderr
        sentence = process.stderr.readline()
        with app.app_context():
            upgrade(directory=str(MIGRATIONS))
        rest = process.communicate(timeout=60)[1]

    assert sentence.startswith("Waiting: The database is older than this code")
    assert (process.returncode, rest) == (0, "")


def test_it_gives_up_with_the_reason(old_database: tuple[Flask, str], tmp_path: Path):
    """A cluster shows the last lines of a container that failed."""
    with waiting(old_database[1], tmp_path, "--seconds", "0") as process:
        errors = process.communicate(timeout=60)[1]

    assert process.returncode == 1
    assert errors.startswith("Error: The database is older than this code")
