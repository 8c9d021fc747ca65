"""What a database server says about itself, for `flask doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, text

from db_models.base import db


@dataclass(frozen=True)
class ServerFacts:
    """Facts of MySQL, MariaDB or PostgreSQL; SQLite has no server and no clock."""

    version: str
    isolation: str
    charset: str
    durability: dict[str, str]
    """The settings that decide whether an acknowledged commit survives a power cut."""
    connections_max: int | None
    now: datetime | None


DURABLE = {
    "innodb_flush_log_at_trx_commit": ("1",),
    "fsync": ("on",),
    "synchronous_commit": ("on", "remote_apply", "remote_write", "local"),
    "synchronous": ("2", "3"),
    "journal_mode": ("wal",),
}
"""The values with which an acknowledged commit survives a power cut."""


def read_facts() -> ServerFacts:
    """Ask the service's own database, with the options of its own connections."""
    with db.engine.connect() as connection:
        name = connection.dialect.name
        if name == "sqlite":
            return _sqlite(connection)
        return _postgres(connection) if name == "postgresql" else _mysql(connection)


def _sqlite(connection: Connection) -> ServerFacts:
    def pragma(name: str) -> str:
        return str(connection.scalar(text(f"PRAGMA {name}")))

    version = str(connection.scalar(text("SELECT sqlite_version()")))
    durability = {name: pragma(name) for name in ("journal_mode", "synchronous")}
    return ServerFacts(
        f"SQLite {version}", "READ COMMITTED", pragma("encoding"), durability, None, None
    )


def _mysql(connection: Connection) -> ServerFacts:
    names = (
        *("tx_isolation", "transaction_isolation", "character_set_database"),
        *("innodb_flush_log_at_trx_commit", "max_connections"),
    )
    listed = ", ".join(f"'{name}'" for name in names)
    rows = connection.execute(text(f"SHOW VARIABLES WHERE Variable_name IN ({listed})")).all()
    values = {str(name).lower(): str(value) for name, value in rows}
    version = str(connection.scalar(text("SELECT VERSION()")))
    isolation = values.get("transaction_isolation") or values.get("tx_isolation", "")
    flush = "innodb_flush_log_at_trx_commit"
    return ServerFacts(
        version if "MariaDB" in version else f"MySQL {version}",
        isolation.replace("-", " "),
        values["character_set_database"],
        {flush: values[flush]},
        int(values["max_connections"]),
        _utc(connection.scalar(text("SELECT UTC_TIMESTAMP(6)"))),
    )


def _postgres(connection: Connection) -> ServerFacts:
    def shown_setting(name: str) -> str:
        return str(connection.scalar(text(f"SHOW {name}")))

    return ServerFacts(
        f"PostgreSQL {shown_setting('server_version')}",
        shown_setting("transaction_isolation").upper(),
        shown_setting("server_encoding"),
        {name: shown_setting(name) for name in ("fsync", "synchronous_commit")},
        int(shown_setting("max_connections")),
        _utc(connection.scalar(text("SELECT clock_timestamp() AT TIME ZONE 'UTC'"))),
    )


def _utc(value: object) -> datetime | None:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else None
