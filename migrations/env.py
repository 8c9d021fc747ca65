"""Run the migrations on the app's engine, in one transaction where the database supports it."""

import logging
from contextlib import contextmanager
from logging.config import fileConfig

from alembic import context
from alembic.operations import ops
from flask import current_app

from db_models.account import Id
from db_models.base import ExactString, UtcDateTime

config = context.config
if config.config_file_name is not None:
    fileConfig(config.config_file_name, disable_existing_loggers=False)
logger = logging.getLogger("alembic.env")
migrate = current_app.extensions["migrate"]


def include_name(name, type_, _parents):
    """Skip the bank's tables: the bank may share the database and has its own migrations."""
    return not (type_ == "table" and name is not None and name.startswith("bank_"))


def render_item(kind, item, autogen_context):
    """Render our own types as calls of migrations/columns.py; False leaves an item to Alembic."""
    if kind != "type":
        return False
    if isinstance(item, UtcDateTime):
        call = "columns.instant()"
    elif isinstance(item, ExactString):
        call = f"columns.exact({item.impl_instance.length})"
    elif item is Id:
        call = "columns.row_id()"
    else:
        return False
    autogen_context.imports.add("from migrations import columns")
    return call


PLAIN_ALTERATIONS = (ops.AddColumnOp, ops.DropColumnOp, ops.CreateIndexOp, ops.DropIndexOp)


def finish_revision(_context, _revision, directives):
    """Drop an empty revision; alter tables in place where every engine can."""
    if not getattr(config.cmd_opts, "autogenerate", False):
        return
    script = directives[0]
    if script.upgrade_ops.is_empty():
        directives[:] = []
        logger.info("No changes in schema detected.")
        return
    for container in (script.upgrade_ops, script.downgrade_ops):
        container.ops = [plain for operation in container.ops for plain in unbatched(operation)]


def unbatched(operation):
    """The operations on a table without their batch, unless an operation needs the batch.

    On SQLite a batch copies the table to drop a column, which fails for generated columns. SQLite
    itself can add and drop columns in place.
    """
    if isinstance(operation, ops.ModifyTableOps) and all(
        isinstance(inner, PLAIN_ALTERATIONS) for inner in operation.ops
    ):
        return operation.ops
    return [operation]


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
with migrate.db.engine.connect() as connection, without_foreign_keys(connection):
    context.configure(
        connection=connection,
        target_metadata=migrate.db.metadata,
        include_name=include_name,
        render_item=render_item,
        **options,
    )
    with context.begin_transaction():
        context.run_migrations()
        require_no_dangling_rows(connection)
    connection.commit()
