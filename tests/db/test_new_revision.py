"""`flask db migrate` writes a revision that runs unchanged on every engine, up and down."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from flask import Flask
from flask_migrate import check, downgrade, migrate, upgrade

from db_models import Payment
from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string
from server.schema import MIGRATIONS
from tests.db.tables import Tables, payment_row
from tests.support.service import close_app, ready_app, settings_for


@pytest.fixture
def service(any_empty_database_url, tmp_path, clock):
    """The service on a database that it has migrated itself."""
    app = ready_app(settings_for(any_empty_database_url, tmp_path), clock)
    yield app
    close_app(app)


def copied_migrations(tmp_path: Path) -> Path:
    """The migrations in a folder that the test may write to."""
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def changed_models(app: Flask) -> None:
    """Give the app's migrations models with new columns on a payment, and one new table."""
    metadata = sa.MetaData(naming_convention=db.metadata.naming_convention)
    for table in db.metadata.tables.values():
        table.to_metadata(metadata)
    payments = metadata.tables["payments"]
    for column in (
        sa.Column("note", sa.String(140)),
        sa.Column("noted_at", UtcDateTime),
        sa.Column("note_key", exact_string(32)),
        sa.Column("noted_by_id", Id, sa.ForeignKey("accounts.id")),
    ):
        payments.append_column(column)
    sa.Index("ix_payments_note_key", payments.c.note_key, unique=True)
    sa.Table(
        "notes",
        metadata,
        sa.Column("id", Id, primary_key=True),
        sa.Column("payment_id", Id, sa.ForeignKey("payments.id"), nullable=False),
        sa.Column("code", exact_string(26), nullable=False, unique=True),
        sa.Column("noted_at", UtcDateTime, nullable=False),
        **TABLE_OPTIONS,  # type: ignore[call-overload]  # its stubs take no options as str
    )
    app.extensions["migrate"].db = SimpleNamespace(metadata=metadata, engine=db.engine)


def test_a_generated_revision_runs_both_ways_and_keeps_every_row(
    service, any_empty_database_url, tmp_path
):
    """Otherwise an operator of another engine is the first to find the error."""
    tables = Tables(any_empty_database_url)
    tables.insert(Payment, payment_row(tables.merchant_id()))
    folder = copied_migrations(tmp_path)
    before = tables.rows("SELECT * FROM payments")
    with service.app_context():
        changed_models(service)
        migrate(directory=str(folder), message="notes", rev_id="9999")
        text = next(Path(folder, "versions").glob("9999_*.py")).read_text(encoding="utf-8")
        upgrade(directory=str(folder))
        check(directory=str(folder))  # ends the process where models and tables differ
        with_note = tables.rows("SELECT note, noted_at, note_key, noted_by_id FROM payments")
        with pytest.raises(sa.exc.DBAPIError):
            tables.change("UPDATE payments SET noted_by_id = 4711")
        downgrade(directory=str(folder), revision="-1")

    for call in ("columns.instant()", "columns.exact(32)", "columns.row_id()"):
        assert call in text
    assert "db_models" not in text
    assert with_note == [(None, None, None, None)]
    assert tables.rows("SELECT * FROM payments") == before
    assert len(before) == 1


def unique_note(payments: sa.Table) -> None:
    """A unique constraint on an existing table."""
    payments.append_constraint(sa.UniqueConstraint(payments.c.note))


def key_of_two_columns(payments: sa.Table) -> None:
    """A foreign key of a new column and an old one."""
    columns = ["note", "merchant_id"]
    payments.append_constraint(sa.ForeignKeyConstraint(columns, ["accounts.role", "accounts.id"]))


def deleting_key(payments: sa.Table) -> None:
    """A foreign key that deletes payments together with the row that they refer to."""
    reference = sa.ForeignKey("accounts.id", ondelete="CASCADE")
    payments.append_column(sa.Column("read_by_id", Id, reference))


@pytest.mark.parametrize("change", [unique_note, key_of_two_columns, deleting_key])
def test_a_revision_that_sqlite_cannot_run_is_not_written(service, tmp_path, capsys, change):
    """The message says what to declare instead; another engine would hide the fault."""
    folder = copied_migrations(tmp_path)
    versions = sorted(Path(folder, "versions").glob("*.py"))
    with service.app_context():
        changed_models(service)
        change(service.extensions["migrate"].db.metadata.tables["payments"])
        with pytest.raises(SystemExit):
            migrate(directory=str(folder), message="notes", rev_id="9999")

    assert sorted(Path(folder, "versions").glob("*.py")) == versions
    assert "Index(..., unique=True)" in capsys.readouterr().err


CHECKED = '''
"""A column with a rule and a foreign key."""

import sqlalchemy as sa
from migrations import columns

revision = "9999"
down_revision = "NEWEST"
RULE = {"ck_payments_tip_small": "tip_centavos >= 0 AND tip_centavos <= amount_centavos"}


def upgrade():
    tip = sa.Column("tip_centavos", sa.BigInteger(), nullable=False, server_default="0")
    columns.add_column("payments", tip, **RULE)
    key = sa.ForeignKey("accounts.id", name="fk_payments_tipped_id")
    columns.add_column("payments", sa.Column("tipped_id", columns.row_id()), foreign_key=key)


def downgrade():
    columns.drop_column("payments", "tipped_id", "fk_payments_tipped_id")
    columns.drop_column("payments", "tip_centavos", *RULE)
'''


def test_a_column_with_constraints_is_added_to_payments_on_every_engine(
    service, any_empty_database_url, tmp_path
):
    """SQLite cannot copy a table with a generated column, so it gets constraints in place."""
    tables = Tables(any_empty_database_url)
    tables.insert(Payment, payment_row(tables.merchant_id()))
    folder = copied_migrations(tmp_path)
    newest = max(path.name[:4] for path in (folder / "versions").glob("*.py"))
    revision = CHECKED.replace("NEWEST", newest)
    (folder / "versions" / "9999_tip.py").write_text(revision, encoding="utf-8")
    before = tables.rows("SELECT * FROM payments")
    with service.app_context():
        upgrade(directory=str(folder))
        tables.change("UPDATE payments SET tip_centavos = amount_centavos")
        for wrong in (
            "UPDATE payments SET tip_centavos = amount_centavos + 1",
            "UPDATE payments SET tipped_id = 4711",
        ):
            with pytest.raises(sa.exc.DBAPIError):
                tables.change(wrong)
        with_tip = tables.rows("SELECT amount_centavos - tip_centavos, tipped_id FROM payments")
        downgrade(directory=str(folder), revision="-1")

    assert with_tip == [(0, None)]
    assert tables.rows("SELECT * FROM payments") == before
