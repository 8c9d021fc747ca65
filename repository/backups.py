"""Queries of backups: counts and sums, and the books of a restored copy.

They use connections of their own, because a copy is not the service's database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from alembic.migration import MigrationContext
from sqlalchemy import (
    URL,
    Connection,
    MetaData,
    NullPool,
    and_,
    create_engine,
    event,
    exists,
    func,
    inspect,
    make_url,
    or_,
    select,
    text,
)

from core.runtime.database_hosts import FirstWritable
from db_models import (
    Payment,
    PaymentEvent,
    PaymentStatus,
    Receipt,
    Refund,
    RefundStatus,
    SigningKeyRow,
    Verdict,
)
from db_models.base import db

TableSums = dict[str, dict[str, int]]
"""By table: `rows`, and the sum of each column of money."""
MONEY_COLUMNS: dict[str, tuple[str, ...]] = {
    "payments": ("amount_centavos", "refunded_centavos", "refunding_centavos"),
    "receipts": ("amount_centavos",),
    "refunds": ("amount_centavos",),
}
MARKER_TABLE = "balcao_scratch"
"""A table that says that a database is a copy for a check (`scratch_databases`)."""


def address_of(url: str) -> URL:
    """The parts of a database's address."""
    return make_url(url)


def sqlite_file(url: str) -> Path:
    """The file of an SQLite address."""
    return Path(make_url(url).database or "")


@contextmanager
def connected(url: str, isolation_level: str | None = None) -> Iterator[Connection]:
    """A connection outside the service's pools."""
    engine = create_engine(url, poolclass=NullPool, hide_parameters=True)
    event.listen(engine, "do_connect", FirstWritable())
    connection = engine.connect()
    try:
        if isolation_level is not None:
            connection = connection.execution_options(isolation_level=isolation_level)
        yield connection
    finally:
        connection.close()


def server_version(url: str) -> str:
    """The version of a MySQL or MariaDB server; MariaDB's contains its name."""
    with connected(url) as connection:
        return str(connection.scalar(text("SELECT VERSION()")))


_TLS_OPTIONS = ("sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl")


class PostgresPlace(NamedTuple):
    """Where a connection to PostgreSQL has gone; `host` may be the folder of a socket."""

    host: str
    port: int
    user: str
    database: str
    password: str
    tls: dict[str, str]
    """The options of TLS that are in use, such as `sslmode`."""


def postgres_place(url: str) -> PostgresPlace:
    """Where the driver connects to for this address. Raises the driver's error."""
    with connected(url) as connection:
        driver: Any = connection.connection.dbapi_connection
        options = {option.keyword.decode(): option.val for option in driver.pgconn.info}
        tls = {name: options[name].decode() for name in _TLS_OPTIONS if options.get(name)}
        to = driver.info
        return PostgresPlace(to.host, to.port, to.user, to.dbname, to.password, tls)


@contextmanager
def exported_snapshot(url: str) -> Iterator[tuple[str, Connection]]:
    """A transaction of PostgreSQL, and the name by which pg_dump reads the same rows."""
    with connected(url, "REPEATABLE READ") as connection:
        name = str(connection.scalar(text("SELECT pg_export_snapshot()")))
        yield name, connection


def revision_of(connection: Connection) -> str | None:
    """The revision of the schema; None without one."""
    return MigrationContext.configure(connection).get_current_revision()


def table_sums(connection: Connection) -> TableSums:
    """Rows and sums of the service's tables that this database has."""
    present = set(inspect(connection).get_table_names())
    sums: TableSums = {}
    for table in db.metadata.sorted_tables:
        if table.name in present:
            columns = [table.c[name] for name in MONEY_COLUMNS.get(table.name, ())]
            totals = [func.coalesce(func.sum(column), 0).label(column.name) for column in columns]
            row = connection.execute(
                select(func.count().label("rows"), *totals).select_from(table)
            ).one()
            sums[table.name] = dict(
                zip(("rows", *MONEY_COLUMNS.get(table.name, ())), map(int, row), strict=True)
            )
    return sums


def is_intact(connection: Connection) -> bool:
    """Whether SQLite finds no damage in its file; other engines check pages by themselves."""
    if connection.dialect.name != "sqlite":
        return True
    return bool(connection.scalar(text("PRAGMA integrity_check")) == "ok")


def faults_of_books(connection: Connection) -> dict[str, int]:
    """How many payments break each rule of the books, by the rule."""
    accepted = exists().where(Receipt.payment_id == Payment.id, Receipt.verdict == Verdict.ACCEPTED)
    is_confirmed = Payment.status == PaymentStatus.CONFIRMED
    returned_centavos = (
        select(func.coalesce(func.sum(Refund.amount_centavos), 0))
        .where(Refund.payment_id == Payment.id, Refund.status == RefundStatus.DONE)
        .scalar_subquery()
    )
    events = (
        select(
            PaymentEvent.payment_id.label("payment_id"),
            func.count().label("number"),
            func.max(PaymentEvent.sequence).label("last"),
        )
        .where(PaymentEvent.payment_id.is_not(None))
        .group_by(PaymentEvent.payment_id)
        .subquery()
    )
    rules = {
        "confirmed payments have an accepted receipt": select(func.count())
        .select_from(Payment)
        .where(or_(and_(is_confirmed, ~accepted), and_(~is_confirmed, accepted))),
        "refunded money is that of settled refunds, and not more than was paid": select(
            func.count()
        )
        .select_from(Payment)
        .where(
            or_(
                Payment.refunded_centavos > returned_centavos,
                Payment.refunded_centavos > Payment.amount_centavos,
            )
        ),
        "events of a payment are numbered without a gap": select(func.count())
        .select_from(Payment)
        .outerjoin(events, events.c.payment_id == Payment.id)
        .where(
            or_(
                events.c.number.is_(None),
                events.c.number != events.c.last,
                events.c.last != Payment.sequence,
            )
        ),
    }
    return {rule: int(connection.scalar(query) or 0) for rule, query in rules.items()}


def newest_signing_key(connection: Connection) -> str | None:
    """The encrypted private key that was created last."""
    query = select(SigningKeyRow.sealed_private_pem).order_by(SigningKeyRow.id.desc()).limit(1)
    return connection.scalar(query)


def has_tables(url: str) -> bool:
    """Whether the database has any table."""
    if url.startswith("sqlite") and not sqlite_file(url).exists():
        return False
    with connected(url) as connection:
        return bool(inspect(connection).get_table_names())


def drop_tables(url: str) -> None:
    """Drop every table of a database server's database, but MARKER_TABLE."""
    with connected(url, "AUTOCOMMIT") as connection:
        tables = MetaData()
        tables.reflect(connection, only=lambda name, _: name != MARKER_TABLE)
        tables.drop_all(connection)
