"""Raw bytes to the serving process, which must keep running and answer correctly."""

from __future__ import annotations

import socket
from contextlib import suppress

import pytest

from tests.support.service import ServiceProcess


def say(service: ServiceProcess, *parts: bytes, wait: float = 5) -> bytes:
    """Send these bytes; return the bytes received until the service closes the connection."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=wait) as line:
        # A server may close the connection before it has read everything.
        with suppress(OSError):
            for part in parts:
                line.sendall(part)
            line.shutdown(socket.SHUT_WR)
        data = b""
        with suppress(OSError):
            while piece := line.recv(65_536):
                data += piece
    return data


def head(*lines: str) -> bytes:
    """A request's head."""
    return "\r\n".join(["POST /payments/pix HTTP/1.1", "Host: x", *lines, "", ""]).encode("latin-1")


JSON = "Content-Type: application/json"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_raw_nonsense_never_stops_the_service(serve, mode):
    """Ten megabytes without a length, heads without an end, lengths that lie, lines of garbage."""
    service = serve(ASYNC_MODE=mode)
    payment = service.create()
    megabyte = b"%x\r\n%s\r\n" % (1_000_000, b"x" * 1_000_000)
    chunked = say(service, head(JSON, "Transfer-Encoding: chunked"), *[megabyte] * 10, b"0\r\n\r\n")
    assert b"201" not in chunked[:20]
    long = say(service, head(JSON, "Content-Length: 10000000"), b"x" * 10_000_000)
    assert b"201" not in long[:20]
    for nonsense in (
        head(JSON, "Content-Length: -1"),
        head(JSON, "Content-Length: abc"),
        head(JSON, "Content-Length: 99999999999999999999") + b"{}",
        head(JSON, "Content-Length: 10", "Content-Length: 2") + b"{}",
        head(JSON, "Content-Length: 2", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        head(JSON, "Transfer-Encoding: chunked") + b"zz\r\n{}\r\n",
        head(JSON, "Transfer-Encoding: chunked") + b"-1\r\n{}\r\n",
        head("X-Long: " + "x" * 100_000),
        head(*[f"X-{number}: x" for number in range(2000)]),
        head("X-\x00: y"),
        head("no colon here"),
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /%00%ff%0d%0aX-Injected:%20yes HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 1000,
        b"\r\n\r\n\r\n",
        b"GET",
    ):
        answer = say(service, nonsense, wait=2)
        assert b" 500 " not in answer.split(b"\r\n")[0], nonsense[:80]
        assert b"Traceback" not in answer
        assert b"\r\nX-Injected" not in answer
    assert service.get("/healthz")[0] == 200
    assert service.payment(payment["id"])["status"] == "pending"
    status, listed = service.get("/payments/pix")
    assert (status, listed.count(b'"bank_payment_id"')) == (200, 1)
