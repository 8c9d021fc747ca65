"""Databases of several hosts: a Galera cluster, or a primary and its standbys."""

from __future__ import annotations

from typing import Any

import pymysql
from sqlalchemy import (
    URL,
    Engine,
    ExceptionContext,
    NullPool,
    create_engine,
    event,
    make_url,
)

from core.runtime.database_hosts import HOSTS, FirstWritable, hosts_in
from repository.driver_errors import is_wrong_host
from repository.mysql_connections import (
    ONE_ROW_GUARD,
    OUT_OF_RANGE,
    QuickConnection,
    answer_guard,
)

CAUSAL_READS = 3
"""The value of Galera's `wsrep_sync_wait`: 1 for reads and 2 for updates and deletes."""

_UNKNOWN_VARIABLE = 1193
_FORKS = ("TiDB", "Vitess")
"""What servers write into their version that are like MySQL and are others."""


def prepare_for_list(url: str, options: dict[str, Any]) -> None:
    """Let the limits of a list of hosts apply: they are shorter than those of one host."""
    if HOSTS in make_url(url).query:
        options["connect_args"].pop("read_timeout", None)


def use_hosts(engine: Engine) -> None:
    """Connect to the first host that accepts writes; leave a host that no longer does."""
    quick = QuickConnection if engine.dialect.driver == "pymysql" else None
    event.listen(engine, "do_connect", FirstWritable(quick))

    @event.listens_for(engine, "handle_error")
    def _leave(context: ExceptionContext) -> None:
        # The other connections of the pool go to the same host: they are replaced too.
        if is_wrong_host(context.original_exception):
            context.is_disconnect = True


def writable_address(url: URL) -> URL:
    """The address with the one host of its list that accepts writes now.

    For tools that know no lists. Raises the driver's error if there is no such host.
    """
    if HOSTS not in url.query:
        return url
    choice = FirstWritable()
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "do_connect", choice)
    engine.connect().close()
    host, port = hosts_in(str(url.query[HOSTS]))[choice.good]
    alone = url.difference_update_query([HOSTS]).set(host=host)
    return alone._replace(port=port)


def read_after_write(engine: Engine) -> None:
    """On a node of Galera, let each transaction see what was committed on any node before it.

    Without that, a payment that was created at one node may be missing at another for some
    milliseconds, and a bank that confirms it there would get 404. A node waits until it has
    applied what it received; in a transaction only the first statement waits.
    """

    @event.listens_for(engine, "connect")
    def _wait_for_other_nodes(connection: Any, _record: object) -> None:
        if "MariaDB" in _version(connection) and _variable(connection, "wsrep_on"):
            with connection.cursor() as cursor:
                cursor.execute(f"SET SESSION wsrep_sync_wait = {CAUSAL_READS:d}")


def allow_deferring(engine: Engine) -> None:
    """Let statements be deferred on a MySQL or MariaDB that no other server writes to.

    A conflict with another node may undo the first statements of a command in Galera without an
    error; the others would be committed alone. Of other clusters and forks nobody has tried it.
    UPDATEs are deferred if the server refuses what the guard behind them refuses.
    """

    @event.listens_for(engine, "connect")
    def _look(connection: Any, _record: object) -> None:
        if not isinstance(connection, QuickConnection):
            return
        version = _version(connection)
        if "MariaDB" in version:
            connection.may_defer = not _variable(connection, "wsrep_on")
        elif not any(fork in version for fork in _FORKS):
            connection.may_defer = not _variable(connection, "group_replication_group_name")
        connection.may_defer_changes = connection.may_defer and _has_guard(connection)


def _version(connection: Any) -> str:
    """The version that a server names; empty for one that is not like MySQL."""
    version = getattr(connection, "get_server_info", None)
    return "" if version is None else str(version())


def _has_guard(connection: Any) -> bool:
    """Whether each of the two guards passes where it must, and is refused where it must."""
    outcomes: list[object] = []
    with connection.cursor() as cursor:
        for statement, guard in (
            ("SELECT 1 INTO @balcao_guard", ONE_ROW_GUARD),
            ("SELECT 1", ONE_ROW_GUARD),
            ("SELECT 1", answer_guard("SELECT 'a'", "a")),
            ("SELECT 1", answer_guard("SELECT 'a'", "b")),
            ("SELECT 1", answer_guard("SELECT 'a' FROM DUAL WHERE 1 = 0", "a")),
        ):
            try:
                cursor.execute(statement)
                cursor.execute(guard)
                outcomes.append("passed")
            except pymysql.Error as error:
                outcomes.append(error.args[0])
    return outcomes == ["passed", OUT_OF_RANGE, "passed", OUT_OF_RANGE, OUT_OF_RANGE]


def _variable(connection: Any, name: str) -> Any:
    """A global variable of a server that is like MySQL; None if it knows none of this name."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(f"SELECT @@global.{name}")
        except pymysql.Error as error:
            if error.args[:1] != (_UNKNOWN_VARIABLE,):  # built without it
                raise
            return None
        return cursor.fetchone()[0]
