"""Tricks in connections and units of work, and in what is written later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from unittest.mock import patch

from flask import Flask
from pymysql.connections import Connection
from pymysql.protocol import OKPacketWrapper
from sqlalchemy import event

from accounts import keys
from benchmarks.tricks.trick import Trick, instead, near_and_far
from config import parts_of
from realtime.announcer import Announcer
from repository import connections, database, events, mysql_connections
from repository.database import Work, in_unit_of_work
from repository.mysql_connections import QuickConnection

_PYMYSQL: Any = Connection
_make_work = Work.__init__
_QUERIES = [
    name
    for name, value in vars(Work).items()
    if type(value).__name__ == "cached_property" and name != "session"
]


def _work_with_all(self: Work, *arguments: Any) -> None:
    _make_work(self, *arguments)
    for name in _QUERIES:
        getattr(self, name)


@contextmanager
def _one_pool(app: Flask) -> Iterator[None]:
    """Read through the pool of units of work, in a transaction that is rolled back."""
    ledger = parts_of(app).ledger
    with patch.object(ledger, "reading_engine", ledger.engine):
        yield


def _pings(engine: Any) -> None:
    engine.pool._pre_ping = True


def _rollbacks(engine: Any) -> None:
    @event.listens_for(engine, "reset")
    def _reset(connection: Any, record: Any, _state: Any) -> None:
        record.info.pop(connections.ENDED, None)
        connection.rollback()


def _write_each_use(_self: keys.KeyUses, key_id: int, at: datetime) -> None:
    in_unit_of_work(lambda work: work.accounts.note_key_use(key_id, at))


@contextmanager
def _mark_each(app: Flask) -> Iterator[None]:
    announcer: Announcer = parts_of(app).announcer
    listeners: list[Any] = parts_of(app).ledger.commit_listeners

    def flush(_events: list[events.StoredEvent]) -> None:
        announcer.flush()

    listeners.append(flush)
    try:
        yield
    finally:
        listeners.remove(flush)


def _key_by_wrapper(packet: Any) -> int:
    return int(OKPacketWrapper(packet).insert_id)


TRICKS = [
    Trick(
        "descriptions of columns parsed once, values written without converters, only keys read",
        "repository/mysql_connections.py QuickConnection",
        ("create by key", "create", "confirm", "poll", "page"),
        instead(
            (QuickConnection, "_read_query_result", _PYMYSQL._read_query_result),
            (QuickConnection, "escape", _PYMYSQL.escape),
            (mysql_connections, "_key_in", _key_by_wrapper),
        ),
    ),
    Trick(
        "session and queries created at first use",
        "repository/work.py Work",
        ("page as JSON", "create"),
        instead((Work, "__init__", _work_with_all)),
    ),
    *near_and_far(
        Trick(
            "a pool in autocommit mode",
            "repository/connections.py reading_options",
            ("poll", "page"),
            _one_pool,
        )
    ),
    *near_and_far(
        Trick(
            "the socket polled instead of a ping",
            "repository/connections.py find_dead_connections",
            ("poll", "create"),
            instead((database, "find_dead_connections", _pings)),
            is_built_in=True,
        )
    ),
    *near_and_far(
        Trick(
            "no rollback after a commit",
            "repository/connections.py skip_needless_rollbacks",
            ("create",),
            instead((database, "skip_needless_rollbacks", _rollbacks)),
            is_built_in=True,
        )
    ),
    Trick(
        "uses of keys written later",
        "accounts/keys.py KeyUses",
        ("list by key",),
        instead((keys.KeyUses, "note", _write_each_use)),
    ),
    Trick(
        "events marked as announced later",
        "realtime/announcer.py flush",
        ("confirm",),
        _mark_each,
    ),
]
