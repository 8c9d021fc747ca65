"""The pools of connections: how they are opened, kept, found dead and given back.

Two pools where the engine is a server: one for units of work, one whose connections commit by
themselves, for what only reads. At READ COMMITTED a transaction gives reads nothing, and to end one
costs a round trip.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, cast

from sqlalchemy import Connection, CursorResult, Engine, Executable, event, exc, text
from sqlalchemy.orm import Session

from core.runtime.hub import system_poll

SQLITE_BUSY_SECONDS = 5
PINGED_AFTER_SECONDS = 30.0
"""How long a connection may rest unasked: a firewall forgets without telling either end."""
ENDED = "balcao_ended"
"""In a connection's `info`: its transaction was ended, there is nothing to roll back."""
_RESTING_SINCE = "balcao_resting_since"


def engine_options(url: str, green: bool) -> dict[str, Any]:
    """Options of `create_engine` for this URL.

    SQLite under a green hub gets one connection: a writer that yields while another greenlet waits
    for the file lock would freeze the whole process for the busy timeout.
    """
    if url.startswith("sqlite"):
        options: dict[str, Any] = {"connect_args": {"timeout": SQLITE_BUSY_SECONDS}}
        if green and ":memory:" not in url:
            options |= {"pool_size": 1, "max_overflow": 0, "pool_timeout": 5}
        elif ":memory:" not in url:
            options |= {"pool_size": 20, "max_overflow": 20, "pool_timeout": 10}
        return options
    connect = {"connect_timeout": 3} if "mysql" in url or "mariadb" in url else {"timeout": 10}
    if "mysql" in url or "mariadb" in url:
        connect |= {"read_timeout": 30, "write_timeout": 30}
    return {
        "isolation_level": "READ COMMITTED",
        "pool_size": 15,
        "max_overflow": 10,
        "pool_timeout": 10,
        "pool_recycle": 1800,
        "connect_args": connect,
    }


def reading_options(options: dict[str, Any]) -> dict[str, Any]:
    """The same for connections that only read: each statement stands for itself."""
    return {
        **options,
        "isolation_level": "AUTOCOMMIT",
        "pool_reset_on_return": None,
        "skip_autocommit_rollback": True,
    }


def prepare_sqlite(engine: Engine) -> None:
    """Make SQLite durable, strict, and able to read while another writes."""

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # what was answered 200 survives a power cut
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer says so at once: a reader that turns writer fails when another wrote meanwhile.
        options = connection.get_execution_options()
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")


def find_dead_connections(engine: Engine) -> None:
    """Replace what the server closed before it is used.

    The pool's own ping is a round trip for each use. A look at the socket costs a system call:
    a server that closed its end made it readable. What rested long is pinged all the same.
    """
    readable = _look()

    @event.listens_for(engine, "checkin")
    def _rest(_connection: Any, record: Any) -> None:
        record.info[_RESTING_SINCE] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _check(connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.pop(_RESTING_SINCE, None)
        if since is None:  # just opened
            return
        rested = time.monotonic() - since
        if rested < PINGED_AFTER_SECONDS and not readable(connection):
            return
        try:
            alive = engine.dialect.do_ping(connection)
        except (engine.dialect.loaded_dbapi.Error, OSError):
            alive = False
        if not alive:
            raise exc.InvalidatePoolError


def skip_needless_rollbacks(engine: Engine) -> None:
    """Give a connection back without a ROLLBACK where its transaction was ended.

    In place of the pool's own, which must be off (`pool_reset_on_return=None`).
    """

    @event.listens_for(engine, "reset")
    def _reset(connection: Any, record: Any, state: Any) -> None:
        ended = record.info.pop(ENDED, False) if record is not None else False
        if not (ended or state.transaction_was_reset or state.terminate_only):
            connection.rollback()


def _look() -> Callable[[Any], bool]:
    """Whether a driver's connection has something to read although nothing was asked."""
    poll, pollin = system_poll()

    def readable(connection: Any) -> bool:
        # PyMySQL and pg8000 name their sockets so; of another driver each use is pinged.
        sock = getattr(connection, "_sock", None) or getattr(connection, "_usock", None)
        if sock is None:
            return True
        try:
            asked = poll()
            asked.register(sock.fileno(), pollin)
            return bool(asked.poll(0))
        except (OSError, ValueError):
            return True

    return readable


class Unit(Protocol):
    """What queries are sent through: a connection, and on it, where rows are read, a session."""

    connection: Connection

    @property
    def session(self) -> Session:
        """The session on this connection."""


def rows_changed(session: Session, statement: Executable) -> int:
    """Run an UPDATE or DELETE; return how many rows it matched."""
    return cast("CursorResult[Any]", session.execute(statement)).rowcount


def check_readable(connection: Connection) -> None:
    """Raise as the driver does where the database does not answer."""
    connection.execute(text("SELECT 1"))


def check_writable(connection: Connection, now: datetime) -> None:
    """Write a value that nothing reads; raise as the driver does where that fails.

    Only SQLite needs the write: on a full disk it reads well, and it writes no page whose bytes
    stay the same. A server refuses to begin the transaction.
    """
    if connection.dialect.name == "sqlite":
        version = int(now.timestamp()) % 2**31
        connection.execute(text(f"PRAGMA user_version = {version}"))
    else:
        check_readable(connection)
