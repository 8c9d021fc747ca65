"""Compare the database's schema with the code, and migrate it."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import structlog
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from flask_migrate import Migrate, upgrade
from sqlalchemy import exc

from config import ConfigurationError
from core.errors import DatabaseUnavailable
from db_models.base import db
from repository.driver_errors import is_away
from repository.schema_support import oldest_codes_of_service, one_migration_at_a_time

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
ATTEMPTS_MAX = 10
WAIT_INTERVAL_SECONDS = 1.0

log = structlog.get_logger()
Result = TypeVar("Result")


class DatabaseAway(ConfigurationError):
    """A database does not answer yet, or any more."""


def init_migrations(app: Flask) -> None:
    """Attach Flask-Migrate (`flask db …`)."""
    Migrate(app, db, directory=str(MIGRATIONS), render_as_batch=True, compare_type=True)


def revision_of_database() -> str | None:
    """The database's revision; None for an empty database. Raises ConfigurationError."""
    try:
        with db.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except (exc.DBAPIError, OSError) as error:
        where = db.engine.url.render_as_string(hide_password=True)
        raise not_opened(f"The database {where}", error) from None


def newest_revision() -> str:
    """The revision of this code."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head() or ""


def works_with(revision: str | None, oldest: Mapping[str, str | None]) -> bool:
    """Whether this code can read tables of this revision, older ones included.

    `oldest` is what the database's migrations declare: one that takes something away names the
    oldest code that works with it. This code is not older than that if it knows the name.
    """
    own = _known_revisions()
    return revision in own or (
        revision in oldest and all(name in own for name in oldest.values() if name is not None)
    )


def is_older(revision: str) -> bool:
    """Whether these tables are older than this code."""
    return revision in _known_revisions() and revision != newest_revision()


def _known_revisions() -> set[str]:
    return {one.revision for one in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}


def not_opened(database: str, error: exc.DBAPIError | OSError) -> ConfigurationError:
    """The error to raise for a database that cannot be opened: DatabaseAway if waiting may help."""
    if isinstance(error, OSError):  # a driver may not wrap the error of a reset connection
        return DatabaseAway(f"{database} cannot be opened: {error.strerror or error}.")
    # An SQLite file does not come back by itself.
    may_come = is_away(error) and not isinstance(error.orig, sqlite3.Error)
    kind = DatabaseAway if may_come else ConfigurationError
    return kind(f"{database} cannot be opened: {reason_of(error)}.")


def wait_for_database(prepare: Callable[[], Result], seconds: float) -> Result:
    """Call `prepare`, again and again while a database is away, for so many seconds.

    Raises ConfigurationError with the last reason.
    """
    limit: float | None = None
    while True:
        try:
            try:
                return prepare()
            except DatabaseUnavailable as error:
                cause = error.__cause__
                reason = reason_of(cause) if isinstance(cause, exc.DBAPIError) else error.detail
                raise DatabaseAway(f"A database went away during the start: {reason}.") from None
        except DatabaseAway as error:
            limit = limit or time.monotonic() + seconds
            if time.monotonic() >= limit:
                raise
            log.warning("start.waiting", reason=str(error))
            time.sleep(WAIT_INTERVAL_SECONDS)


def reason_of(error: exc.DBAPIError) -> str:
    """The first line of the driver's message, without its full stop."""
    # PyMySQL's errors hold a number and a message, those of the other drivers a message only.
    messages = [arg for arg in getattr(error.orig, "args", ()) if isinstance(arg, str) and arg]
    return messages[0].splitlines()[0].rstrip(".") if messages else type(error.orig).__name__


def require_schema(app: Flask, *, migrate: bool) -> None:
    """Check that this code works with the schema; migrate an older one if `migrate` allows it.

    Raises ConfigurationError for a newer database that does not support this code, and for an older
    one without `migrate`.
    """
    with app.app_context():
        script = ScriptDirectory(str(MIGRATIONS))
        head = script.get_current_head()
        current = revision_of_database()
        if current == head:
            return
        if current is not None and current not in _known_revisions():
            if works_with(current, oldest_codes_of_service()):
                log.info("schema.newer", database=current, code=head)
                return
            raise ConfigurationError(
                f"The database is newer than this code (revision {current}, not {head}): "
                "install the newer version, or restore the backup made before the upgrade."
            )
        if not migrate:
            raise ConfigurationError(
                f"The database is older than this code (revision {current}, not {head}): "
                "run `flask db upgrade` first."
            )
        _upgrade(head)


def _upgrade(head: str | None) -> None:
    """Migrate to the head, while another starting process may be doing the same."""
    for _ in range(ATTEMPTS_MAX):
        try:
            with one_migration_at_a_time(db.engine):
                upgrade(directory=str(MIGRATIONS))
        except exc.DBAPIError as error:
            reason = reason_of(error)
            time.sleep(random.uniform(0.2, 1.0))  # noqa: S311 - jitter, not a secret
            if revision_of_database() == head:
                return
        else:
            return
    raise ConfigurationError(f"The database could not be migrated to {head}: {reason}.")
