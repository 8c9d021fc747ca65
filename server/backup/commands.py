"""`flask backup` and `flask restore`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy import exc

from config import ConfigurationError, current_settings
from core.clock import rfc3339
from core.version import VERSION, read_revision
from db_models.base import db
from payments.location import key_ring
from repository import backups
from repository.database import now
from repository.hosts import writable_address
from server import schema
from server.backup.checks import check_copy, check_file, drop_leftovers, restored_copy
from server.backup.engines import tools_of
from server.backup.folder_locks import backup_folder
from server.backup.manifest import (
    BackupError,
    Manifest,
    new_private_file,
    read_manifest,
    sha256_of,
    write_manifest,
)
from server.check_results import CheckResult, end_with


def register(app: Flask) -> None:
    """Add the commands to `flask`."""
    app.cli.add_command(backup)
    app.cli.add_command(restore)


@click.command("backup")
@click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="The folder for the backup; by default backups/ in INSTANCE_DIR.")  # fmt: skip
@with_appcontext
def backup(folder: Path | None) -> None:
    """Back up the database while the service runs, and print the path of the manifest.

    SECRET_KEY is not in the backup: store it in a different place.
    """
    settings = current_settings()
    folder = folder or settings.instance_dir / "backups"
    with _sentences():
        url = _address()
        engine, tools = tools_of(url)
        revision = schema.revision_of_database()
        if revision is None:
            raise BackupError("The database is empty: there is nothing to back up.")
        name = f"balcao-{now():%Y%m%dT%H%M%S.%fZ}.{tools.suffix}"
        with backup_folder(folder) as place:
            for leftover in place.deleted:
                click.echo(f"Deleted {leftover}, which a killed backup has left.", err=True)
            with new_private_file(folder / name) as temporary:
                sums = tools.dump(url, temporary, place.lock)
                size, digest = temporary.stat().st_size, sha256_of(temporary)
            if schema.revision_of_database() != revision:
                raise BackupError("The database was migrated meanwhile: run the backup again.")
            manifest = Manifest(
                file=name, engine=engine, created_at=rfc3339(now()), version=VERSION,
                revision=read_revision(), schema=revision, bytes=size, sha256=digest, tables=sums,
            )  # fmt: skip
            path = write_manifest(folder, manifest)
    rows = sum(table["rows"] for table in sums.values())
    click.echo(f"{path}\n{rows} rows, {size} bytes. Try it: flask restore --check {path}")


@click.command("restore")
@click.argument("path", metavar="BACKUP", type=click.Path(path_type=Path))
@click.option("--check", "only_check", is_flag=True,
              help="Restore into a database that is dropped again, and add up.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a database that has tables.")
@with_appcontext
def restore(path: Path, only_check: bool, force: bool) -> None:
    """Put BACKUP into the database of DATABASE_URL. Stop the service first.

    With --check the database stays as it is: the backup is restored beside it, opened, compared
    with its manifest, and dropped. The exit status is 1 if anything is wrong.
    """
    with _sentences():
        url = _address()
        engine, tools = tools_of(url)
        manifest, file = read_manifest(path)
        if manifest.engine != engine:
            raise BackupError(
                f"This is a backup of {manifest.engine}, and DATABASE_URL names {engine}."
            )
        file_result = check_file(manifest, file)
        if file_result.state == "fail":
            end_with([file_result])
        if only_check:
            results = _checked(manifest, file, url)
        else:
            if not force and backups.has_tables(url):
                raise BackupError("The database has tables. Use --force to replace all of them.")
            tools.restore(file, url)
            results = check_copy(manifest, url, key_ring())
    end_with([file_result, *results])


def _checked(manifest: Manifest, file: Path, url: str) -> list[CheckResult]:
    """The results about a restored copy, which is gone afterwards."""
    try:
        for name in drop_leftovers(file, url):
            click.echo(f"Dropped {name}, the copy of a check that was killed.", err=True)
        with restored_copy(file, url) as copy:
            return check_copy(manifest, copy, key_ring())
    except exc.DBAPIError as error:
        raise BackupError(
            f"The copy cannot be restored: {schema.reason_of(error)}. The user in DATABASE_URL "
            "needs the right to create and drop databases named balcao_check_…: run the check as "
            "another user, with DATABASE_URL in the environment."
        ) from None


def _address() -> str:
    """Where the service's database is: its file, or one server that accepts writes."""
    # The engine's address, because a relative path of SQLite is relative to a folder of the app.
    return writable_address(db.engine.url).render_as_string(hide_password=False)


@contextmanager
def _sentences() -> Iterator[None]:
    """End the command with one sentence for what can be expected to go wrong."""
    try:
        yield
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise click.ClickException(f"{where}{error.strerror or error}.") from None
    except sqlite3.Error as error:  # of the backup API, without SQLAlchemy
        raise click.ClickException(f"The copy cannot be written: {error}.") from None
    except exc.DBAPIError as error:
        raise click.ClickException(f"The database failed: {schema.reason_of(error)}.") from None
