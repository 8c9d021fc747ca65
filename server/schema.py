"""Whether the database's schema fits the code, and bringing it up to date."""

from __future__ import annotations

import random
import time
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import Migrate, upgrade
from sqlalchemy import exc

from config import ConfigurationError
from db_models.base import db

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
ATTEMPTS_MAX = 10


def init_migrations(app: Flask) -> None:
    """Attach Flask-Migrate (`flask db …`)."""
    Migrate(app, db, directory=str(MIGRATIONS), render_as_batch=True, compare_type=True)


def revision_of_database() -> str | None:
    """The revision the database stands at; None for an empty one. Raises ConfigurationError."""
    try:
        with db.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except exc.DBAPIError as error:
        where = db.engine.url.render_as_string(hide_password=True)
        reason = reason_of(error)
        raise ConfigurationError(f"The database {where} cannot be opened: {reason}.") from None


def reason_of(error: exc.DBAPIError) -> str:
    """The driver's own sentence, in one line and without its full stop."""
    # PyMySQL's errors are pairs of a number and a sentence; the others' are the sentence.
    said = [arg for arg in getattr(error.orig, "args", ()) if isinstance(arg, str) and arg]
    return said[0].splitlines()[0].rstrip(".") if said else type(error.orig).__name__


def require_schema(app: Flask, *, migrate: bool) -> None:
    """See to it that the schema is the code's; older ones are migrated where that is allowed.

    Raises ConfigurationError for a newer database, or for an older one that may not be migrated.
    """
    with app.app_context():
        script = ScriptDirectory(str(MIGRATIONS))
        head = script.get_current_head()
        found = revision_of_database()
        if found == head:
            return
        known = {revision.revision for revision in script.walk_revisions()}
        if found is not None and found not in known:
            raise ConfigurationError(
                f"The database is newer than this code (revision {found}, the code knows {head}): "
                "install the newer version, or restore the backup made before the upgrade."
            )
        if not migrate:
            raise ConfigurationError(
                f"The database is older than this code (revision {found}, needed {head}): "
                "run `flask db upgrade` first."
            )
        _upgrade(head)


def _upgrade(head: str | None) -> None:
    """Bring the schema up to date, while another process that starts may be doing the same."""
    for _ in range(ATTEMPTS_MAX):
        try:
            upgrade(directory=str(MIGRATIONS))
        except exc.DBAPIError as error:
            reason = reason_of(error)
            time.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - parts the two, guards nothing
            if revision_of_database() == head:
                return
        else:
            return
    raise ConfigurationError(f"The database could not be migrated to {head}: {reason}.")
