"""Run the migrations on the app's engine, in one transaction where the database supports it."""

from contextlib import contextmanager
from logging.config import fileConfig

from alembic import context
from flask import current_app

from migrations.autogenerate import finish_revision, render_item
from migrations.deadlocks import repeated_after_deadlocks
from migrations.support import store_support

config = context.config
if config.config_file_name is not None:
    fileConfig(config.config_file_name, disable_existing_loggers=False)
migrate = current_app.extensions["migrate"]


def include_name(name, type_, _parents):
    """Skip the bank's tables: the bank may share the database and has its own migrations."""
    return not (type_ == "table" and name is not None and name.startswith("bank_"))


@contextmanager
def without_foreign_keys(connection):
    """Let SQLite rebuild a table that has references: dropping the old table would delete rows.

    This is SQLite's own procedure (lang_altertable.html, section 7). Foreign keys cannot be turned
    off within a transaction. Dangling references stop the migration afterwards.
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    driver_connection = connection.connection.dbapi_connection
    driver_connection.execute("PRAGMA foreign_keys = OFF")
    try:
        yield
    finally:
        driver_connection.execute("PRAGMA foreign_keys = ON")


def require_no_dangling_rows(connection):
    """Raise RuntimeError if a row refers to a row that does not exist."""
    if connection.dialect.name == "sqlite":
        dangling = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if dangling:
            raise RuntimeError(f"The migration left dangling references: {dangling[:5]}")


options = dict(migrate.configure_args)
options.setdefault("process_revision_directives", finish_revision)
with (
    migrate.db.engine.connect() as connection,
    without_foreign_keys(connection),
    repeated_after_deadlocks(connection),
):
    context.configure(
        connection=connection,
        target_metadata=migrate.db.metadata,
        include_name=include_name,
        render_item=render_item,
        on_version_apply=store_support,
        **options,
    )
    with context.begin_transaction():
        context.run_migrations()
        require_no_dangling_rows(connection)
    connection.commit()
