"""Heads of requests over a socket: one reading, complete in time, in all modes alike."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from server.heads import HEADERS_MAX
from tests.process.talking import Talker
from tests.support.service import ServiceProcess, resident_bytes

MODES = ("eventlet", "gevent", "threading", "gunicorn")
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD_SECONDS = 1
GROWTH_BYTES_MAX = 32 * 1024 * 1024


@pytest.fixture(scope="module", params=MODES)
def service(request, tmp_path_factory) -> Iterator[ServiceProcess]:
    """One process for each mode, with short times."""
    folder = tmp_path_factory.mktemp(f"heads-{request.param}")
    seconds: dict[str, Any] = {
        "REQUEST_HEAD_SECONDS": HEAD_SECONDS,
        "REQUEST_BODY_SECONDS": 1,
        "KEEP_ALIVE_SECONDS": 2,
    }
    with ServiceProcess(folder, ASYNC_MODE=request.param, **seconds) as running:
        yield running


def create(*fields: str) -> bytes:
    """A creation with these headers, and a second request in what may be its body."""
    lines = ["POST /payments/pix HTTP/1.1", "Host: x", "Content-Type: application/json", *fields]
    return "\r\n".join([*lines, "", '{"value": 10}']).encode() + HEALTH


@pytest.mark.parametrize(
    "data",
    [
        create("Content-Length: 13", "Content-Length: 5"),
        create("Content-Length: +13"),
        create("Content-Length: 13, 6"),
        create("Content-Length: 13", "Transfer-Encoding: xchunked"),
        create("Content-Length: 13", "Transfer-Encoding: chunked"),
        create("Transfer-Encoding: chunked, chunked"),
        create("Content-Length : 13"),
        create("X: a", " Content-Length: 13"),
        create("X: a\nContent-Length: 13"),
        create("X: a\rContent-Length: 13"),
        create("Host: y"),
        b"HEAD /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" + HEALTH,
        b"HEAD / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HEALTH,
        b"GET /healthz\r\n\r\n" + HEALTH,
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n" + HEALTH,
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
def test_an_ambiguous_head_is_answered_once_and_ends_the_connection(service, data):
    """Where a proxy in front reads it the other way, the rest is a request of somebody else."""
    with Talker(service.port) as charlie:
        charlie.send(data)
        status, headers, body = charlie.answer()
        assert (status, headers["connection"]) == (400, "close")
        assert json.loads(body)["code"] == "invalid-request"
        assert charlie.is_closed_by_the_server()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 9000, 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 101 + b"\r\n", 431),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
    ],
)
def test_a_head_that_is_too_long_or_too_new_is_refused_with_its_status(service, data, status):
    """A client that is told why can be mended."""
    with Talker(service.port) as charlie:
        charlie.send(data)
        assert charlie.answer()[0] == status
        assert charlie.is_closed_by_the_server()


@pytest.mark.parametrize(
    ("line", "location"),
    [
        ("GET http://shop.example:81/docs//errors", "http://shop.example:81/docs/errors"),
        ("GET http://shop.example/docs//errors?q=a", "http://shop.example/docs/errors?q=a"),
        ("GET /docs//errors", "http://x/docs/errors"),
    ],
)
def test_a_whole_url_is_a_target_and_names_the_host(service, line, location):
    """Clients of a forward proxy send it; a server must understand it (RFC 9112, 3.2.2)."""
    with Talker(service.port) as alice:
        alice.send(f"{line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        status, headers, _ = alice.answer()
        assert (status, headers["location"]) == (308, location)
    with Talker(service.port) as alice:
        alice.send(b"GET http://x HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n")
        assert alice.answer()[0] == 200


@pytest.mark.parametrize("target", ["/healthz", "http://x/healthz"])
def test_as_many_headers_as_fit_are_answered(service, target):
    """Libraries refuse more in their own ways, one of them without an answer."""
    with Talker(service.port) as alice:
        alice.send(f"GET {target} HTTP/1.0\r\n".encode() + b"X: a\r\n" * HEADERS_MAX + b"\r\n")
        assert alice.answer()[0] == 200


def test_options_asks_about_the_whole_service(service):
    """`OPTIONS *` is answered by the home page, and no other method may ask for it."""
    with Talker(service.port) as alice:
        alice.send(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
        status, headers, _ = alice.answer()
        assert (status, "GET" in headers["allow"]) == (200, True)
    with Talker(service.port) as alice:
        alice.send(b"GET * HTTP/1.1\r\nHost: x\r\n\r\n")
        assert alice.answer()[0] == 400


def test_a_head_that_does_not_end_in_time_is_a_408_and_silence_is_no_answer(service):
    """A trickle of bytes does not extend the time; a browser's spare connection is just closed."""
    with Talker(service.port) as charlie, Talker(service.port) as spare:
        started = time.monotonic()
        charlie.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        with suppress(OSError):  # closed meanwhile
            for _ in range(20):
                charlie.send(b"X: a\r\n")
                time.sleep(0.1)
        assert charlie.answer()[0] == 408
        assert spare.is_closed_by_the_server()
        assert time.monotonic() - started < HEAD_SECONDS + 5


