"""The bank's database: engine, transactions, migrations."""

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

from core.runtime.database_hosts import FirstWritable
from core.runtime.secret_files import make_sqlite_private

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_TIMEOUT_MS = 10_000
_POOL_TIMEOUT_SECONDS = 10
_WRITES = "bank_writes"


class Database:
    """One engine with read transactions and write transactions.

    Do nothing slow inside a transaction: no HTTP, no Argon2, no sleep. SQLite has a pool of one
    connection, so a green thread that waits inside a transaction stops every other one.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._write_engine = self.engine.execution_options(**{_WRITES: True})

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A read session. Changes are rolled back; objects stay usable after it is closed."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """A read session in which every query sees the same snapshot of the data."""
        engine = self.engine
        if engine.dialect.name != "sqlite":  # SQLite reads a snapshot anyway
            engine = engine.execution_options(isolation_level="REPEATABLE READ")
        with Session(engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A write session: committed when the block ends, rolled back when it raises."""
        with Session(self._write_engine, expire_on_commit=False) as session, session.begin():
            yield session

    def upgrade(self) -> None:
        """Run the migrations. Raises RuntimeError if newer code has migrated the database."""
        with self._write_engine.begin() as connection:
            try:
                command.upgrade(alembic_config(connection), "head")
            except CommandError as error:
                raise RuntimeError(
                    f"The bank's database does not fit this version: {error}."
                ) from None

    def close(self) -> None:
        """Close the pool's connections."""
        self.engine.dispose()


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration; migrations run on `connection`, which is already open."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def _engine(url: str) -> Engine:
    parsed_url = make_url(url)
    if parsed_url.drivername in ("mysql", "mariadb"):
        parsed_url = parsed_url.set(drivername=f"{parsed_url.drivername}+pymysql")
    if parsed_url.get_backend_name() in ("postgresql", "postgres"):
        parsed_url = parsed_url.set(drivername="postgresql+psycopg")
    if parsed_url.get_backend_name() == "sqlite":
        engine = create_engine(
            parsed_url, pool_size=1, max_overflow=0, pool_timeout=_POOL_TIMEOUT_SECONDS
        )
        event.listen(engine, "do_connect", make_sqlite_private)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_on_sqlite)
        return engine
    if parsed_url.get_backend_name() in ("mysql", "mariadb"):
        parsed_url = parsed_url.update_query_dict({"charset": "utf8mb4"})
    engine = create_engine(
        parsed_url,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_size=10,
        pool_timeout=_POOL_TIMEOUT_SECONDS,
    )
    event.listen(engine, "do_connect", FirstWritable())
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    # SQLAlchemy's begin event opens each transaction. The driver would open it later, and DEFERRED.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS:d}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_on_sqlite(connection: Connection) -> None:
    # A DEFERRED transaction that reads first fails with SQLITE_BUSY once another one has written.
    is_writing = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")
