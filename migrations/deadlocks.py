"""Schema changes of MySQL and MariaDB beside a service that runs."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from repository.driver_errors import code_of

ATTEMPTS_MAX = 20
PAUSE_SECONDS = 0.2
_CHANGES = ("ALTER ", "CREATE ", "DROP ")
_DEADLOCK = "1213"


@contextmanager
def repeated_after_deadlocks(connection: Connection) -> Iterator[None]:
    """Send a schema change again that the server has ended because of a deadlock.

    It waits for the transactions that use the table, and one of them may wait for it. On these
    engines each schema change is a transaction of its own, so nothing of it was done.
    """
    if connection.dialect.name not in ("mysql", "mariadb"):
        yield
        return
    event.listen(connection.engine, "do_execute", send)
    try:
        yield
    finally:
        event.remove(connection.engine, "do_execute", send)


def send(cursor: Any, statement: str, parameters: Any, _context: object) -> bool:
    """Send a schema change, again after a deadlock; False for any other statement."""
    if not statement.lstrip().upper().startswith(_CHANGES):
        return False
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            cursor.execute(statement, parameters)
        except Exception as error:
            if code_of(error) != _DEADLOCK or attempt == ATTEMPTS_MAX:
                raise
            time.sleep(random.uniform(0, PAUSE_SECONDS))  # noqa: S311 - jitter, not a secret
        else:
            return True
    return False
