"""Runs the bank's migrations, with a version table of its own beside the service's."""

from __future__ import annotations

from typing import Any

from alembic import context

from bank.models import BankBase

VERSION_TABLE = "bank_alembic_version"


def _is_the_banks(name: str | None, kind: str, _parents: Any) -> bool:
    # The service's tables may live in the same database and are none of ours.
    return kind != "table" or (name or "").startswith("bank_")


def _run() -> None:
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=BankBase.metadata,
        version_table=VERSION_TABLE,
        render_as_batch=True,
        compare_type=True,
        include_name=_is_the_banks,
    )
    with context.begin_transaction():
        context.run_migrations()


_run()
