"""A new database for each test, on SQLite, MariaDB or MySQL, and PostgreSQL.

The server is, in this order: the address in the environment (`MYSQL_URL`, `MYSQL8_URL`,
`POSTGRES_URL`), a private server started for this run, or a server on the usual local port. The
name of a database contains its creation time, so that a later run drops the leftovers of a killed
run.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import sqlalchemy as sa

from tests.support.parts import MissingPart
from tests.support.places import new_folder
from tests.support.servers import PRIVATE_SERVERS, answers
from tests.support.templates import MySQLScript, copy_sqlite, fill

PREFIX = "balcao_test_"
STALE_AFTER_SECONDS = 6 * 60 * 60

ENVIRONMENT = {"mysql": "MYSQL_URL", "mysql8": "MYSQL8_URL", "postgres": "POSTGRES_URL"}
USUAL_ADDRESSES = {
    "mysql": ["mysql+pymysql://root@127.0.0.1:3306/?charset=utf8mb4"],
    "postgres": [
        "postgresql+psycopg://postgres@127.0.0.1:5432/postgres",
        "postgresql+psycopg://root@127.0.0.1:5432/postgres",
    ],
}


def server_address(url: str) -> sa.URL:
    """The address for creating and dropping databases, from any address on that server.

    The drivers are those of the service, not the driver in the address.
    """
    address = sa.make_url(url)
    if address.get_backend_name() == "postgresql":
        return address.set(drivername="postgresql+psycopg", database="postgres")
    query = {**address.query, "charset": "utf8mb4"}
    return address.set(drivername="mysql+pymysql", database="information_schema", query=query)


def create_database(server: str | sa.URL, made_at: float | None = None) -> str:
    """The address of a new, empty, uniquely named database on this server.

    `made_at` is the creation time in its name (Unix time), by default now.
    """
    address = server_address(_text(server))
    with _administering(address) as connection:
        name = _create(connection, made_at=made_at)
    return _text(address.set(database=name))


def drop_database(url: str) -> None:
    """Drop a database of `create_database`, even if clients are connected to it."""
    name = sa.make_url(url).database or ""
    if not name.startswith(PREFIX):
        raise ValueError(f"{name!r} is not a test database, so it is not dropped")
    with _administering(server_address(url)) as connection:
        _drop(connection, name)


def drop_stale(server: str | sa.URL) -> list[str]:
    """Drop test databases older than STALE_AFTER_SECONDS; return their names."""
    address = server_address(_text(server))
    postgres = address.get_backend_name() == "postgresql"
    names = "SELECT datname FROM pg_database" if postgres else "SHOW DATABASES"
    with _administering(address) as connection:
        stale = [name for name in connection.scalars(sa.text(names)) if _is_stale(name)]
        for name in stale:
            _drop(connection, name)
    return stale


class Databases:
    """The database servers of this run, each found or started at its first use."""

    def __init__(self) -> None:
        self._open = ExitStack()
        self._found: dict[str, sa.URL | MissingPart] = {}
        self._administrators: dict[str, sa.Engine] = {}
        self._copying: dict[str, Callable[[sa.Connection], str]] = {}

    def server(self, engine: str) -> sa.URL:
        """The server's address for "mysql", "mysql8" or "postgres". Raises MissingPart."""
        if engine not in self._found:
            try:
                address = self._find(engine)
                drop_stale(address)
                self._found[engine] = address
            except MissingPart as missing:
                self._found[engine] = missing
        address_or_missing = self._found[engine]
        if isinstance(address_or_missing, MissingPart):
            raise address_or_missing
        return address_or_missing

    @contextmanager
    def empty(self, engine: str) -> Iterator[str]:
        """The URL of a new empty database, dropped at the end. Raises MissingPart.

        `engine` is "sqlite", "mysql", "mysql8" or "postgres".
        """
        if engine == "sqlite":
            with _sqlite_file() as file:
                yield f"sqlite:///{file}"
            return
        with self._dropped(engine, _create) as url:
            yield url

    @contextmanager
    def fresh(self, engine: str) -> Iterator[str]:
        """Like `empty`, with the migrated tables of service and bank and its demo clients."""
        if engine == "sqlite":
            with _sqlite_file() as file:
                copy_sqlite(file)
                yield f"sqlite:///{file}"
            return
        with self._dropped(engine, self._copier(engine)) as url:
            yield url

    def close(self) -> None:
        """Drop the templates and stop the private servers."""
        self._open.close()

    @contextmanager
    def _dropped(self, engine: str, make: Callable[[sa.Connection], str]) -> Iterator[str]:
        with self._administrator(engine).connect() as connection:
            name = make(connection)
        try:
            yield _text(self.server(engine).set(database=name))
        finally:
            with self._administrator(engine).connect() as connection:
                _drop(connection, name)

    def _administrator(self, engine: str) -> sa.Engine:
        """The engine whose one connection creates and drops databases: connecting is slow."""
        if engine not in self._administrators:
            self._administrators[engine] = sa.create_engine(
                self.server(engine), isolation_level="AUTOCOMMIT", pool_size=1, pool_pre_ping=True
            )
            self._open.callback(self._administrators[engine].dispose)
        return self._administrators[engine]

    def _copier(self, engine: str) -> Callable[[sa.Connection], str]:
        """A function that creates a migrated database and returns its name."""
        if engine not in self._copying:
            url = self._open.enter_context(self.empty(engine))
            fill(url)
            template = sa.make_url(url).database or ""
            if engine == "postgres":
                self._copying[engine] = lambda connection: _create(connection, template)
            else:
                with self._administrator(engine).connect() as connection:
                    script = MySQLScript(connection, template)

                def copy(connection: sa.Connection) -> str:
                    name = _create(connection)
                    script.run(connection, name)
                    return name

                self._copying[engine] = copy
        return self._copying[engine]

    def _find(self, engine: str) -> sa.URL:
        variable = ENVIRONMENT[engine]
        if environment_url := os.environ.get(variable):
            address = server_address(environment_url)
            if not answers(address):
                raise MissingPart(f"{variable} is set, but no server answers at that address")
            return address
        if engine not in PRIVATE_SERVERS:
            raise MissingPart(f"a server for {engine} (set {variable})")
        try:
            return server_address(self._open.enter_context(PRIVATE_SERVERS[engine]()).url)
        except MissingPart:
            for usual in USUAL_ADDRESSES[engine]:
                if answers(address := server_address(usual)):
                    return address
            raise


