"""Migrated template databases: the migrations run once for each engine, not for each test.

A template has the tables of service and bank and the bank's demo clients.
`tests/unit/test_support_templates.py` compares a copy with a newly migrated database.
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
    """Migrate an empty database; with `demo_accounts` add the accounts of a first start."""
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
    """The template file, created at its first use and deleted at the end of this process."""
    folder = new_folder("template")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / "template.sqlite"
    fill(f"sqlite:///{file}", demo_accounts=demo_accounts)
    return file


def copy_sqlite(file: Path, *, demo_accounts: bool = False) -> None:
    """Copy a migrated database to `file`, unless the file exists."""
    copies = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    shutil.copyfile(sqlite_template(demo_accounts=demo_accounts), copies)
    with suppress(FileExistsError):
        os.link(copies, file)  # never overwrites a file of another process
    copies.unlink()


class MySQLScript:
    """Statements that recreate a template on MariaDB or MySQL, which cannot copy databases."""

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
        """Create the tables in this empty database."""
        with closing(server.connection.cursor()) as cursor:
            cursor.execute(f"USE {name}")
            cursor.execute("SET foreign_key_checks = 0")  # the tables are in no order
            for statement in self.statements:
                cursor.execute(statement)
            cursor.execute("SET foreign_key_checks = 1")
            cursor.execute("USE information_schema")
