"""`flask db migrate` writes a revision that runs on every engine, up and down, as it stands."""

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
    """A revision that needs hands on one engine is found out by whoever runs that engine."""
    tables = Tables(any_empty_database_url)
    tables.insert(Payment, payment_row(tables.merchant_id()))
    folder = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    before = tables.rows("SELECT * FROM payments")
    with service.app_context():
        changed_models(service)
        migrate(directory=str(folder), message="notes", rev_id="9999")
        written = next(Path(folder, "versions").glob("9999_*.py")).read_text(encoding="utf-8")
        upgrade(directory=str(folder))
        check(directory=str(folder))  # ends the process where models and tables differ
        with_note = tables.rows("SELECT note, noted_at, note_key FROM payments")
        downgrade(directory=str(folder), revision="-1")

    for call in ("columns.instant()", "columns.exact(32)", "columns.row_id()"):
        assert call in written
    assert "db_models" not in written
    assert with_note == [(None, None, None)]
    assert tables.rows("SELECT * FROM payments") == before
    assert len(before) == 1
