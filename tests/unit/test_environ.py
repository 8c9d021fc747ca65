"""The environment of a request is the one that the library's own parser makes of the same head."""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import pytest

from server.environ import GeventHeaders, environ_of
from server.heads import HEAD_BYTES_MAX, Head, Refusal, read_head

eventlet_wsgi = import_module("eventlet.wsgi")
pywsgi = import_module("gevent.pywsgi")
CLIENT = ("127.0.0.2", 5000)
SERVICE = ("127.0.0.1", 8000)


HEADS = [
    [b"GET / HTTP/1.1"],
    [b"GET /a%20b/%C3%A3?c=%20&d HTTP/1.1"],
    [b"GET /a? HTTP/1.1"],
    [b"GET //evil.test//a HTTP/1.1"],
    [b"GET /a%2Fb%zz+c HTTP/1.1"],
    [b"POST /a HTTP/1.1", b"Content-Type: application/json", b"Content-Length: 5"],
    [b"POST /a HTTP/1.1", b"content-type:text/a", b"Content-Type: text/b"],
    [b"POST /a HTTP/1.1", b"Content-Type:", b"Transfer-Encoding: chunked"],
    [b"GET / HTTP/1.1", b"Cookie: a=b", b"X-A: \t1\t ", b"cookie: c=d", b"x-a: 2", b"X-A:"],
    [b"GET / HTTP/1.1", b"X_A: 1", b"Content_Length: 7", b"X-A_B: 3", b"Remote-Addr: ::1"],
    [b"GET / HTTP/1.1", b"X-Name: Jo\xc3\xa3o \xff\x85\xa0", b"X-Colon: a:b: c"],
    [b"GET / HTTP/1.1", b"Expect: 100-continue", b"Connection: close", b"!#$%&'*+.^`|~: x"],
    [b"GET http://y:8/p?q HTTP/1.1", b"A: b"],
    [b"OPTIONS * HTTP/1.1"],
    [b"GET / HTTP/1.0"],
    [b"GET / HTTP/1.1", *(b"X-%d: %d" % (number, number) for number in range(90))],
]


def by_eventlet(data: bytes) -> dict[str, Any]:
    """The environment that eventlet's handler makes of these bytes; without its input."""
    handler = object.__new__(eventlet_wsgi.HttpProtocol)
    handler.rfile = BytesIO(data)
    handler.raw_requestline = handler.rfile.readline()
    handler.client_address = CLIENT
    handler.request = handler.connection = SimpleNamespace(getsockname=lambda: SERVICE)
    handler.conn_state = [None, None, None]
    handler.wfile = BytesIO()
    handler.server = eventlet_wsgi.Server(None, SERVICE, None, log_output=False)
    assert handler.parse_request()
    environ: dict[str, Any] = handler.get_environ()
    for name in ("wsgi.input", "eventlet.input", "eventlet.posthooks", "eventlet.set_idle"):
        del environ[name]
    return environ


def by_gevent(data: bytes, message: Any = None) -> dict[str, Any]:
    """The environment of gevent's handler; `message` replaces its own parser of headers."""
    handler = object.__new__(pywsgi.WSGIHandler)
    handler.rfile = BytesIO(data)
    if message is not None:
        handler.MessageClass = lambda *_: message
    handler.client_address, handler.socket = CLIENT, None
    handler.server = SimpleNamespace(get_environ=dict)
    assert handler.read_request(handler.read_requestline())
    environ: dict[str, Any] = handler.get_environ()
    del environ["wsgi.input"]
    return {**environ, "closes": handler.close_connection, "length": handler.content_length}


def head_of(lines: list[bytes]) -> Head:
    """The head of these lines and a Host."""
    return read_head(b"\r\n".join([lines[0], b"Host: x", *lines[1:], b"", b""]))


@pytest.mark.parametrize("lines", HEADS)
def test_the_environment_is_that_of_eventlet(lines):
    """Code that reads it must not notice who parsed the head."""
    head = head_of(lines)
    assert environ_of(head, CLIENT, SERVICE) == by_eventlet(head.encode())


@pytest.mark.parametrize("lines", HEADS)
def test_gevent_makes_the_same_of_our_headers_as_of_its_own(lines):
    """Its handler asks for headers in several ways."""
    head = head_of(lines)
    assert by_gevent(head.encode(), GeventHeaders(head)) == by_gevent(head.encode())


def test_the_first_value_of_a_header_is_the_one_that_eventlet_asks_for():
    """`Connection` decides whether the connection stays open."""
    head = read_head(b"GET / HTTP/1.1\r\nHost: x\r\nconnection: close\r\nConnection: b\r\n\r\n")
    assert head.get("Connection") == "close"
    assert head.get("Expect", "none") == "none"


def test_a_long_line_that_is_no_header_is_refused_in_a_moment():
    """A pattern that goes back over spaces would hold the process for seconds."""
    started = perf_counter()
    for filling in (b" ", b"\t ", b"a", b":", b": "):
        line = b"X" + b":" + filling * (HEAD_BYTES_MAX // len(filling)) + b"\x00"
        with pytest.raises(Refusal):
            read_head(b"GET / HTTP/1.1\r\nHost: x\r\n" + line + b"\r\n\r\n")
    assert perf_counter() - started < 1


@pytest.mark.parametrize(
    ("version", "connection", "keeps_alive"),
    [
        (b"1", b"", True),
        (b"1", b"Keep-Alive", True),
        (b"1", b"Close", False),
        (b"1", b"Upgrade", True),
        (b"0", b"", False),
        (b"0", b"Keep-Alive", True),
        (b"0", b"close", False),
    ],
)
def test_a_connection_stays_open_as_its_client_asks(version, connection, keeps_alive):
    """By default only that of HTTP/1.1 does."""
    line = b"GET / HTTP/1.%b\r\nHost: x\r\nConnection: %b\r\n\r\n" % (version, connection)
    assert read_head(line).keeps_alive == keeps_alive
