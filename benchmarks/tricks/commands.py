"""Tricks of what is sent together to MySQL and MariaDB, and of proxies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

import config
from accounts import renewal
from benchmarks.tricks.trick import Trick, instead, near_and_far
from payments import bank_signature
from repository import database
from repository.assumptions import Assumptions
from repository.statements import QuickStatement
from web import logs, metrics, requests


def _change_at_once(
    self: QuickStatement, connection: Connection, values: Mapping[str, Any]
) -> bool:
    return self.change(connection, values) == 1


def _through_proxy(proxy: Any) -> Any:
    return proxy


_USERS_OF_PROXIES = (config, bank_signature, database, logs, metrics, renewal, requests)

TRICKS = [
    *near_and_far(
        Trick(
            "a key that was looked up is verified by the COMMIT",
            "repository/recent_callers.py assume",
            ("create by key",),
            instead((Assumptions, "are_possible", lambda _self: False)),
        )
    ),
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
        "the object behind a proxy looked up once",
        "core/runtime/proxies.py behind",
        ("confirm", "create", "page as JSON"),
        instead(*((module, "behind", _through_proxy) for module in _USERS_OF_PROXIES)),
    ),
]
