"""Whether a backup opens and adds up, tried with a restored copy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from payments.location import KeyRing
from repository import backups, scratch_databases
from repository.schema_support import oldest_codes
from server import schema
from server.backup import copy_folders
from server.backup.engines import tools_of
from server.backup.manifest import Manifest, sha256_of
from server.check_results import CheckResult

FAULTS_SHOWN = 5


def check_file(manifest: Manifest, path: Path) -> CheckResult:
    """Whether the file is the one that was written."""
    if not path.exists():
        return CheckResult("file", "fail", f"{path} is missing.")
    if sha256_of(path) != manifest.sha256:
        return CheckResult("file", "fail", f"{path} has changed since the backup was written.")
    return CheckResult("file", "ok", f"{manifest.bytes} bytes with the SHA-256 of the manifest.")


@contextmanager
def restored_copy(path: Path, url: str) -> Iterator[str]:
    """The address of a restored copy, on the same server or in a folder beside the backup."""
    _, tools = tools_of(url)
    if url.startswith("sqlite"):
        with copy_folders.copy_folder(path.parent) as folder:
            copy = f"sqlite:///{folder / copy_folders.COPY}"
            tools.restore(path, copy)
            yield copy
        return
    with scratch_databases.scratch_database(url) as copy:
        tools.restore(path, copy)
        yield copy


def drop_leftovers(path: Path, url: str) -> list[str]:
    """Delete the copies of checks whose processes were killed; return their names.

    `path` is the backup. Raises the driver's errors.
    """
    if url.startswith("sqlite"):
        return copy_folders.delete_leftovers(path.parent)
    return scratch_databases.drop_leftovers(url)


def check_copy(manifest: Manifest, url: str, keys: KeyRing) -> list[CheckResult]:
    """Compare a restored copy with the manifest and with the rules of the books."""
    with backups.connected(url) as connection:
        revision = backups.revision_of(connection)
        is_readable = schema.works_with(revision, oldest_codes(connection))
        results = [_schema(manifest, revision, is_readable)]
        if not backups.is_intact(connection):
            return [*results, CheckResult("pages", "fail", "SQLite finds damage in the file.")]
        results.append(_sums(manifest, backups.table_sums(connection)))
        if revision != schema.newest_revision():
            detail = "Not checked: the books are those of another version. Use that version."
            return [*results, CheckResult("books", "warn", detail)]
        for rule, number in backups.faults_of_books(connection).items():
            if number:
                results.append(
                    CheckResult("books", "fail", f"Not true of {number} payments: {rule}.")
                )
            else:
                results.append(CheckResult("books", "ok", f"True of all payments: {rule}."))
        results.append(_signing_key(backups.newest_signing_key(connection), keys))
    return results


def _schema(manifest: Manifest, revision: str | None, is_readable: bool) -> CheckResult:
    if revision != manifest.schema:
        detail = f"The copy has revision {revision}, not {manifest.schema} as in the manifest."
        return CheckResult("schema", "fail", detail)
    if not is_readable:
        detail = f"This code cannot use revision {revision}: install {manifest.version}."
        return CheckResult("schema", "fail", detail)
    return CheckResult("schema", "ok", f"Opens with revision {revision}.")


def _sums(manifest: Manifest, of_copy: backups.TableSums) -> CheckResult:
    wrong = [
        f"{table}.{name} is {of_copy.get(table, {}).get(name)}, not {value}"
        for table, sums in manifest.tables.items()
        for name, value in sums.items()
        if of_copy.get(table, {}).get(name) != value
    ]
    if wrong:
        first_ones = "; ".join(wrong[:FAULTS_SHOWN])
        return CheckResult(
            "sums", "fail", f"{len(wrong)} sums differ from the manifest: {first_ones}."
        )
    rows = sum(sums["rows"] for sums in of_copy.values())
    return CheckResult(
        "sums", "ok", f"{rows} rows in {len(of_copy)} tables add up as in the manifest."
    )


def _signing_key(sealed_pem: str | None, keys: KeyRing) -> CheckResult:
    if sealed_pem is None:
        return CheckResult("signing key", "ok", "None was created yet.")
    try:
        keys.renewed(sealed_pem)
    except ValueError:
        detail = "SECRET_KEY does not decrypt the newest key: restore the SECRET_KEY of that time."
        return CheckResult("signing key", "fail", detail)
    return CheckResult("signing key", "ok", "SECRET_KEY decrypts the newest key.")
