"""Tricks of commands to MySQL and MariaDB: what is sent together, and the driver's work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymysql import converters
from pymysql.cursors import Cursor
from sqlalchemy import Connection

from benchmarks.tricks.trick import Trick, instead
from repository import mysql_connections, statements
from repository.mysql_connections import QuickConnection
from repository.statements import QuickStatement


def _change_at_once(
    self: QuickStatement, connection: Connection, values: Mapping[str, Any]
) -> bool:
    return self.change(connection, values) == 1


def _pymysql_cursor(pooled: Any) -> Any:
    return pooled.cursor()


def _fill_by_cursor(self: QuickConnection, text: str, values: Mapping[str, Any]) -> str:
    with Cursor(self) as cursor:
        return cursor.mogrify(text, values)


def _read_each(self: Any, keys: list[int], most: int) -> None:
    while len(keys) < most:
        keys.append(int(self._read_ok_packet().insert_id))


TRICKS = [
    Trick(
        "the UPDATE of a locked payment sent with COMMIT",
        "repository/statements.py defer_change",
        ("confirm",),
        instead((QuickStatement, "defer_change", _change_at_once)),
    ),
    Trick(
        "the UPDATE of a locked payment sent with COMMIT to a distant database",
        "repository/statements.py defer_change",
        ("confirm",),
        instead((QuickStatement, "defer_change", _change_at_once)),
        is_distant=True,
    ),
    Trick(
        "a cursor for one statement",
        "repository/mysql_connections.py QuickCursor",
        ("confirm", "create", "poll, unchanged"),
        instead(
            (statements, "_cursor", _pymysql_cursor),
            (QuickConnection, "fill", _fill_by_cursor),
        ),
    ),
    Trick(
        "answers without rows read at once",
        "repository/mysql_connections.py _read_keys",
        ("confirm", "create"),
        instead((QuickConnection, "_read_keys", _read_each)),
    ),
    Trick(
        "times written by the interpreter",
        "repository/mysql_connections.py _literal_of",
        ("confirm", "create"),
        instead((mysql_connections, "_literal_of", converters.escape_datetime)),
        is_built_in=True,
    ),
]
