"""Many clients, slow clients and busy clients: each gets a fair share."""

from __future__ import annotations

import json
import resource
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from server.incoming import SILENCE_SECONDS_MAX
from tests.process.talking import Talker
from tests.realtime.clients import RawWebSocket, Watcher
from tests.support.service import ServiceProcess

MODES = ("eventlet", "gevent", "threading")
GREEN = ("eventlet", "gevent")


@contextmanager
def _open_files(soft: int) -> Iterator[None]:
    """Set the limit of open files for this process and those it starts, up to the hard limit."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


@pytest.fixture(scope="module", params=MODES)
def service(request, tmp_path_factory) -> Iterator[ServiceProcess]:
    """One process for each mode; a test that needs its own settings or log starts its own."""
    folder = tmp_path_factory.mktemp(f"capacity-{request.param}")
    with ServiceProcess(folder, ASYNC_MODE=request.param) as running:
        yield running


@pytest.mark.slow
@pytest.mark.parametrize("mode", GREEN)
def test_http_is_served_beside_more_websockets_than_the_default_limits(serve, mode):
    """The defaults: eventlet 1,024 connections, gunicorn 1,000, a login shell 1,024 files."""
    with _open_files(1024):
        service = serve(ASYNC_MODE=mode)
    payment = service.create()
    with _open_files(4096), ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(RawWebSocket(service.url))
        with Watcher(service.url, ["websocket"]) as bob:
            bob.watch(payment)
            assert service.tell(payment)[0] == 200
            bob.wait_for("payment-confirmed")
        assert service.get("/healthz")[0] == 200


def test_half_open_requests_do_not_block_others(service):
    """A stranger with two hundred slow connections must not close the shop."""
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(Talker(service.port)).send(b"POST /payments/pix HTTP/1.1\r\nHo")
        assert service.create()["status"] == "pending"


@pytest.mark.slow
def test_silent_connections_are_closed_and_quiet_websockets_are_not(serve, tmp_path):
    """A vanished client must not hold its connection for ever; an open page that waits may."""
    with ExitStack() as stack:
        silent, watching = [], []
        for mode in MODES:
            service = serve(instance=tmp_path / mode, ASYNC_MODE=mode)
            payment = service.create()
            bob = stack.enter_context(Watcher(service.url, ["websocket"]))
            bob.watch(payment)
            watching.append((bob, service, payment))
            for data in (b"", b"GET /healthz HTTP/1.1\r\nHos"):
                charlie = stack.enter_context(Talker(service.port))
                charlie.send(data)
                silent.append((mode, data, charlie))
        time.sleep(SILENCE_SECONDS_MAX + 2)
        for mode, data, charlie in silent:
            if data:
                assert charlie.answer()[0] == 408, mode
            assert charlie.is_closed_by_the_server(), (mode, data)
        for bob, service, payment in watching:
            assert service.tell(payment)[0] == 200
            bob.wait_for("payment-confirmed")
            assert "Traceback" not in service.log()


@pytest.mark.parametrize("mode", GREEN)
def test_a_busy_client_does_not_starve_a_quiet_one(serve, mode):
    """A thousand requests wait on one connection, and one request on another."""
    service = serve(ASYNC_MODE=mode, LOG_LEVEL="info", LOG_FORMAT="json")
    unknown = "/payments/pix/" + "0" * 32 + "/status"
    with Talker(service.port) as busy, Talker(service.port) as quiet:
        assert quiet.get("/healthz")[0] == 200
        busy.send(f"GET {unknown} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() * 1000)
        for _ in range(50):  # the busy client is well under way
            busy.answer()
        reading = threading.Thread(target=lambda: [busy.answer() for _ in range(950)])
        reading.start()
        assert quiet.get("/payments/pix?limit=7")[0] == 200
        reading.join(60)
    entries = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    order = [entry["path"] for entry in entries if entry["event"] == "request"]
    position = order.index("/payments/pix")
    assert len(order) == 1001
    assert 50 <= position < 900


# With threads each request has its own connection.
@pytest.mark.parametrize("service", GREEN, indirect=True)
def test_a_kept_connection_is_not_slower_than_a_new_one_each_time(service):
    """Without TCP_NODELAY, head and body that are sent separately wait 40 ms."""

    def with_new_connection() -> None:
        with Talker(service.port) as once:
            assert once.get("/healthz")[0] == 200

    with Talker(service.port) as connection:
        for _ in range(3):
            assert connection.get("/healthz")[0] == 200
        on_kept = [_seconds(lambda: connection.get("/healthz")) for _ in range(25)]
    on_new = [_seconds(with_new_connection) for _ in range(25)]
    assert statistics.median(on_kept) < 3 * statistics.median(on_new)


def _seconds(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def test_fifty_shoppers_at_once_on_sqlite_are_all_served(service):
    """A writer that yields in its transaction would freeze a green process until a timeout."""
    first = service.create()

    def shop(number: int) -> tuple[int, int, int]:
        created, body, _ = service.request(
            "POST", "/payments/pix", b'{"value": 10}', {"Content-Type": "application/json"},
            timeout=60,
        )  # fmt: skip
        read = service.request(
            "GET", f"/payments/pix/{first['id']}", headers={"Accept": "text/html"}, timeout=60
        )[0]
        payment = json.loads(body)["payment"] if created == 201 else first
        return created, read, service.tell(payment)[0]

    with ThreadPoolExecutor(50) as shoppers:
        answers = list(shoppers.map(shop, range(50)))
    assert set(answers) == {(201, 200, 200)}
    assert "Traceback" not in service.log()


@pytest.mark.parametrize("service", GREEN[:1], indirect=True)
def test_a_service_under_load_stays_ready(service):
    """The sweep and the relay share the single connection of SQLite with everybody."""
    with ThreadPoolExecutor(8) as shoppers:
        list(shoppers.map(lambda _: service.create(), range(100)))
        assert service.get("/readyz")[0] == 200
