"""An HTTP client on a raw socket: slow, in parts, and over one connection."""

from __future__ import annotations

import json
import socket
from types import TracebackType
from typing import Any, Self

ANSWER_SECONDS = 20


class Talker:
    """A connection to the service."""

    def __init__(self, port: int) -> None:
        """Connect. Raises OSError if no server listens."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._bytes = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._socket.sendall(data)

    def end(self) -> None:
        """Send nothing more; the answer can still be read."""
        self._socket.shutdown(socket.SHUT_WR)

    def begin_create(self, **fields: Any) -> bytes:
        """Send a creation without its last byte; return that byte."""
        body = json.dumps({"value": 10, **fields}).encode()
        head = (
            "POST /payments/pix HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self.send(head.encode() + body[:-1])
        return body[-1:]

    def get(self, path: str) -> tuple[int, bytes]:
        """Send a GET on the same connection; return status and body."""
        self.send(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        status, _, body = self.answer()
        return status, body

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Read an answer: status, headers in lower case, body. Raises AssertionError."""
        while b"\r\n\r\n" not in self._bytes:
            self._read()
        head, _, self._bytes = self._bytes.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers["content-length"])
        while len(self._bytes) < length:
            self._read()
        body, self._bytes = self._bytes[:length], self._bytes[length:]
        return int(first.split()[1]), headers, body

    def line(self) -> bytes:
        """Read a line with its end. Raises AssertionError."""
        while b"\n" not in self._bytes:
            self._read()
        line, _, self._bytes = self._bytes.partition(b"\n")
        return line + b"\n"

    def is_closed_by_the_server(self) -> bool:
        """Wait until the server closes the connection; False if it sends data."""
        try:
            return self._socket.recv(1) == b""
        except ConnectionError:
            return True

    def _read(self) -> None:
        received = self._socket.recv(65536)
        assert received, f"closed after {self._bytes!r}"
        self._bytes += received