def test_a_body_that_does_not_end_in_time_is_a_408(service):
    """One byte in a while would hold the connection for ever."""
    with Talker(service.port) as charlie:
        charlie.begin_create()
        status, headers, body = charlie.answer()
        assert (status, headers["connection"]) == (408, "close")
        assert json.loads(body)["code"] == "request-timeout"
        assert charlie.is_closed_by_the_server()


@pytest.mark.parametrize("service", ["eventlet", "gevent"], indirect=True)
def test_a_kept_connection_is_closed_when_no_request_follows(service):
    """Longer than a head may take, because browsers use their connections again."""
    with Talker(service.port) as bob:
        assert bob.get("/healthz")[0] == 200
        time.sleep(HEAD_SECONDS + 0.3)
        assert bob.get("/healthz")[0] == 200
        assert bob.is_closed_by_the_server()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "more"),
    [
        (b"GET /", b"a" * 65_536),
        (b"GET / HTTP/1.1\r\n", b"X: a\r\n" * 10_000),
        (b"", b"\r\n" * 32_768),
        (create("Transfer-Encoding: chunked").partition(b"{")[0], b"1" * 65_536),
        (create("Transfer-Encoding: chunked").partition(b"{")[0], b"1\r\nx\r\n" * 10_000),
        (
            create("Transfer-Encoding: chunked").partition(b"{")[0] + b"0\r\n",
            b"X: a\r\n" * 10_000,
        ),
        (
            create("Transfer-Encoding: chunked").replace(b"POST", b"PUT").partition(b"{")[0],
            b"1\r\nx\r\n" * 10_000,
        ),
    ],
)
def test_endless_bytes_fill_no_memory_and_keep_nobody_waiting(service, first, more):
    """Three strangers send as fast as they can, and a probe asks meanwhile."""
    before = resident_bytes(service.worker_pids[0])
    end = time.monotonic() + 1.5

    def flood() -> None:
        while time.monotonic() < end:
            with suppress(OSError), Talker(service.port) as charlie:
                charlie.send(first)
                while time.monotonic() < end:
                    charlie.send(more)

    strangers = [threading.Thread(target=flood) for _ in range(3)]
    for stranger in strangers:
        stranger.start()
    waits = []
    while time.monotonic() < end:
        started = time.monotonic()
        assert service.get("/healthz")[0] == 200
        waits.append(time.monotonic() - started)
        time.sleep(0.05)
    for stranger in strangers:
        stranger.join()
    assert resident_bytes(service.worker_pids[0]) - before < GROWTH_BYTES_MAX
    assert sorted(waits)[len(waits) // 2] < 0.5
    assert "Traceback" not in service.log()
