"""Queries on schema_support, before the service serves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, inspect, select, text

from db_models import SchemaSupport
from db_models.base import db

MIGRATION_LOCK_SECONDS = 20


def oldest_codes(connection: Connection) -> dict[str, str | None]:
    """The oldest code that works with each migration, by the migration's revision.

    None stands for a migration that works with all code from before it. The answer is empty if the
    database is older than the table.
    """
    if not inspect(connection).has_table(SchemaSupport.__tablename__):
        return {}
    rows = connection.execute(select(SchemaSupport.revision, SchemaSupport.oldest_code)).all()
    return {row.revision: row.oldest_code for row in rows}


def oldest_codes_of_service() -> dict[str, str | None]:
    """The same of the service's own database. Raises the driver's error."""
    with db.engine.connect() as connection:
        return oldest_codes(connection)


@contextmanager
def one_migration_at_a_time(engine: Engine) -> Iterator[None]:
    """Let processes that start together migrate after each other: the later ones find it done.

    MariaDB and MySQL commit each change of a table at once, so two migrations at the same time
    would meet each other's columns. On the other engines a migration that lost is as if it had
    never begun, and is tried again.
    """
    if not engine.dialect.name.startswith(("mysql", "mariadb")):
        yield
        return
    # Without a transaction: the server ends one whose client is silent. The lock ends with the
    # connection, also if this process is killed.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"SELECT GET_LOCK('balcao-migration', {MIGRATION_LOCK_SECONDS})"))
        try:
            yield
        finally:
            connection.execute(text("SELECT RELEASE_LOCK('balcao-migration')"))
