"""`scripts.bank_revision` writes a revision that runs on every engine, up and down."""

from __future__ import annotations

import shutil
from pathlib import Path

import sqlalchemy as sa
from alembic import command

from bank.database import Database, alembic_config
from bank.models import BankBase, UtcDateTime, exact_text
from bank.money.demo import migrate
from scripts.bank_revision import write_revision


def changed_models() -> sa.MetaData:
    """The bank's models with new columns on a client, and one new table."""
    metadata = sa.MetaData(naming_convention=BankBase.metadata.naming_convention)
    for table in BankBase.metadata.tables.values():
        table.to_metadata(metadata)
    payers = metadata.tables["bank_payers"]
    payers.append_column(sa.Column("nickname", exact_text(32)))
    payers.append_column(sa.Column("named_at", UtcDateTime()))
    sa.Index("ix_bank_payers_nickname", payers.c.nickname, unique=True)
    sa.Table(
        "bank_notes",
        metadata,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("payer_id", sa.ForeignKey("bank_payers.id"), nullable=False),
        sa.Column("written_at", UtcDateTime(), nullable=False),
    )
    return metadata


def test_a_generated_revision_of_the_bank_runs_both_ways_and_keeps_every_row(
    any_empty_database_url, tmp_path, monkeypatch
):
    """A revision that fails on one engine would break every bank on that engine."""
    migrate(any_empty_database_url)
    folder = tmp_path / "migrations"
    shutil.copytree(str(alembic_config().get_main_option("script_location")), folder)
    monkeypatch.setattr(BankBase, "metadata", changed_models())
    write_revision("notes", "bank_9999", str(folder))
    script = next(Path(folder, "versions").glob("bank_9999_*.py")).read_text(encoding="utf-8")
    database = Database(any_empty_database_url)
    before = clients(database)

    with database.engine.begin() as connection:
        config = alembic_config(connection)
        config.set_main_option("script_location", str(folder))
        command.upgrade(config, "head")
        command.check(config)  # Raises an error if models and tables differ.
    upgraded = clients(database)
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "-1")

    assert "bank.models" not in script
    assert len(before) == 3
    assert upgraded == [{**client, "nickname": None, "named_at": None} for client in before]
    assert clients(database) == before
    database.close()


def clients(database: Database) -> list[dict[str, object]]:
    """The rows of the bank's clients."""
    with database.engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT * FROM bank_payers ORDER BY id")).mappings()
        return [dict(row) for row in rows]
