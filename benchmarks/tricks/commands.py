"""Tricks of commands to MySQL and MariaDB, what is sent together and the driver's work; proxies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymysql import converters
from pymysql.cursors import Cursor
from sqlalchemy import Connection

import config
from accounts import renewal
from benchmarks.tricks.trick import Trick, instead
from payments import bank_signature
from repository import database, mysql_connections, statements
from repository.mysql_connections import QuickConnection
from repository.statements import QuickStatement
from web import logs, metrics, requests


def _change_at_once(
    self: QuickStatement, connection: Connection, values: Mapping[str, Any]
) -> bool:
    return self.change(connection, values) == 1


def _pymysql_cursor(pooled: Any) -> Any:
    return pooled.cursor()


def _fill_by_cursor(self: QuickConnection, text: str, values: Mapping[str, Any]) -> str:
    with Cursor(self) as cursor:
        return cursor.mogrify(text, values)


def _through_proxy(proxy: Any) -> Any:
    return proxy


def _read_each(self: Any, keys: list[int], most: int) -> None:
    while len(keys) < most:
        keys.append(int(self._read_ok_packet().insert_id))


_USERS_OF_PROXIES = (config, bank_signature, database, logs, metrics, renewal, requests)

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
        "a cursor for one statement, and literals without an escape",
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
    Trick(
        "the object behind a proxy looked up once",
        "core/runtime/proxies.py behind",
        ("confirm", "create", "page as JSON"),
        instead(*((module, "behind", _through_proxy) for module in _USERS_OF_PROXIES)),
    ),
]
