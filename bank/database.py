"""The bank's own database: engine, transactions, migrations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.orm import Session

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_TIMEOUT_MS = 10_000
_POOL_TIMEOUT_SECONDS = 10
_WRITES = "bank_writes"


class Database:
    """One engine, and two kinds of transaction: `reading()` and `writing()`.

    Nothing slow may happen inside either: no HTTP, no Argon2, no sleep. On SQLite there is a
    single connection, since a green thread that waits while it holds a write transaction would
    stop every other one.
    """

    def __init__(self, url: str) -> None:
        """Make the engine; no connection is opened yet."""
        self.engine = _engine(url)
        self._write_engine = self.engine.execution_options(**{_WRITES: True})

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session to read with; whatever it changed is dropped, and what it read stays usable."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A session whose every query sees the same instant, whatever is written meanwhile."""
        engine = self.engine
        if engine.dialect.name != "sqlite":  # there a reading transaction is a snapshot anyway
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with Session(engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction: committed when the block ends, rolled back when it raises."""
        with Session(self._write_engine, expire_on_commit=False) as session, session.begin():
            yield session

    def upgrade(self) -> None:
        """Bring the tables up to date. Raises RuntimeError when newer code wrote them."""
        with self._write_engine.begin() as connection:
            try:
                command.upgrade(alembic_config(connection), "head")
            except CommandError as error:
                raise RuntimeError(
                    f"The bank's database does not fit this version: {error}."
                ) from None

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def alembic_config(connection: Connection | None = None) -> Config:
    """The configuration of the bank's migrations, run on a connection that is already open."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.drivername in ("mysql", "mariadb"):
        parsed = parsed.set(drivername=f"{parsed.drivername}+pymysql")
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+pg8000")
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(
            parsed, pool_size=1, max_overflow=0, pool_timeout=_POOL_TIMEOUT_SECONDS
        )
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_on_sqlite)
        return engine
    if parsed.get_backend_name() in ("mysql", "mariadb"):
        parsed = parsed.update_query_dict({"charset": "utf8mb4"})
    return create_engine(
        parsed,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_size=10,
        pool_timeout=_POOL_TIMEOUT_SECONDS,
    )


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # The driver must not open transactions by itself: it would do so late, and never IMMEDIATE.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS:d}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_on_sqlite(connection: Connection) -> None:
    # A write transaction that began by reading could not be promoted while another one writes.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
