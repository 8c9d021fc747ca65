"""A list of database hosts: the first one that answers and accepts writes is used."""

from __future__ import annotations

import socket
import time

import pytest
import sqlalchemy as sa
from psycopg.errors import ReadOnlySqlTransaction, SerializationFailure

from core.runtime import database_hosts
from core.runtime.database_hosts import hosts_in
from core.runtime.setting_urls import checked_database_url
from repository.driver_errors import is_wrong_host
from repository.hosts import use_hosts
from tests.support.plugin import SERVERS
from tests.support.ports import free_port

READ_ONLY = {
    "mysql": "SET GLOBAL read_only = 1",
    "postgres": "ALTER DATABASE postgres SET default_transaction_read_only = on",
}
PORT = {"mysql": "SELECT @@port", "postgres": "SELECT inet_server_port()"}


@pytest.fixture
def connect(request):
    """A function that opens an engine for these ports on loopback."""

    def to_ports(url: str, *ports: int) -> sa.Engine:
        one = sa.make_url(url)
        places = ",".join(f"127.0.0.1:{port}" for port in ports)
        scheme = "mysql" if one.get_backend_name() == "mysql" else "postgresql"
        password = f":{one.password}" if one.password else ""
        text = f"{scheme}://{one.username}{password}@{places}/{one.database}"
        engine = sa.create_engine(checked_database_url(text), isolation_level="AUTOCOMMIT")
        use_hosts(engine)
        request.addfinalizer(engine.dispose)
        return engine

    return to_ports


def port_of(engine: sa.Engine, kind: str) -> int:
    """The port of the server that a new connection reaches."""
    with engine.connect() as connection:
        port = int(connection.scalar(sa.text(PORT[kind])) or 0)
    engine.dispose()
    return port


def test_a_list_has_ports_and_addresses_of_both_kinds():
    """IPv6 has colons of its own."""
    assert hosts_in("db1,db2:3307,[::1],[::1]:5433") == [
        ("db1", None),
        ("db2", 3307),
        ("::1", None),
        ("::1", 5433),
    ]


@pytest.mark.parametrize("kind", SERVERS)
def test_hosts_that_are_down_frozen_or_read_only_are_passed_over(
    connect, databases, private_server, monkeypatch, kind
):
    """Each of them would answer a payment with an error, and another host could take it."""
    good = databases.server(kind)
    other = private_server(kind)
    place = good.set(database="mysql") if kind == "mysql" else good
    name = place.render_as_string(hide_password=False)
    administration = sa.create_engine(other.url, isolation_level="AUTOCOMMIT")
    with administration.connect() as connection:
        connection.execute(sa.text(READ_ONLY[kind]))
    administration.dispose()
    monkeypatch.setattr(database_hosts, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        silent = frozen.getsockname()[1]
        engine = connect(name, free_port(), silent, other.port, good.port or 0)
        assert port_of(engine, kind) == good.port
        before = time.monotonic()
        assert port_of(engine, kind) == good.port
        assert time.monotonic() - before < 0.5, "the last good host was not tried first"
        with pytest.raises(sa.exc.InterfaceError, match="no host of the list accepts writes"):
            connect(name, free_port(), other.port).connect()


@pytest.mark.parametrize("kind", SERVERS)
def test_a_list_of_dead_hosts_raises_the_drivers_error(connect, databases, kind):
    """The start then waits for the database, as for one host."""
    name = databases.server(kind).render_as_string(hide_password=False)
    with pytest.raises((sa.exc.DBAPIError, OSError)):
        connect(name, free_port(), free_port()).connect()


@pytest.mark.parametrize(
    ("arguments", "is_wrong"),
    [
        ((1047, "WSREP has not yet prepared node for application use"), True),
        ((1290, "The MariaDB server is running with the --read-only option"), True),
        ((1213, "Deadlock found"), False),
        ((), False),
    ],
)
def test_errors_of_a_host_that_accepts_no_writes(arguments, is_wrong):
    """The pool leaves such a host; a conflict is no reason to."""
    assert is_wrong_host(Exception(*arguments)) is is_wrong


def test_a_transaction_of_postgresql_that_only_reads_is_a_wrong_host():
    """A demoted primary answers every statement; psycopg has the SQLSTATE beside the message."""
    refused = ReadOnlySqlTransaction("cannot execute UPDATE in a read-only transaction")
    assert is_wrong_host(refused)
    assert not is_wrong_host(SerializationFailure("could not serialize access"))
