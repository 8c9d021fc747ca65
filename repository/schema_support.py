"""Queries on schema_support, before the service serves."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, select

from db_models import SchemaSupport
from db_models.base import db


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
