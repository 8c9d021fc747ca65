"""One plain websocket (RFC 6455) on the socket of the request that asked for the upgrade.

wsproto implements the protocol. This module adds writes that never wait: data that a client has not
read waits in the kernel, up to OUTGOING_BYTES_MAX, and a client with more is dropped. So no slow
reader delays another one.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError, generate_accept_token

from core.errors import FieldError, InvalidRequest, UpgradeRequired
from realtime.allowance import Allowance, Rates

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

PING_SECONDS = 25.0
"""Between two pings; a client that sent nothing since the last ping has gone."""

OUTGOING_BYTES_MAX = 256 * 1024
INCOMING_BYTES_MAX = 16 * 1024
"""Of one message; clients have nothing to send."""

RECEIVED_AT_ONCE = 4096
RATES = Rates(messages=20, bytes=16_384)
"""What a client of a `Line` may send unless its server says otherwise."""

VERSION = "13"

_KEY = re.compile(r"[A-Za-z0-9+/]{22}==", re.ASCII)
"""16 bytes in base64."""


def key_of(headers: Any) -> str:
    """The key in the headers of a request that asks for a websocket.

    Raises UpgradeRequired if the request asks for no websocket or for another version,
    InvalidRequest for a malformed handshake.
    """
    if headers.get("Upgrade", "").lower() != "websocket":
        raise UpgradeRequired
    if headers.get("Sec-WebSocket-Version") != VERSION:
        raise UpgradeRequired(f"This service speaks version {VERSION} of the websocket protocol.")
    options = {token.strip().lower() for token in headers.get("Connection", "").split(",")}
    if "upgrade" not in options:
        raise InvalidRequest([FieldError("Connection", "must be: Upgrade")])
    key = headers.get("Sec-WebSocket-Key", "")
    if not _KEY.fullmatch(key):
        raise InvalidRequest([FieldError("Sec-WebSocket-Key", "must be 16 bytes in base64")])
    return str(key)


def acceptance(key: str) -> bytes:
    """The answer that accepts the upgrade.

    No extension is accepted: messages are small, and a compressor per connection is large.
    """
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + generate_accept_token(key.encode()) + b"\r\n\r\n"
    )


def handshake(headers: Any, path: str) -> WSConnection:
    """Begin the protocol of a `Line` from the headers of the client's request.

    Raises UpgradeRequired and InvalidRequest as `key_of` does.
    """
    key = key_of(headers)
    protocol = WSConnection(ConnectionType.SERVER)
    protocol.initiate_upgrade_connection(
        [
            (b"Host", b"localhost"),  # required by wsproto; the answer does not contain it
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Version", VERSION.encode()),
            (b"Sec-WebSocket-Key", key.encode()),
        ],
        path,
    )
    return protocol


class Line:
    """An open websocket that only sends; it reads nothing but pongs and close frames."""

    def __init__(
        self, protocol: WSConnection, connection: Any, allowance: Allowance | None = None
    ) -> None:
        """Use this socket, which its server leaves to us until `run` ends."""
        self._protocol = protocol
        self._in = connection
        # A non-blocking duplicate of the socket, so that a write never waits.
        self._out = connection.dup()
        self._out.settimeout(0.0)
        self._out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, OUTGOING_BYTES_MAX)
        self._lock = threading.Lock()
        self._incoming = 0
        self._allowance = allowance or Allowance(RATES)
        self.is_over = False

    def accept(self, headers: Iterable[tuple[str, str]], join: Callable[[], None]) -> None:
        """Accept the upgrade with these extra headers; call `join` just before.

        Messages sent after `join` follow the acceptance directly.
        """
        extra = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        with self._lock:
            join()
            self._write(AcceptConnection(extra_headers=extra))

    def tell(self, text: str) -> bool:
        """Send a message, or drop a client with too much unread data; whether it was sent."""
        with self._lock:
            return self._write(TextMessage(data=text))

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame and end the connection; do not wait for the client's close frame."""
        with self._lock:
            if self._protocol.state is ConnectionState.OPEN:
                self._write(CloseConnection(code=code, reason=reason))
        with suppress(OSError):
            self._in.shutdown(socket.SHUT_RD)  # wakes the reader, which then ends

    def drop(self) -> None:
        """End the connection without a close frame."""
        self.is_over = True
        with suppress(OSError):
            self._in.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Answer pings and send our own, until the client leaves or is silent for too long."""
        try:
            self._listen()
        finally:
            self.drop()
            with suppress(OSError):
                self._out.close()

    def _listen(self) -> None:
        next_ping = time.monotonic() + PING_SECONDS
        is_waiting = False
        while not self.is_over:
            seconds_left = next_ping - time.monotonic()
            if seconds_left <= 0:
                if is_waiting:
                    return
                with self._lock:
                    self._write(Ping())
                is_waiting, next_ping = True, next_ping + PING_SECONDS
                continue
            self._in.settimeout(seconds_left)
            try:
                data = self._in.recv(RECEIVED_AT_ONCE)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data or not self._handle(data):
                return
            is_waiting = False
            # A socket with data does not wait, so that a fast client would hold the hub.
            time.sleep(0)

    def _handle(self, data: bytes) -> bool:
        """Answer what the client sent; return whether the connection stays open."""
        with self._lock:
            try:
                self._protocol.receive_data(data)
                events = list(self._protocol.events())
            except (RemoteProtocolError, LocalProtocolError):
                return False
            if not self._allowance.take(len(events), len(data)):
                self._write(CloseConnection(code=CloseReason.POLICY_VIOLATION))
                return False
            return all(self._handle_event(event) for event in events)

    def _handle_event(self, event: Event) -> bool:
        if isinstance(event, Ping):
            return self._write(event.response())
        if isinstance(event, CloseConnection):
            if self._protocol.state is ConnectionState.REMOTE_CLOSING:
                self._write(event.response())
            return False
        if isinstance(event, (TextMessage, BytesMessage)):
            self._incoming += len(event.data)
            if self._incoming > INCOMING_BYTES_MAX:
                self._write(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG))
                return False
            if event.message_finished:
                self._incoming = 0
        return True

    def _write(self, event: Event) -> bool:
        """Send the whole event or drop the connection; the caller holds the lock."""
        if self.is_over:
            return False
        try:
            data = self._protocol.send(event)
            if self._out.send(data) == len(data):
                return True
        except (LocalProtocolError, OSError):
            pass
        self.drop()
        return False


def connection_of(environ: WSGIEnvironment) -> tuple[Any, Callable[[], Sequence[bytes]]]:
    """The client's socket, and a function that tells the server that the request is answered.

    Raises RuntimeError under a server whose sockets cannot be reached.
    """
    if "werkzeug.socket" in environ:
        return environ["werkzeug.socket"], _detach_from_werkzeug
    if "eventlet.input" in environ:
        return environ["eventlet.input"].get_socket(), _detach_from_eventlet
    rfile: Any = getattr(environ["wsgi.input"], "rfile", environ["wsgi.input"])
    if hasattr(rfile, "raw"):  # gevent's
        return rfile.raw._sock, lambda: ()
    raise RuntimeError("this server does not expose the socket of a request")


def _detach_from_werkzeug() -> Sequence[bytes]:
    raise ConnectionError("answered over a websocket")


def _detach_from_eventlet() -> Sequence[bytes]:
    from eventlet.wsgi import WSGI_LOCAL

    WSGI_LOCAL.already_handled = True
    return ()
