"""Make `flask db migrate` write revisions that run unchanged on every engine, up and down."""

from __future__ import annotations

import logging
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate.render import renderers
from alembic.operations import ops
from alembic.util import CommandError

from db_models.account import Id
from db_models.base import ExactString, UtcDateTime

logger = logging.getLogger("alembic.env")

IN_PLACE = (ops.AddColumnOp, ops.DropColumnOp, ops.CreateIndexOp, ops.DropIndexOp)
"""Operations that SQLite runs without copying the table."""
SCHEMAS = {"source_schema", "referent_schema"}
"""The keywords of a foreign key without `ondelete` and the like."""


class AddReferenceOp(ops.MigrateOperation):
    """Add a column together with its foreign key."""

    def __init__(self, add: ops.AddColumnOp, key: ops.CreateForeignKeyOp) -> None:
        self.add = add
        self.key = key


class DropReferenceOp(ops.MigrateOperation):
    """Drop a column together with its foreign key."""

    def __init__(self, drop: ops.DropColumnOp, key: ops.DropConstraintOp) -> None:
        self.drop = drop
        self.key = key


@renderers.dispatch_for(AddReferenceOp)
def render_add_reference(autogen_context: Any, operation: AddReferenceOp) -> str:
    """Write a call of `columns.add_column` with the key."""
    autogen_context.imports.add("from migrations import columns")
    call = renderers.dispatch(operation.add)(autogen_context, operation.add)
    key = operation.key
    target = f"{key.referent_table}.{key.remote_cols[0]}"
    reference = f"sa.ForeignKey({target!r}, name=op.f({key.constraint_name!r}))"
    return f"columns.{call.removeprefix('op.').removesuffix(')')}, foreign_key={reference})"


@renderers.dispatch_for(DropReferenceOp)
def render_drop_reference(autogen_context: Any, operation: DropReferenceOp) -> str:
    """Write a call of `columns.drop_column` with the name of the key."""
    autogen_context.imports.add("from migrations import columns")
    call = renderers.dispatch(operation.drop)(autogen_context, operation.drop)
    return (
        f"columns.{call.removeprefix('op.').removesuffix(')')}, {operation.key.constraint_name!r})"
    )


def render_item(kind: str, item: object, autogen_context: Any) -> Any:
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


def finish_revision(context: Any, _revision: object, directives: list[Any]) -> None:
    """Drop an empty revision; alter tables in place where every engine can.

    Raises CommandError for a change that SQLite cannot make.
    """
    if not getattr(context.config.cmd_opts, "autogenerate", False):
        return
    script = directives[0]
    if script.upgrade_ops.is_empty():
        directives[:] = []
        logger.info("No changes in schema detected.")
        return
    metadata = context.opts["target_metadata"]
    for container in (script.upgrade_ops, script.downgrade_ops):
        container.ops = [
            plain for operation in container.ops for plain in in_place(operation, metadata)
        ]


def in_place(operation: Any, metadata: sa.MetaData) -> list[Any]:
    """The operations on a table without their batch, unless an operation needs the batch.

    On SQLite a batch copies the table, which fails for generated columns. SQLite itself can add and
    drop columns in place, also a column with its foreign key.
    """
    if not isinstance(operation, ops.ModifyTableOps):
        return [operation]
    operations = with_references(operation.ops)
    others = [
        o for o in operations if not isinstance(o, (*IN_PLACE, AddReferenceOp, DropReferenceOp))
    ]
    if not others:
        return operations
    columns = metadata.tables[operation.table_name].columns
    if any(column.computed is not None for column in columns):
        raise CommandError(
            f"SQLite cannot rebuild {operation.table_name}, which has generated columns, and "
            f"{type(others[0]).__name__} needs that. Declare a unique rule as "
            "Index(..., unique=True); add a CHECK with columns.add_column (CONTRIBUTING.md)."
        )
    return [operation]


def with_references(operations: list[Any]) -> list[Any]:
    """Join each added or dropped column with its own foreign key."""
    keys: dict[str, Any] = {}
    for operation in operations:
        if isinstance(operation, ops.CreateForeignKeyOp) and is_plain_reference(operation):
            keys[operation.local_cols[0]] = operation
        elif isinstance(operation, ops.DropConstraintOp) and is_foreign_key(operation):
            keys[operation.to_constraint().column_keys[0]] = operation
    joined: list[Any] = []
    for operation in operations:
        if isinstance(operation, ops.AddColumnOp) and operation.column.name in keys:
            joined.append(AddReferenceOp(operation, keys.pop(operation.column.name)))
        elif isinstance(operation, ops.DropColumnOp) and operation.column_name in keys:
            joined.append(DropReferenceOp(operation, keys.pop(operation.column_name)))
        else:
            joined.append(operation)
    references = [o for o in joined if isinstance(o, (AddReferenceOp, DropReferenceOp))]
    return [o for o in joined if o not in [reference.key for reference in references]]


def is_plain_reference(operation: ops.CreateForeignKeyOp) -> bool:
    """Whether `columns.add_column` can write the whole key: one column and no `ondelete`."""
    return len(operation.local_cols) == 1 and not operation.kw.keys() - SCHEMAS


def is_foreign_key(operation: ops.DropConstraintOp) -> bool:
    """Whether the constraint is the foreign key of one column."""
    if operation.constraint_type != "foreignkey":
        return False
    return len(operation.to_constraint().column_keys) == 1
