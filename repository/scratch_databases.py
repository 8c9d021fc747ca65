"""Databases that exist for the time of one check of a backup, also if its process is killed.

Each has an advisory lock, which ends with the connection of the process that created it. A scratch
database without its lock is a leftover, and the next check drops it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, exc, inspect, make_url, text

from repository.backups import MARKER_TABLE, connected

SCRATCH_PREFIX = "balcao_check_"
_NAME = re.compile(rf"{SCRATCH_PREFIX}[0-9a-f]{{12}}")

_NAMES = {
    "postgresql": "SELECT datname FROM pg_database",
    "mysql": "SELECT schema_name FROM information_schema.schemata",
}
_TAKE = {
    "postgresql": "SELECT pg_advisory_lock(:key)",
    "mysql": "SELECT GET_LOCK(:name, 0)",
}
# PostgreSQL's locks belong to a database, and the other process may use another one.
_IS_TAKEN = {
    "postgresql": (
        "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 "
        "AND (classid::bigint << 32) | objid::bigint = :key)"
    ),
    "mysql": "SELECT IS_USED_LOCK(:name) IS NOT NULL",
}
_IS_IN_USE = {
    "postgresql": "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = :name)",
    "mysql": "SELECT EXISTS (SELECT 1 FROM information_schema.processlist WHERE db = :name)",
}
# The holder is silent during the check, for which the server may close it.
_ALLOW_SILENCE = {
    "postgresql": (
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'"
    ),
    "mysql": "SET SESSION wait_timeout = 604800",
}
# Users see only what they may use: without these rights a database can seem to be empty.
_SEES_ALL = (
    "SELECT COUNT(DISTINCT privilege_type) = 2 FROM ("
    "SELECT grantee, privilege_type FROM information_schema.user_privileges UNION ALL "
    "SELECT grantee, privilege_type FROM information_schema.schema_privileges "
    "WHERE :name LIKE table_schema) AS rights "
    "WHERE privilege_type IN ('EVENT', 'EXECUTE') "
    "AND grantee = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')"
)
_HAS_OBJECTS = (
    "SELECT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = :name) "
    "OR EXISTS (SELECT 1 FROM information_schema.routines WHERE routine_schema = :name) "
    "OR EXISTS (SELECT 1 FROM information_schema.events WHERE event_schema = :name)"
)
_CATALOGS = (
    "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace "
    "AND relkind = 'r' AND NOT relisshared AND has_table_privilege(oid, 'SELECT') "
    "AND EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'oid')"
)
_FIRST_FREE_OID = 16384
"""PostgreSQL's FirstNormalObjectId: what a new database has, has smaller numbers."""
_OPTIONS = {
    "postgresql": "ENCODING 'UTF8' TEMPLATE template0",
    "mysql": "CHARACTER SET utf8mb4",
}


@contextmanager
def scratch_database(url: str) -> Iterator[str]:
    """The address of a new database on the same server, dropped at the end.

    It has no table but MARKER_TABLE. Raises the driver's error if the user may not create
    databases.
    """
    name = SCRATCH_PREFIX + secrets.token_hex(6)
    copy = _address(url, name)
    engine = _engine(url)
    # Before the database exists, so that it is never there without its lock.
    with _lock(url, name) as holder:
        holder.execute(text(f"CREATE DATABASE {name} {_OPTIONS[engine]}"))
        try:
            with connected(copy, "AUTOCOMMIT") as connection:
                connection.execute(text(f"CREATE TABLE {MARKER_TABLE} (id INTEGER PRIMARY KEY)"))
            yield copy
        finally:
            # The server may have closed the first connection, which was silent for long.
            with connected(url, "AUTOCOMMIT") as connection:
                connection.execute(text(f"DROP DATABASE {name}"))


@contextmanager
def _lock(url: str, name: str) -> Iterator[Connection]:
    """A connection that holds the lock of a database until its end."""
    engine = _engine(url)
    with connected(url, "AUTOCOMMIT") as holder:
        try:
            holder.execute(text(_ALLOW_SILENCE[engine]))
            holder.execute(text(_TAKE[engine]), _parameters(engine, name, _TAKE))
            yield holder
        finally:
            # Close it without a last statement: an error of a connection that the server has
            # closed would say nothing about the copy.
            holder.invalidate()


def drop_leftovers(url: str) -> list[str]:
    """Drop the scratch databases of ended processes; return their names.

    A database is dropped if it has a scratch name and MARKER_TABLE, or no object of any kind in any
    schema (the process ended before it could create that table), nobody holds its lock, and nobody
    is connected to it. Others, and those that this user may not read or drop, are left alone.
    Raises the driver's error if the server is away.

    Advisory locks are local to a node of Galera: a check at another node, at a moment when it is
    not connected to its copy, would lose the copy and fail.
    """
    engine = _engine(url)
    dropped = []
    with connected(url, "AUTOCOMMIT") as connection:
        names = [str(name) for name in connection.scalars(text(_NAMES[engine]))]
        for name in filter(_NAME.fullmatch, names):
            try:
                if _is_leftover(connection, engine, url, name):
                    connection.execute(text(f"DROP DATABASE {name}"))
                    dropped.append(name)
            except exc.DBAPIError as error:
                if error.connection_invalidated:
                    raise
    return dropped


def _is_leftover(connection: Connection, engine: str, url: str, name: str) -> bool:
    for question in (_IS_TAKEN, _IS_IN_USE):
        if connection.scalar(text(question[engine]), _parameters(engine, name, question)):
            return False
    with connected(_address(url, name)) as inside:
        if MARKER_TABLE in inspect(inside).get_table_names():
            return True
        return _is_empty_postgres(inside) if engine == "postgresql" else _is_empty(inside, name)


def _is_empty(connection: Connection, name: str) -> bool:
    """Whether the database has no table, view, sequence, routine or event."""
    if not connection.scalar(text(_SEES_ALL), {"name": name}):
        return False
    return not connection.scalar(text(_HAS_OBJECTS), {"name": name})


def _is_empty_postgres(connection: Connection) -> bool:
    """Whether each object of the database is one that every new database has."""
    first = {"first": _FIRST_FREE_OID}
    has_new = "SELECT EXISTS (SELECT 1 FROM pg_catalog.{} WHERE oid >= :first)"
    catalogs = connection.scalars(text(_CATALOGS)).all()
    return not any(connection.scalar(text(has_new.format(name)), first) for name in catalogs)


def _parameters(engine: str, name: str, question: dict[str, str]) -> dict[str, str | int]:
    if ":key" not in question[engine]:
        return {"name": name}
    digest = hashlib.sha256(name.encode()).digest()
    return {"key": int.from_bytes(digest[:8], signed=True)}


def _engine(url: str) -> str:
    return "postgresql" if url.startswith("postgresql") else "mysql"


def _address(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)
