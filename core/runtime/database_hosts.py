"""Open connections to the first host of a list that accepts writes.

`DATABASE_URL` may name several hosts: the nodes of a Galera cluster, or a PostgreSQL primary and
its standbys. `setting_urls` puts the whole list into the option `hosts` of the address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

HOSTS = "hosts"
"""The option of an address that holds the list."""
CONNECT_SECONDS = 3
"""How long one host may take to accept a connection and to answer the first question."""
READ_SECONDS = 10
"""How long a statement may take before its host counts as dead; `read_timeout` replaces it."""
_QUESTIONS = {
    "mysql": "SELECT @@global.read_only OR @@global.innodb_read_only",
    "mariadb": "SELECT @@global.read_only OR @@global.innodb_read_only",
    "postgresql": (
        "SELECT CAST(pg_is_in_recovery() OR "
        "current_setting('default_transaction_read_only') = 'on' AS int)"
    ),
}
"""1 if the host only reads. A node without its cluster refuses the question itself (1047)."""


def hosts_in(text: str) -> list[tuple[str, int | None]]:
    """The hosts and ports of a list, such as `db1,db2:3307,[::1]:3306`."""
    hosts = []
    for part in text.split(","):
        host, colon, port = part.rpartition(":")
        if not colon or port.endswith("]"):
            host, port = part, ""
        hosts.append((host.strip("[]"), int(port) if port else None))
    return hosts


class FirstWritable:
    """A listener of `do_connect` for one engine: it tries the hosts, the last good one first."""

    def __init__(self, connect: Callable[..., Any] | None = None) -> None:
        """Use the dialect's way to connect, or `connect` with the driver's options."""
        self.good = 0
        """The place in the list of the host that accepted writes last."""
        self._connect = connect

    def __call__(
        self, dialect: Any, _record: object, arguments: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        """A connection of the driver.

        It is None for MySQL without a list: the driver then connects as usual. Raises the driver's
        error of the last host, or its InterfaceError if that host only reads.
        """
        if HOSTS not in options:
            return _bounded(arguments, options) if dialect.name == "postgresql" else None
        rest = {name: value for name, value in options.items() if name != HOSTS}
        hosts = hosts_in(options[HOSTS])
        begin = self.good
        places = [(begin + step) % len(hosts) for step in range(len(hosts))]
        for place in places:
            host, port = hosts[place]
            address = {"host": host} if port is None else {"host": host, "port": port}
            try:
                connection = _connect(
                    self._connect or dialect.connect, dialect, arguments, {**rest, **address}
                )
            except (dialect.loaded_dbapi.Error, OSError):
                if place == places[-1]:
                    raise
                continue
            if connection is not None:
                self.good = place
                return connection
        raise dialect.loaded_dbapi.InterfaceError("no host of the list accepts writes")


def _connect(
    connect: Callable[..., Any], dialect: Any, arguments: Sequence[Any], options: dict[str, Any]
) -> Any:
    """A connection to this host; None if the host only reads.

    The driver's limit is short until the host has answered: a frozen one accepts connections.
    """
    is_mysql = dialect.name != "postgresql"
    limit = options.get("read_timeout", READ_SECONDS)
    options |= {"connect_timeout": CONNECT_SECONDS, "read_timeout": CONNECT_SECONDS}
    connection = connect(*arguments, **options) if is_mysql else _bounded(arguments, options)
    try:
        cursor = connection.cursor()
        cursor.execute(_QUESTIONS[dialect.name])
        only_reads = bool(cursor.fetchone()[0])
        cursor.close()
        connection.rollback()
        if is_mysql:
            connection._read_timeout = int(limit)
        else:
            connection.read_seconds = int(limit)
    except BaseException:
        _close(dialect, connection)
        raise
    if only_reads:
        _close(dialect, connection)
        return None
    return connection


def _bounded(arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
    """A connection to PostgreSQL.

    The import is here, because only services on PostgreSQL need the driver.
    """
    from core.runtime.postgres_connections import PostgresConnection

    return PostgresConnection.open(arguments, options)


def _close(dialect: Any, connection: Any) -> None:
    try:
        connection.close()
    except (dialect.loaded_dbapi.Error, OSError):
        return
