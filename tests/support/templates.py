"""Migrated databases to copy from: the migrations run once for each engine, not for each test.

A template is what the migrations make of an empty database, the service's and the bank's, with the
bank's demo clients. `tests/db/test_templates.py` compares a copy with a database just migrated.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
from contextlib import closing, suppress
from functools import lru_cache
from pathlib import Path

import sqlalchemy as sa

from accounts.demo import ensure_demo_merchant
from app import create_app
from bank.money.demo import migrate
from blueprints.payer.demo import ensure_demo_payer
from core.clock import SystemClock
from server.schema import require_schema
from tests.support.places import new_folder
from tests.support.service import close_app, settings_for


def fill(url: str, *, demo_accounts: bool = False) -> None:
    """Migrate an empty database; `demo_accounts` makes those of a first start as well."""
    folder = new_folder("filling")
    settings = settings_for(url, folder)
    app = create_app(settings, SystemClock())
    try:
        require_schema(app, migrate=True)
        if demo_accounts:
            with app.app_context():
                ensure_demo_merchant(settings)
                ensure_demo_payer(settings)
    finally:
        close_app(app)
        shutil.rmtree(folder, ignore_errors=True)
    migrate(url)


@lru_cache(maxsize=2)
def sqlite_template(*, demo_accounts: bool = False) -> Path:
    """The file to copy, made when it is first asked for and deleted with this process."""
    folder = new_folder("template")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / "template.sqlite"
    fill(f"sqlite:///{file}", demo_accounts=demo_accounts)
    return file


def copy_sqlite(file: Path, *, demo_accounts: bool = False) -> None:
    """Put a migrated database there, unless there is a file already."""
    copies = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    shutil.copyfile(sqlite_template(demo_accounts=demo_accounts), copies)
    with suppress(FileExistsError):
        os.link(copies, file)  # never over a file that another process made meanwhile
    copies.unlink()


class MySQLScript:
    """What makes a database like a template of MariaDB or MySQL, which cannot copy one."""

    def __init__(self, server: sa.Connection, template: str) -> None:
        """Read the template's tables."""
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = :name"
        self.statements: list[str] = []
        copies: list[str] = []
        for table in server.scalars(sa.text(query), {"name": template}).all():
            statement = server.exec_driver_sql(f"SHOW CREATE TABLE {template}.{table}").one()[1]
            self.statements.append(str(statement))
            if server.scalar(sa.text(f"SELECT EXISTS (SELECT 1 FROM {template}.{table})")):  # noqa: S608
                copies.append(f"INSERT INTO {table} SELECT * FROM {template}.{table}")  # noqa: S608
        self.statements += copies

    def run(self, server: sa.Connection, name: str) -> None:
        """Make the tables in this empty database."""
        with closing(server.connection.cursor()) as cursor:
            cursor.execute(f"USE {name}")
            cursor.execute("SET foreign_key_checks = 0")  # tables come in no order of their own
            for statement in self.statements:
                cursor.execute(statement)
            cursor.execute("SET foreign_key_checks = 1")
            cursor.execute("USE information_schema")
