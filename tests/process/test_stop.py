"""Ctrl-C and SIGTERM: running requests are answered, new ones refused, nothing delays the exit."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, suppress
from typing import Any

import pytest

from tests.process.talking import Talker
from tests.realtime.clients import RawWebSocket
from tests.support.service import ROOT, ServiceProcess

MODES = ("eventlet", "gevent", "threading")
SERVERS = (*MODES, "gunicorn")
PROMPT_EXIT_SECONDS = 8.0
"""Far less than DRAIN_SECONDS, and enough for a prompt exit on a busy machine."""


def _send(service: ServiceProcess, number: signal.Signals) -> None:
    assert service.process is not None
    service.process.send_signal(number)


def _exit_status(service: ServiceProcess) -> int:
    assert service.process is not None
    return service.process.wait(20)


def _wait_for_closed_port(service: ServiceProcess) -> None:
    limit = time.monotonic() + PROMPT_EXIT_SECONDS
    while time.monotonic() < limit:
        try:
            with suppress(ConnectionResetError):  # reset while it was in the listen queue
                socket.create_connection(("127.0.0.1", service.port), timeout=1).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.02)
    raise AssertionError("new connections are still accepted")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
@pytest.mark.parametrize("mode", SERVERS)
def test_a_request_under_way_is_answered_and_new_connections_are_refused(serve, mode, number):
    """A deployment at noon must not cost a sale."""
    service = serve(ASYNC_MODE=mode)
    with Talker(service.port) as bob:
        last_byte = bob.begin_create(description="slow")
        time.sleep(0.5)  # the service has begun to read it
        _send(service, number)
        _wait_for_closed_port(service)
        assert service.process.poll() is None
        bob.send(last_byte)
        status, headers, body = bob.answer()
    assert (status, json.loads(body)["payment"]["description"]) == (201, "slow")
    assert headers["connection"] == "close"
    assert _exit_status(service) == 0
    assert "Traceback" not in service.log()


@pytest.mark.parametrize("mode", MODES)
def test_a_request_that_waits_for_the_database_is_answered(serve, tmp_path, mode):
    """The request is slow because another writer has locked the file."""
    database = tmp_path / "balcao.sqlite3"
    service = serve(ASYNC_MODE=mode, DATABASE_URL=f"sqlite:///{database}")
    answers: list[Any] = []
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asking = threading.Thread(target=lambda: answers.append(service.create()))
        asking.start()
        time.sleep(1.0)
        _send(service, signal.SIGTERM)
        time.sleep(0.7)
        other.execute("COMMIT")
    asking.join(20)
    assert [answer["status"] for answer in answers] == ["pending"]
    assert _exit_status(service) == 0
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM payments").fetchone() == (1,)


@pytest.mark.parametrize("mode", SERVERS)
def test_open_websockets_and_idle_connections_do_not_hold_the_exit(serve, mode):
    """A thousand open pages must not delay a restart."""
    service = serve(ASYNC_MODE=mode)
    with ExitStack() as open_pages:
        for _ in range(20):
            open_pages.enter_context(RawWebSocket(service.url))
        kept_alive = [open_pages.enter_context(Talker(service.port)) for _ in range(5)]
        for connection in kept_alive:
            assert connection.get("/healthz")[0] == 200
        half_open = open_pages.enter_context(Talker(service.port))
        half_open.send(b"GET /healthz HTTP/1.1\r\nHost: 127")
        started = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - started < PROMPT_EXIT_SECONDS
        for connection in kept_alive:
            assert connection.is_closed_by_the_server()


@pytest.mark.parametrize("mode", MODES)
def test_a_stop_in_the_middle_of_a_sweep_loses_no_expiry(serve, tmp_path, mode):
    """A batch commits as a whole or not at all, and the next start continues."""
    database = tmp_path / "balcao.sqlite3"
    url = f"sqlite:///{database}"
    service = serve(ASYNC_MODE=mode, DATABASE_URL=url)
    template = service.create()
    with closing(sqlite3.connect(database, timeout=10)) as connection, connection:
        _copy_overdue(connection, template["id"], 3000)
    limit = time.monotonic() + 20
    while not _expired(database):
        assert time.monotonic() < limit, "the sweep did not begin"
        time.sleep(0.005)
    assert service.stop() == 0
    first = _expired(database)
    assert first == _expiry_events(database)
    service.start()
    limit = time.monotonic() + 40
    while _expired(database) < 3000:
        assert time.monotonic() < limit, "the sweep did not end"
        time.sleep(0.1)
    assert _expiry_events(database) == 3000


def _copy_overdue(connection: sqlite3.Connection, txid: str, number: int) -> None:
    # pragma_table_info leaves out generated columns, which cannot be written.
    query_of_names = connection.execute(
        "SELECT name FROM pragma_table_info('payments') WHERE name <> 'id'"
    )
    names = [name for (name,) in query_of_names]
    query = f"SELECT {', '.join(names)} FROM payments WHERE txid = ?"  # noqa: S608 - our own names
    row = dict(zip(names, connection.execute(query, [txid]).fetchone(), strict=True))
    row |= {"created_at": "2026-01-01 00:00:00.000000", "expires_at": "2026-01-01 00:10:00.000000"}
    columns, places = ", ".join(row), ", ".join("?" * len(row))
    copies = [
        list({**row, "txid": f"{n:032x}", "watch_code": f"{n:032x}"}.values())
        for n in range(number)
    ]
    insert = f"INSERT INTO payments ({columns}) VALUES ({places})"  # noqa: S608 - our own names
    connection.executemany(insert, copies)


def _expired(database: Any) -> int:
    return _count(database, "SELECT count(*) FROM payments WHERE status = 'expired'")


def _expiry_events(database: Any) -> int:
    return _count(database, "SELECT count(*) FROM payment_events WHERE name = 'payment.expired'")


def _count(database: Any, query: str) -> int:
    with closing(sqlite3.connect(database, timeout=10)) as connection:
        return int(connection.execute(query).fetchone()[0])


@pytest.mark.parametrize("mode", MODES)
def test_ctrl_c_while_it_still_starts_shows_no_trace(tmp_path, mode):
    """No request is running yet, so the process just ends."""
    service = ServiceProcess(tmp_path / "instance", ASYNC_MODE=mode)
    for wait in (0.5, 0.9):
        starting = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=service.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(wait)
        starting.send_signal(signal.SIGINT)
        _, complained = starting.communicate(timeout=20)
        # Ended by the signal, or in good order if it already served.
        assert starting.returncode in (-signal.SIGINT, 0)
        assert "Traceback" not in complained
