"""Runs the migrations on the app's own engine, in one transaction where the database can."""

import logging
from contextlib import contextmanager
from logging.config import fileConfig

from alembic import context
from flask import current_app

config = context.config
if config.config_file_name is not None:
    fileConfig(config.config_file_name, disable_existing_loggers=False)
logger = logging.getLogger("alembic.env")
migrate = current_app.extensions["migrate"]


def include_name(name, type_, _parents):
    """Leave the bank's tables alone: it may share the database, and migrates for itself."""
    return not (type_ == "table" and name is not None and name.startswith("bank_"))


def drop_empty_revision(_context, _revision, directives):
    """`flask db migrate` writes no revision when nothing changed."""
    if getattr(config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives[:] = []
        logger.info("No changes in schema detected.")


@contextmanager
def without_foreign_keys(connection):
    """Let SQLite rebuild a table that others point at: dropping the old one would drop its rows.

    It is SQLite's own procedure (lang_altertable.html, section 7), and cannot be chosen within a
    transaction. What points nowhere afterwards stops the migration.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    raw = connection.connection.dbapi_connection
    raw.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys = ON")


def require_no_dangling_rows(connection):
    """Raise where a row points at one that is gone."""
    if connection.dialect.name == "sqlite":
        dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if dangling:
            raise RuntimeError(f"The migration left rows that point nowhere: {dangling[:5]}")


options = dict(migrate.configure_args)
options.setdefault("process_revision_directives", drop_empty_revision)
with migrate.db.engine.connect() as connection, without_foreign_keys(connection):
    context.configure(
        connection=connection,
        target_metadata=migrate.db.metadata,
        include_name=include_name,
        **options,
    )
    with context.begin_transaction():
        context.run_migrations()
        require_no_dangling_rows(connection)
    connection.commit()
