"""A closed-loop HTTP client: each connection sends its next request after an answer.

It uses one thread and raw sockets, so that the client is not the bottleneck on two cores. A server
that closes a connection after each answer gets a new one, as from any client.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

ANSWER_TIMEOUT_SECONDS = 20.0


@dataclass
class Load:
    """The result of a round: requests per second, and every latency in seconds."""

    requests_per_second: float
    latencies: list[float]
    bodies: list[bytes] = field(default_factory=list)

    def wait_ms(self, share: float) -> float:
        """The wait below which this share of the waits lies, in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000


@dataclass
class _Connection:
    port: int
    number: int
    """Of its client, see `source_address`."""
    sock: socket.socket
    sent_at: float = 0.0
    head: bytes = b""
    """Of the answer that is being read; empty until the head is complete."""
    body: bytearray = field(default_factory=bytearray)


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
    port: int | Sequence[int],
    requests: Iterable[bytes],
    *,
    clients: int,
    expect: int | Container[int],
    seconds: float | None = None,
) -> Load:
    """Send all requests over `clients` connections, for `seconds` at most; the ports share them.

    Each connection comes from an address of its own, because the service lets the requests of one
    address take turns. Raises AssertionError for an answer whose status is not `expect`, or not
    among them: error answers must not be measured.
    """
    ports = [port] if isinstance(port, int) else port
    waiting = iter(requests)
    expected = {expect} if isinstance(expect, int) else expect
    started = time.perf_counter()
    ends = started + (float("inf") if seconds is None else seconds)
    load = Load(0.0, [])
    with selectors.DefaultSelector() as selector:
        for number in range(clients):
            at = ports[number % len(ports)]
            connection = _Connection(at, number, connect(at, number))
            selector.register(connection.sock, selectors.EVENT_READ, connection)
        started = time.perf_counter()
        for key in list(selector.get_map().values()):
            _send_next(key.data, waiting, selector)
        while selector.get_map() and time.perf_counter() < ends:
            ready = selector.select(ANSWER_TIMEOUT_SECONDS)
            assert ready, f"no answer within {ANSWER_TIMEOUT_SECONDS:.0f} s"
            for key, _ in ready:
                connection = key.data
                if _is_answered(connection, expected):
                    load.latencies.append(time.perf_counter() - connection.sent_at)
                    load.bodies.append(bytes(connection.body))
                    _send_next(connection, waiting, selector)
        load.requests_per_second = len(load.latencies) / (time.perf_counter() - started)
        for key in list(selector.get_map().values()):
            key.data.sock.close()
    return load


def source_address(number: int) -> str:
    """The loopback address of the client with this number."""
    return f"127.{number // 62_500 % 100 + 1}.{number // 250 % 250}.{number % 250 + 1}"


def connect(port: int, number: int) -> socket.socket:
    """A connection from the address of this number."""
    sock = socket.create_connection(("127.0.0.1", port), source_address=(source_address(number), 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _send_next(
    connection: _Connection, waiting: Iterator[bytes], selector: selectors.BaseSelector
) -> None:
    """Send the next request; close the connection after the last."""
    is_closed = b"connection: close" in connection.head.lower()
    connection.head, connection.body = b"", bytearray()
    request = next(waiting, None)
    if request is None:
        selector.unregister(connection.sock)
        connection.sock.close()
        return
    connection.sent_at = time.perf_counter()
    if is_closed:
        selector.unregister(connection.sock)
        connection.sock.close()
        connection.sock = connect(connection.port, connection.number)
        selector.register(connection.sock, selectors.EVENT_READ, connection)
    connection.sock.sendall(request)


def _is_answered(connection: _Connection, expected: Container[int]) -> bool:
    """Read the bytes that have arrived; return whether the answer is complete."""
    data = connection.sock.recv(262_144)
    assert data, "the server closed the connection"
    connection.body += data
    if not connection.head:
        head, separator, rest = connection.body.partition(b"\r\n\r\n")
        if not separator:
            return False
        connection.head, connection.body = bytes(head), bytearray(rest)
        status = status_of(connection.head)
        assert status in expected, f"{status}: {connection.head!r} {bytes(rest[:400])!r}"
    return len(connection.body) >= length_of(connection.head)


def status_of(head: bytes) -> int:
    """The status of an answer."""
    return int(head[9:12])


def length_of(head: bytes) -> int:
    """The length of the answer's body."""
    if status_of(head) in (204, 304):
        return 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise AssertionError("the answer has no Content-Length")
