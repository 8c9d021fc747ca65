"""Runs the bank's migrations, which have a version table of their own."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from bank.mandates import tables as _mandate_tables  # noqa: F401 - adds its tables
from bank.models import BankBase, UtcDateTime

VERSION_TABLE = "bank_alembic_version"


def _is_bank_table(name: str | None, kind: str, _parents: Any) -> bool:
    # The service's tables may be in the same database; Alembic must ignore them.
    return kind != "table" or (name or "").startswith("bank_")


def _render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    # A released revision must not change with bank.models, so it names the plain type.
    if kind != "type" or not isinstance(item, UtcDateTime):
        return False
    autogen.imports.add("from sqlalchemy.dialects import mysql")
    return 'sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")'


def _run() -> None:
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=BankBase.metadata,
        version_table=VERSION_TABLE,
        compare_type=True,
        include_name=_is_bank_table,
        render_item=_render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
