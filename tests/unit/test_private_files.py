"""Files of secrets and of SQLite may be read by their owner only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa

from bank.database import Database
from core.runtime.secret_files import make_private
from repository.connections import prepare_sqlite


def modes(folder: Path) -> dict[str, int]:
    """The permissions of each file in the folder."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def _usual_umask():
    """As on most servers: new files are readable for everybody."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def write_as_service(path: Path) -> None:
    """Write a table as the service does, and leave the journals open."""
    engine = sa.create_engine(f"sqlite:///{path}")
    prepare_sqlite(engine)
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE TABLE payers (document TEXT)"))
        connection.commit()
        assert len(modes(path.parent)) == 3
        assert set(modes(path.parent).values()) == {0o600}
    engine.dispose()


def test_the_services_database_and_its_journals_are_private(tmp_path):
    """They hold payers' documents and, encrypted, signing keys."""
    write_as_service(tmp_path / "balcao.sqlite3")


def test_a_database_of_an_earlier_version_becomes_private(tmp_path):
    """It was created with mode 644."""
    path = tmp_path / "balcao.sqlite3"
    path.touch(mode=0o644)
    assert modes(tmp_path) == {"balcao.sqlite3": 0o644}
    write_as_service(path)


def test_the_banks_database_is_private(tmp_path):
    """It has a connection of its own."""
    database = Database(f"sqlite:///{tmp_path / 'bank.sqlite3'}")
    with database.writing() as session:
        session.execute(sa.text("CREATE TABLE cards (number TEXT)"))
    assert set(modes(tmp_path).values()) == {0o600}
    database.close()


def test_a_file_that_cannot_be_created_is_left_to_sqlite(tmp_path):
    """Its message names the reason, and the start prints it."""
    path = tmp_path / "nowhere" / "balcao.sqlite3"
    make_private(path)
    assert not path.exists()
    with pytest.raises(sa.exc.OperationalError, match="unable to open"):
        write_as_service(path)
    engine = sa.create_engine("sqlite://")
    prepare_sqlite(engine)
    with engine.connect() as connection:
        assert connection.scalar(sa.text("SELECT 1")) == 1
