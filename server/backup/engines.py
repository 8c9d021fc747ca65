"""Dumping and restoring: SQLite by its backup API, servers by their own tools."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol

from db_models.base import db
from repository import backups
from repository.backups import TableSums
from server.backup.manifest import CHUNK, BackupError, new_private_file
from server.backup.sql_script import ScriptSums
from server.backup.tools import (
    check_mysql_tool,
    find_tool,
    mysql_options,
    postgres_options,
    run_tool,
    running_tool,
)


class EngineTools(Protocol):
    """What each engine can do. Every method raises BackupError and the driver's errors."""

    suffix: str

    def dump(self, url: str, path: Path, lock: int) -> TableSums:
        """Write the database into this empty file; return what exactly its rows add up to.

        `lock` is the descriptor that a tool inherits which opens the file itself.
        """

    def restore(self, path: Path, url: str) -> None:
        """Replace all tables by those of a backup, once everything that it takes is there."""


class SQLiteTools:
    """One file; a running service goes on writing while it is copied."""

    suffix = "sqlite3"

    def dump(self, url: str, path: Path, lock: int) -> TableSums:  # noqa: ARG002
        """Copy all pages in one step, beside writers."""
        source = backups.sqlite_file(url)
        if not source.exists():
            raise BackupError(f"There is no database at {source}.")
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(path)) as copy:
            live.backup(copy)
        with backups.connected(f"sqlite:///{path}") as connection:
            return backups.table_sums(connection)

    def restore(self, path: Path, url: str) -> None:
        """Replace the file."""
        target = backups.sqlite_file(url)
        with new_private_file(target) as temporary:
            shutil.copyfile(path, temporary)
            # Last, because the log is a part of the old database while that is in its place.
            for suffix in ("-wal", "-shm"):
                target.with_name(target.name + suffix).unlink(missing_ok=True)


class MySQLTools:
    """MariaDB and MySQL: a script of SQL, compressed."""

    suffix = "sql.gz"

    def dump(self, url: str, path: Path, lock: int) -> TableSums:  # noqa: ARG002
        """Read one snapshot; count the script while it is written."""
        is_mariadb = "MariaDB" in backups.server_version(url)
        names = ("mariadb-dump", "mysqldump") if is_mariadb else ("mysqldump", "mariadb-dump")
        tool = find_tool(*names, package="mariadb-client")
        check_mysql_tool(tool, url)
        sums = ScriptSums(tuple(table.name for table in db.metadata.sorted_tables))
        with mysql_options(url) as options:
            command = [
                tool, *options.arguments, "--single-transaction", "--quick", "--skip-lock-tables",
                "--no-tablespaces", "--skip-triggers", "--hex-blob", "--complete-insert",
                "--skip-extended-insert", str(backups.address_of(url).database),
            ]  # fmt: skip
            with (
                path.open("wb") as file,
                gzip.GzipFile("", "wb", 3, file) as script,
                running_tool(command, options.variables, options.descriptors) as pipes,
            ):
                for line in pipes.output:
                    sums.count(line)
                    script.write(line)
        if not sums.is_complete:
            raise BackupError("The dump has no end: the tool stopped before it had read all rows.")
        return sums.tables

    def restore(self, path: Path, url: str) -> None:
        """Run the script."""
        tool = find_tool("mariadb", "mysql", package="mariadb-client")
        check_mysql_tool(tool, url)
        backups.drop_tables(url)
        with mysql_options(url) as options:
            command = [tool, *options.arguments, str(backups.address_of(url).database)]
            with (
                gzip.open(path, "rb") as script,
                running_tool(command, options.variables, options.descriptors) as pipes,
                suppress(BrokenPipeError),  # a tool that ends early says why itself
            ):
                shutil.copyfileobj(script, pipes.input, CHUNK)


class PostgresTools:
    """PostgreSQL's custom format; the dump and the sums read one exported snapshot."""

    suffix = "dump"

    def dump(self, url: str, path: Path, lock: int) -> TableSums:
        """Dump the snapshot that our own transaction counts."""
        tool = find_tool("pg_dump", package="postgresql-client")
        with (
            backups.exported_snapshot(url) as (snapshot, connection),
            postgres_options(backups.postgres_place(url)) as options,
        ):
            command = [
                tool, *options.arguments, "--format=custom", "--no-owner", "--no-privileges",
                f"--snapshot={snapshot}", f"--file={path}",
            ]  # fmt: skip
            run_tool(command, options.variables, [*options.descriptors, lock])
            return backups.table_sums(connection)

    def restore(self, path: Path, url: str) -> None:
        """Restore all tables in one transaction."""
        tool = find_tool("pg_restore", package="postgresql-client")
        backups.drop_tables(url)
        with postgres_options(backups.postgres_place(url)) as options:
            command = [
                tool, *options.arguments, "--no-owner", "--no-privileges", "--exit-on-error",
                "--single-transaction", str(path),
            ]  # fmt: skip
            run_tool(command, options.variables, options.descriptors)


def tools_of(url: str) -> tuple[str, EngineTools]:
    """The name of the engine at this address, and its tools."""
    if url.startswith("sqlite"):
        return "sqlite", SQLiteTools()
    if url.startswith("postgresql"):
        return "postgresql", PostgresTools()
    return "mysql", MySQLTools()
