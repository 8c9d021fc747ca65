"""What the errors of the drivers mean, alike for every engine."""

from __future__ import annotations

from sqlalchemy import exc

_WRONG_HOST = ("1047", "1290", "1836", "25006")
"""Galera: the node has lost its cluster. MySQL: --read-only, read-only mode. PostgreSQL: the
transaction is read-only."""
_REFUSALS = (
    "authentication failed",
    "certificate",
    "does not exist",
    "invalid sslmode",
    "permission denied",
    "pg_hba.conf",
)
"""What PostgreSQL's refusals of a connection say in English that waiting does not change."""


def _code(error: exc.DBAPIError) -> str:
    return code_of(error.orig)


def code_of(original: BaseException | None) -> str:
    """The engine's error code: MySQL's number, PostgreSQL's SQLSTATE or SQLite's message."""
    arguments = getattr(original, "args", ())
    first = arguments[0] if arguments else ""
    if isinstance(first, int):
        return str(first)  # PyMySQL's errors have a SQLSTATE too, which says less
    sqlstate = getattr(original, "sqlstate", None)
    return str(first if sqlstate is None else sqlstate)


def is_unique_violation(error: exc.IntegrityError) -> bool:
    """Whether a unique constraint was violated."""
    code = _code(error)
    return code in ("1062", "23505") or code.startswith("UNIQUE constraint failed")


def is_conflict(error: exc.DBAPIError) -> bool:
    """Whether another transaction was in the way, so that a repetition may succeed."""
    code = _code(error)
    # MySQL: deadlock, lock wait, NOWAIT. MariaDB: record changed since read. PostgreSQL: class 40
    # and NOWAIT. On Galera another node's transaction was first: 1213, at the COMMIT too, or 1317
    # for a statement that was running.
    codes = ("1213", "1205", "3572", "1020", "1317", "40001", "40P01", "55P03")
    # A row that this one refers to is gone, or another one refers to a row that is to go.
    references = ("1451", "1452", "23503", "FOREIGN KEY constraint failed")
    return code in (*codes, *references) or "database is locked" in code


def is_away(error: exc.DBAPIError) -> bool:
    """Whether the database does not answer, or cannot work at the moment."""
    if error.connection_invalidated or isinstance(error, exc.InterfaceError):
        return True
    code = _code(error)
    if _is_connection_failure(error):
        return True
    # PostgreSQL: connection, shutdown, full, and a transaction that was idle for too long.
    if len(code) == 5 and (code[:2] in ("08", "57", "53") or code == "25P03"):
        return True
    # 1180: a node of Galera lost its cluster during the COMMIT, whose outcome is unknown. 1969 and
    # 3024: the statement took longer than MariaDB's or MySQL's own limit.
    mysql_codes = ("1040", "1053", "1180", "1969", "3024", "2002", "2003", "2006", "2013", "1927")
    sqlite_messages = ("unable to open", "disk I/O error", "disk is full", "readonly database")
    is_mysql = code in mysql_codes or code in _WRONG_HOST
    return is_mysql or any(message in code for message in sqlite_messages)


def _is_connection_failure(error: exc.DBAPIError) -> bool:
    """Whether psycopg could not connect, for a reason that may pass.

    Its error then has no SQLSTATE, even if the server sent one.
    """
    return (
        isinstance(error, exc.OperationalError)
        and hasattr(error.orig, "pgconn")
        and getattr(error.orig, "sqlstate", None) is None
        and not any(words in str(error.orig) for words in _REFUSALS)
    )


def is_wrong_host(original: BaseException) -> bool:
    """Whether the server answers but accepts no writes: demoted, or cut off from its cluster."""
    return code_of(original) in _WRONG_HOST
