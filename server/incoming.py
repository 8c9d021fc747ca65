"""What a client sends on one connection: heads and bodies, bounded in bytes and in time.

The same code reads for the servers of all three async modes. A head is complete and judged before a
library sees it; a body ends by itself, whether it has a length or comes in chunks.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from types import SimpleNamespace
from typing import Any

from werkzeug.exceptions import BadRequest, ClientDisconnected, HTTPException, RequestTimeout

from accounts.client_certificates import CLIENT_CERTIFICATE
from config import Settings
from core.runtime.turns import Turn
from server.chunks import Chunks
from server.heads import END, Framing, Head, Refusal, judge_beginning, read_head
from web.problems import CODE_OF_STATUS

SILENCE_SECONDS_MAX = 45
"""A client that is silent for longer has gone: an open websocket answers a ping every 20 s."""

BODY_BYTES_PER_SECOND_MIN = 4096
"""A body gets one second more for each so many bytes."""

UNREAD_BYTES_MAX = 65_536
"""A connection is used again only if the unread rest of a body is not larger."""

LINGER_SECONDS = 2.0
"""How long unread bytes are discarded before a close, so that the client sees the answer."""

RECEIVED_AT_ONCE = 65_536


@dataclass(frozen=True)
class Bounds:
    """How long a client may take, in seconds; and where errors are explained."""

    head_seconds: float
    keep_alive_seconds: float
    body_seconds: float
    errors_url: str

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """The bounds that the settings name."""
        return cls(
            settings.request_head_seconds,
            settings.keep_alive_seconds,
            settings.request_body_seconds,
            f"{settings.public_url}/docs/errors",
        )


@dataclass(frozen=True)
class TlsFacts:
    """That a connection came by TLS, and the client's certificate (`x5t#S256`), if it sent one."""

    certificate_thumbprint: str | None


