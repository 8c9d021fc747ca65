"""A closed-loop HTTP client: each keep-alive connection sends its next request after an answer.

It uses one thread and raw sockets, so that the client is not the bottleneck on two cores.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

ANSWER_TIMEOUT_SECONDS = 20.0


@dataclass
class Load:
    """The result of a round: requests per second, and every latency in seconds."""

    requests_per_second: float
    latencies: list[float]


@dataclass
class _Connection:
    sock: socket.socket
    sent_at: float = 0.0
    buffer: bytes = b""
    missing_bytes: int = -1


def request_bytes(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    """The bytes of one HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(
    port: int, next_request: Callable[[], bytes], *, clients: int, seconds: float, expect: int
) -> Load:
    """Keep `clients` connections busy for `seconds`.

    Raises AssertionError for an answer whose status is not `expect`: error answers must not be
    measured.
    """
    selector = selectors.DefaultSelector()
    for _ in range(clients):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(sock, selectors.EVENT_READ, _Connection(sock))
    latencies: list[float] = []
    started = time.perf_counter()
    for key in list(selector.get_map().values()):
        _send(key.data, next_request())
    ends = started + seconds
    while (now := time.perf_counter()) < ends:
        ready = selector.select(ANSWER_TIMEOUT_SECONDS)
        assert ready, f"no answer within {ANSWER_TIMEOUT_SECONDS:.0f} s"
        for key, _ in ready:
            connection: _Connection = key.data
            if _read(connection, expect):
                latencies.append(time.perf_counter() - connection.sent_at)
                _send(connection, next_request())
    elapsed = now - started
    for key in list(selector.get_map().values()):
        key.data.sock.close()
    selector.close()
    return Load(len(latencies) / elapsed, latencies)


def _send(connection: _Connection, request: bytes) -> None:
    connection.sent_at = time.perf_counter()
    connection.sock.sendall(request)


def _read(connection: _Connection, expect: int) -> bool:
    """Read the bytes that have arrived; return whether the answer is complete."""
    data = connection.sock.recv(262_144)
    assert data, "the server closed the connection"
    if connection.missing_bytes < 0:
        connection.buffer += data
        head, separator, rest = connection.buffer.partition(b"\r\n\r\n")
        if not separator:
            return False
        status = int(head[9:12])
        assert status == expect, f"{status}: {connection.buffer[:400]!r}"
        connection.missing_bytes = _length(head) - len(rest)
        connection.buffer = b""
    else:
        connection.missing_bytes -= len(data)
    if connection.missing_bytes > 0:
        return False
    connection.missing_bytes = -1
    return True


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise AssertionError("the answer has no Content-Length")
