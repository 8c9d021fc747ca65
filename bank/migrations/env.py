"""Runs the bank's migrations, which have a version table of their own."""

from __future__ import annotations

from typing import Any

from alembic import context

from bank.models import BankBase

VERSION_TABLE = "bank_alembic_version"


def _is_bank_table(name: str | None, kind: str, _parents: Any) -> bool:
    # The service's tables may stand in the same database; Alembic must ignore them.
    return kind != "table" or (name or "").startswith("bank_")


def _run() -> None:
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=BankBase.metadata,
        version_table=VERSION_TABLE,
        render_as_batch=True,
        compare_type=True,
        include_name=_is_bank_table,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