class Incoming:
    """The requests of one connection; the `rfile` of the libraries' handlers."""

    closed = False  # the libraries ask

    def __init__(
        self,
        connection: socket.socket,
        bounds: Bounds,
        body_type: type[Body],
        on_wait: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """`on_wait` hears whether the connection waits for a request (True) or has one (False)."""
        self.connection = connection
        self.raw = SimpleNamespace(_sock=connection)  # where websockets look for gevent's socket
        self.buffer = bytearray()
        self.body: Body | None = None
        self.tls: TlsFacts | None = None
        self._bounds = bounds
        self._body_type = body_type
        self._on_wait = on_wait
        self._received_before = False
        self.head: Head | None = None
        """The head of the request in progress, until somebody takes it."""
        self._lines: BytesIO | None = None
        self._is_last = False

    @property
    def is_between_requests(self) -> bool:
        """Whether the next byte belongs to the head of a request."""
        return self.body is None or self.body.is_complete

    def next_head(self) -> bool:
        """Read and judge the next head; False if the connection ends here."""
        if self._is_last or not self.is_between_requests:
            return False
        self._on_wait(True)
        try:
            data = self._read_head()
            head = read_head(data) if data else None
        except Refusal as refusal:
            self._refuse(refusal)
            return False
        except OSError:  # the client has gone
            return False
        if head is None:
            return False
        self._on_wait(False)
        self.head, self._lines = head, None
        self.body = self._body_type(self, head.framing, self._bounds.body_seconds)
        # What follows a websocket's end are late frames: they are no request, and get no answer.
        self._is_last = head.framing.asks_for_websocket
        self.connection.settimeout(SILENCE_SECONDS_MAX)
        return True

    def take_head(self) -> Head:
        """The head of the request in progress; can be called once after `next_head`."""
        head, self.head = self.head, None
        if head is None:
            raise RuntimeError("there is no head: call `next_head` first")
        return head

    def readline(self, size: int = -1) -> bytes:
        """The next line of the head, for a library that parses it again."""
        if self._lines is None:
            self._lines = BytesIO(self.take_head().encode())
        return self._lines.readline(size)

    def read(self, size: int = -1) -> bytes:
        """The rest of the head, which is empty; a body is read from `body`."""
        return b"" if self._lines is None else self._lines.read(size)

    def close(self) -> None:
        """Called by the libraries; the socket has its own end."""

    def receive(self, seconds: float) -> bytes:
        """Bytes from the client; empty at the end. Raises TimeoutError, OSError."""
        if seconds <= 0:
            raise TimeoutError
        if self._received_before:
            time.sleep(0)  # others get a turn, however fast this client sends
        self._received_before = True
        self.connection.settimeout(seconds)
        return self.connection.recv(RECEIVED_AT_ONCE)

    def leave(self) -> None:
        """Before a close: let a client that is still sending a body read its answer."""
        if not self.is_between_requests:
            self._discard()

    def _discard(self) -> None:
        """End our side, and discard for a moment what still comes.

        A close with unread bytes would reset the connection, and the client lose the answer.
        """
        self._on_wait(True)
        limit = time.monotonic() + LINGER_SECONDS
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while self.receive(limit - time.monotonic()):
                pass

    def _read_head(self) -> bytes:
        """The bytes of the next head; empty if none comes. Raises Refusal, OSError."""
        buffer, bounds = self.buffer, self._bounds
        self._received_before = False
        is_first = self.body is None
        limit = time.monotonic() + (bounds.head_seconds if is_first else bounds.keep_alive_seconds)
        begun = is_first or bool(buffer)
        while True:
            if buffer.startswith(b"\r\n"):  # an empty line before a request is skipped
                del buffer[:2]
            end = buffer.find(END)
            if end >= 0:
                head = bytes(buffer[: end + len(END)])
                judge_beginning(head)
                del buffer[: len(head)]
                return head
            if buffer:
                judge_beginning(buffer)
                if not begun:
                    begun, limit = True, time.monotonic() + bounds.head_seconds
            try:
                data = self.receive(limit - time.monotonic())
            except TimeoutError:
                if buffer:
                    raise Refusal(408, "The head of the request did not come in time.") from None
                return b""
            if not data:
                return b""
            buffer += data

    def _refuse(self, refusal: Refusal) -> None:
        """Answer bytes that are no request, and discard what follows."""
        status = HTTPStatus(refusal.http_status)
        code = CODE_OF_STATUS.get(refusal.http_status, "invalid-request")
        body = json.dumps(
            {
                "type": f"{self._bounds.errors_url}#{code}",
                "title": status.phrase,
                "status": status.value,
                "detail": refusal.detail,
                "message": refusal.detail,
                "code": code,
                "errors": [],
            }
        ).encode()
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            "Content-Type: application/problem+json",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Connection: close",
            "\r\n",
        )
        self.body = None
        with suppress(OSError):
            self.connection.settimeout(LINGER_SECONDS)
            self.connection.sendall("\r\n".join(lines).encode() + body)
        self._discard()


