"""The connection pools: options, checks for dead connections, and the return of connections.

A database server gets two pools: one for units of work and one in autocommit mode for reads. At
READ COMMITTED a transaction gains nothing for reads, and ending one costs a round trip.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, cast

from sqlalchemy import Connection, CursorResult, Engine, Executable, event, exc, text
from sqlalchemy.orm import Session

from core.runtime.hub import system_poll
from core.runtime.secret_files import make_sqlite_private
from repository.fair_pool import FairPool
from repository.mysql_connections import QuickConnection, quick_connection
from repository.statements import COMPILED, flush_deferred

SQLITE_BUSY_SECONDS = 5
POOL_SIZE = 25
"""How many connections each of the two pools opens, unless DATABASE_POOL_SIZE says otherwise.

All of them stay open: under load a connection beyond the pool's size would be opened and closed for
each request.
"""
PINGED_AFTER_SECONDS = 30.0
"""A connection idle for longer is pinged: a firewall drops idle ones and tells neither end."""
IDLE_TRANSACTION_SECONDS = 10
"""How long a transaction may wait for its client; longer than any unit of work thinks.

Then the database ends it. A process that is stopped, or a machine that is frozen, inside a
transaction would hold its locks for hours.
"""
ENDED = "balcao_ended"
"""Key in a connection's `info`: its transaction has ended, so there is nothing to roll back."""
CALLERS_CHANGED = "balcao_callers_changed"
"""Key in a connection's `info`: its transaction has changed accounts or credentials."""
_IDLE_SINCE = "balcao_idle_since"
_CHANGES_OF_CALLERS = (
    "INSERT INTO accounts ",
    *(
        f"{verb} {table} "
        for verb in ("UPDATE", "DELETE FROM")
        for table in ("accounts", "api_keys", "sign_ins", "oauth_clients")
    ),
)


def engine_options(url: str, green: bool) -> dict[str, Any]:
    """Options of `create_engine` for this URL.

    SQLite under a green hub gets one connection: a writer that yields while another greenlet waits
    for the file lock would freeze the whole process for the busy timeout.

    Errors show no values of their statements, because they are logged, and values name payers.
    """
    if url.startswith("sqlite"):
        options: dict[str, Any] = {
            "connect_args": {"timeout": SQLITE_BUSY_SECONDS},
            "hide_parameters": True,
        }
        if green and ":memory:" not in url:
            options |= {"pool_size": 1, "max_overflow": 0, "pool_timeout": 5}
        elif ":memory:" not in url:
            options |= {"pool_size": 20, "max_overflow": 20, "pool_timeout": 10}
        return options
    connect = {"connect_timeout": 10, "read_timeout": 10}
    if "mysql" in url or "mariadb" in url:
        connect = {"connect_timeout": 3, "read_timeout": 30, "write_timeout": 30}
    return {
        "isolation_level": "READ COMMITTED",
        "poolclass": FairPool,
        "pool_size": POOL_SIZE,
        "max_overflow": 0,
        "pool_timeout": 10,
        "pool_recycle": 1800,
        "connect_args": connect,
        "hide_parameters": True,
        "execution_options": {COMPILED: {}},
    }


def reading_options(options: dict[str, Any]) -> dict[str, Any]:
    """The same options for connections that only read, in autocommit mode."""
    return {
        **options,
        "isolation_level": "AUTOCOMMIT",
        "pool_reset_on_return": None,
        "skip_autocommit_rollback": True,
    }


def prepare_sqlite(engine: Engine) -> None:
    """Make SQLite private, durable and strict, and let readers run beside a writer."""
    event.listen(engine, "do_connect", make_sqlite_private)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # _begin sends BEGIN
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # answered changes survive a power cut
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA busy_timeout = {SQLITE_BUSY_SECONDS * 1000}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # Lock for writing at once: a read transaction that begins to write fails if another wrote.
        options = connection.get_execution_options()
        connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")


def read_results_quickly(engine: Engine) -> None:
    """Open connections of PyMySQL that do less work (`mysql_connections`)."""
    if engine.dialect.driver != "pymysql":
        return

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, args: Any, options: Any) -> Any:
        return QuickConnection(*args, **options)


def flush_before_statements(engine: Engine) -> None:
    """Send deferred statements before one that names their table, because it may need them.

    And before a savepoint, so that its rollback forgets those that were deferred within it.
    """
    if engine.dialect.driver != "pymysql":
        return

    # `retval`: SQLAlchemy calls such a listener itself, any other by one around it.
    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def _flush(
        connection: Connection, _cursor: Any, statement: str, parameters: Any, *_more: Any
    ) -> tuple[str, Any]:
        driver = quick_connection(connection.connection)
        if driver is not None and driver.has_deferred_for(statement):
            flush_deferred(connection)
        return statement, parameters

    @event.listens_for(engine, "savepoint")
    def _save(connection: Connection, _name: str) -> None:
        flush_deferred(connection)

    @event.listens_for(engine, "rollback_savepoint")
    def _undo(connection: Connection, *_savepoint: Any) -> None:
        driver = quick_connection(connection.connection)
        if driver is not None:
            driver.forget_deferred()


