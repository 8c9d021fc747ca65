"""A closed-loop HTTP client: some keep-alive connections, each asking again once answered.

One thread and raw sockets, so that on two cores the client does not become what is measured.
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
    """What a round gave: requests a second, and every latency in seconds."""

    requests_per_second: float
    latencies: list[float]


@dataclass
class _Connection:
    sock: socket.socket
    sent_at: float = 0.0
    buffer: bytes = b""
    missing: int = -1


def request_bytes(
    method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> bytes:
    """One HTTP/1.1 request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Accept: */*"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method == "POST":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def run(
    port: int, next_request: Callable[[], bytes], *, clients: int, seconds: float, expect: int
) -> Load:
    """Keep `clients` connections busy for `seconds`.

    Raises AssertionError for an answer with another status than `expect`: a measurement of errors
    is none.
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
        assert ready, "nobody answered"
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
    """Take what has come; whether the answer is whole."""
    data = connection.sock.recv(262_144)
    assert data, "the server closed the connection"
    if connection.missing < 0:
        connection.buffer += data
        head, separator, rest = connection.buffer.partition(b"\r\n\r\n")
        if not separator:
            return False
        status = int(head[9:12])
        assert status == expect, f"{status}: {connection.buffer[:400]!r}"
        connection.missing = _length(head) - len(rest)
        connection.buffer = b""
    else:
        connection.missing -= len(data)
    if connection.missing > 0:
        return False
    connection.missing = -1
    return True


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise AssertionError("the answer has no Content-Length")
