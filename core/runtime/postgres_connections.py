"""Connections of psycopg that let other greenlets run while they wait, and have a limit for it.

psycopg waits for the server in C, which would stop every greenlet of a process with a hub. Its own
limit is for the whole answer: a large one over a slow line would fail, although it comes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import Conninfo, TransactionStatus

from core.runtime.hub import socket_waiter

READ_TIMEOUT = "read_timeout"
"""Our own option: how many seconds the server may be silent during a statement."""
_DEFAULTS = {
    # Unless the variable of libpq says otherwise, such as PGSSLMODE.
    # As with MariaDB, TLS only if the address asks for it. libpq's own default tries TLS first, and
    # sends everything in the clear to a server that refuses.
    "sslmode": "disable",
    "gssencmode": "disable",
    # Prepared statements have names, which fail behind PgBouncer and after a migration that changes
    # the type of a column.
    "prepare_threshold": None,
}
_READING, _WRITING = int(psycopg.waiting.Wait.R), int(psycopg.waiting.Wait.W)


def _chosen_by_variables() -> dict[str, str]:
    """The options of _DEFAULTS that libpq's variables give, such as PGSSLMODE."""
    return {
        name: option.val.decode()
        for option in Conninfo.get_defaults()
        if (name := option.keyword.decode()) in _DEFAULTS
        and option.val is not None
        and option.val != option.compiled
    }


class PostgresConnection(psycopg.Connection[Any]):
    """A connection that waits by the process's hub and is closed if the server is silent."""

    read_seconds: float | None = None
    """How long the server may be silent during a statement; None for no limit."""
    wait_for: Callable[[int, bool, bool, float | None], int]
    """The process's way to wait: its hub's, or the operating system's if no hub runs."""

    @classmethod
    def open(cls, arguments: Sequence[Any], options: Mapping[str, Any]) -> PostgresConnection:
        """Connect with these options of psycopg, libpq and READ_TIMEOUT.

        Raises OperationalError.
        """
        own = {**_DEFAULTS, **_chosen_by_variables(), **options}
        seconds = own.pop(READ_TIMEOUT, None)
        if "connect_timeout" in own:  # libpq takes whole seconds, and 0 for no limit
            own["connect_timeout"] = math.ceil(float(own["connect_timeout"]))
        connection = cls.connect(*arguments, **own)
        connection.read_seconds = None if seconds is None else float(seconds)
        connection.wait_for = socket_waiter()
        return connection

    def wait(
        self,
        gen: PQGen[RV],
        interval: float = 0.1,  # noqa: ARG002  # psycopg's signature; signals end our waits at once
        timeout: float | None = None,
    ) -> RV:
        """Run a generator of psycopg to its end, which sends statements and reads their answers.

        A statement that is left in its middle closes the connection: the next one would get its
        answer. Raises OperationalError.
        """
        limit = self.read_seconds if timeout is None else timeout
        try:
            return self._wait(gen, limit)
        except BaseException:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise

    def _wait(self, gen: PQGen[RV], limit: float | None) -> RV:
        descriptor = self.pgconn.socket
        try:
            state = next(gen)
            while True:
                reads, writes = bool(state & _READING), bool(state & _WRITING)
                ready = self.wait_for(descriptor, reads, writes, limit)
                if not ready:
                    raise psycopg.OperationalError(f"the server was silent for {limit} seconds")
                state = gen.send(ready)
        except StopIteration as end:
            result: RV = end.value
            return result