def find_dead_connections(engine: Engine) -> None:
    """Replace connections that the server closed, before they are used.

    The pool's own ping costs a round trip for each use; polling the socket costs a system call,
    and a socket closed by the server is readable. Connections that were idle for long are pinged.
    """
    is_readable = _socket_poller(engine.dialect.loaded_dbapi.Error)

    @event.listens_for(engine, "checkin")
    def _note_idle(_connection: Any, record: Any) -> None:
        record.info[_IDLE_SINCE] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _check(connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.pop(_IDLE_SINCE, None)
        if since is None:  # just opened
            return
        idle_seconds = time.monotonic() - since
        if idle_seconds < PINGED_AFTER_SECONDS and not is_readable(connection):
            return
        try:
            alive = engine.dialect.do_ping(connection)
        except (engine.dialect.loaded_dbapi.Error, OSError):
            alive = False
        if not alive:
            raise exc.InvalidatePoolError


def note_changes_of_callers(engine: Engine) -> None:
    """Note for each transaction whether it changes who may do what (`recent_callers`).

    By the text of the statements: a query that forgot to tell would leave a revoked key valid.
    """

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def _note(
        connection: Connection, _cursor: Any, statement: str, parameters: Any, *_more: Any
    ) -> tuple[str, Any]:
        if statement.startswith(_CHANGES_OF_CALLERS):
            connection.info[CALLERS_CHANGED] = True
        return statement, parameters


def end_idle_transactions(engine: Engine) -> None:
    """Let the server end transactions whose client is silent for IDLE_TRANSACTION_SECONDS.

    MySQL has no such limit.
    """

    @event.listens_for(engine, "connect")
    def _limit(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        if engine.dialect.name == "postgresql":
            connection.autocommit = True  # a rollback would undo the setting
            milliseconds = IDLE_TRANSACTION_SECONDS * 1000
            cursor.execute(f"SET idle_in_transaction_session_timeout = {milliseconds}")
            connection.autocommit = False
        elif "MariaDB" in connection.get_server_info():
            cursor.execute(f"SET SESSION idle_transaction_timeout = {IDLE_TRANSACTION_SECONDS}")
        cursor.close()


def skip_needless_rollbacks(engine: Engine) -> None:
    """Return a connection to the pool without a ROLLBACK if its transaction has ended.

    This replaces the pool's own reset, which must be off (`pool_reset_on_return=None`).
    """

    @event.listens_for(engine, "reset")
    def _reset(connection: Any, record: Any, state: Any) -> None:
        ended = record.info.pop(ENDED, False) if record is not None else False
        if not (ended or state.transaction_was_reset or state.terminate_only):
            connection.rollback()


def _socket_poller(driver_error: type[Exception]) -> Callable[[Any], bool]:
    """A function that tells whether a driver's connection has unexpected bytes to read."""
    poll, pollin = system_poll()

    def is_readable(connection: Any) -> bool:
        # PyMySQL's socket, or psycopg's connection, which has the number of its socket.
        sock = getattr(connection, "_sock", connection)
        try:
            poller = poll()
            poller.register(sock.fileno(), pollin)
            return bool(poller.poll(0))
        except (driver_error, OSError, ValueError):
            return True

    return is_readable


class Unit(Protocol):
    """What queries use: a connection, and a session on it for whole rows."""

    connection: Connection

    @property
    def session(self) -> Session:
        """The session on this connection."""


def rows_changed(session: Session, statement: Executable) -> int:
    """Run an INSERT, UPDATE or DELETE; return how many rows it stored or matched."""
    # Without the option psycopg has forgotten the number of an INSERT when it is asked for.
    options = {"preserve_rowcount": True}
    result = session.execute(statement, execution_options=options)
    return cast("CursorResult[Any]", result).rowcount


def check_readable(connection: Connection) -> None:
    """Raise the driver's error if the database does not answer."""
    connection.execute(text("SELECT 1"))


def check_writable(connection: Connection, now: datetime) -> None:
    """Write a value that nothing reads; raise the driver's error if that fails.

    Only SQLite needs the write: on a full disk reads still work, and SQLite writes no page whose
    bytes stay the same. A server refuses to begin the transaction.
    """
    if connection.dialect.name == "sqlite":
        version = int(now.timestamp()) % 2**31
        connection.execute(text(f"PRAGMA user_version = {version}"))
    else:
        check_readable(connection)