def _text(url: str | sa.URL) -> str:
    return url if isinstance(url, str) else url.render_as_string(hide_password=False)


@contextmanager
def _sqlite_file() -> Iterator[Path]:
    folder = new_folder("sqlite")
    try:
        yield folder / "balcao.sqlite"
    finally:
        shutil.rmtree(folder)


def _create(
    connection: sa.Connection, template: str | None = None, made_at: float | None = None
) -> str:
    """Create a database, on PostgreSQL as a copy of the template; return its name."""
    name = f"{PREFIX}{int(time.time() if made_at is None else made_at):x}_{secrets.token_hex(5)}"
    options = "CHARACTER SET utf8mb4"
    if connection.dialect.name == "postgresql":
        options = f"TEMPLATE {template}" if template else "ENCODING 'UTF8'"
    connection.execute(sa.text(f"CREATE DATABASE {name} {options}"))
    return name


@contextmanager
def _administering(address: sa.URL) -> Iterator[sa.Connection]:
    engine = sa.create_engine(address, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        yield connection


def _drop(connection: sa.Connection, name: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        return
    # An open transaction would block the drop, by default for a day.
    connection.execute(sa.text("SET SESSION lock_wait_timeout = 10"))
    users = sa.text("SELECT id FROM information_schema.processlist WHERE db = :name")
    for connected in connection.scalars(users, {"name": name}).all():
        try:
            connection.execute(sa.text(f"KILL {int(connected)}"))
        except sa.exc.DBAPIError:
            continue  # the connection ended in between
    connection.execute(sa.text(f"DROP DATABASE IF EXISTS {name}"))


def _is_stale(name: str) -> bool:
    if not name.startswith(PREFIX):
        return False
    try:
        made_at = int(name.removeprefix(PREFIX).split("_")[0], 16)
    except ValueError:
        return False
    return time.time() - made_at > STALE_AFTER_SECONDS