class Body:
    """The body of one request, as `wsgi.input` that ends by itself.

    Reading raises an HTTPException for a malformed, slow or incomplete body.
    """

    def __init__(self, incoming: Incoming, framing: Framing, seconds: float) -> None:
        """`seconds` is the time to wait for the client, apart from what its bytes earn."""
        self._incoming = incoming
        self._left = framing.length
        self._chunks = Chunks() if framing.is_chunked else None
        self._seconds = seconds
        self._line_rest = b""
        self.expects_continue = framing.expects_continue
        self.is_broken = False
        self.turn: Turn | None = None
        """The turn of the request, while somebody works on it."""

    @property
    def is_complete(self) -> bool:
        """Whether the next byte of the connection belongs to another request."""
        if self.is_broken:
            return False
        return self._chunks.is_done if self._chunks else self._left == 0

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes; all that are left if it is negative or None."""
        most = -1 if size is None else size
        pieces: list[bytes] = []
        while most:
            piece = self._next(most if most > 0 else RECEIVED_AT_ONCE)
            if not piece:
                break
            pieces.append(piece)
            if most > 0:
                most -= len(piece)
        return b"".join(pieces)

    def readline(self, size: int | None = -1) -> bytes:
        """The next line with its end, at most `size` bytes of it."""
        most = RECEIVED_AT_ONCE if size is None or size < 0 else size
        line = b""
        while len(line) < most and b"\n" not in line:
            piece = self._next(most - len(line))
            if not piece:
                break
            line += piece
        end = line.find(b"\n") + 1 or len(line)
        line, self._line_rest = line[:end], line[end:] + self._line_rest
        return line

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """The lines that are left; `hint` is not needed."""
        del hint
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def ends_connection(self) -> bool:
        """Whether an answer that begins now must say that the connection ends with it.

        Only a small rest of a body is discarded after the answer. A client that is not told would
        send its next request into a closed connection.
        """
        if self._chunks is not None:
            self._discard_chunks_here(self._chunks)
        if self.is_complete:
            return False
        has_no_length = self._chunks is not None or self.is_broken or self.expects_continue
        return has_no_length or self._left > UNREAD_BYTES_MAX

    def finish(self) -> bool:
        """Discard a small unread rest; whether the connection can be used again."""
        with suppress(HTTPException):
            while not self.is_complete and not self.ends_connection():
                self._next(RECEIVED_AT_ONCE)
        return self.is_complete

    def _discard_chunks_here(self, chunks: Chunks) -> None:
        """Discard what has come of a chunked body, without waiting for more."""
        try:
            while not self.is_broken and chunks.take(self._incoming.buffer, RECEIVED_AT_ONCE):
                pass
        except Refusal:
            self.is_broken = True

    def _next(self, most: int) -> bytes:
        """Up to `most` bytes, at least one before the end. Raises HTTPException."""
        if self._line_rest:
            piece, self._line_rest = self._line_rest[:most], self._line_rest[most:]
            return piece
        if self.is_complete:
            return b""
        try:
            if self.is_broken:
                raise ConnectionError
            return self._take(most)
        except Refusal as refusal:
            self.is_broken = True
            raise BadRequest(refusal.detail) from None
        except TimeoutError:
            self.is_broken = True
            raise RequestTimeout("The body of the request did not come in time.") from None
        except OSError:
            self.is_broken = True
            raise ClientDisconnected("The client ended the request too early.") from None

    def _take(self, most: int) -> bytes:
        buffer = self._incoming.buffer
        while True:
            if buffer:  # the client did not wait
                self.expects_continue = False
            if self._chunks is not None:
                piece = self._chunks.take(buffer, most)
                if piece or self._chunks.is_done:
                    return piece
            elif buffer:
                piece = bytes(buffer[: min(most, self._left)])
                del buffer[: len(piece)]
                self._left -= len(piece)
                return piece
            self._receive()

    def _receive(self) -> None:
        """Wait for more bytes. Only the waiting is counted, not the work between two reads."""
        incoming = self._incoming
        if self.expects_continue:
            self.expects_continue = False
            incoming.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        with self.turn.interrupted() if self.turn else nullcontext():
            started = time.monotonic()
            data = incoming.receive(min(self._seconds, SILENCE_SECONDS_MAX))
            waited = time.monotonic() - started
        if not data:
            raise ConnectionError
        self._seconds -= waited
        self._seconds += len(data) / BODY_BYTES_PER_SECOND_MIN
        incoming.connection.settimeout(SILENCE_SECONDS_MAX)
        incoming.buffer += data


def with_body(environ: dict[str, Any], incoming: Incoming) -> dict[str, Any]:
    """The environment of a request, with our body in place of the library's."""
    environ["wsgi.input"] = incoming.body
    environ["wsgi.input_terminated"] = True
    if incoming.tls is not None:
        environ["wsgi.url_scheme"] = "https"
        environ[CLIENT_CERTIFICATE] = incoming.tls.certificate_thumbprint
    return environ


def body_of(environ: dict[str, Any]) -> Body | None:
    """The body of this request, if one of our servers read it."""
    body = environ.get("wsgi.input")
    return body if isinstance(body, Body) else None
