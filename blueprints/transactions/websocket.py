"""One raw websocket (RFC 6455) over the socket of the request that asked for it.

The protocol is wsproto's. What is ours is how it is written to: at once or not at all. What a
client has not read yet waits in the kernel, up to OUTGOING_BYTES_MAX, and whoever lets more than
that pile up is dropped. So writing never waits, and no slow reader holds up another.
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
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from core.errors import FieldError, InvalidRequest, UpgradeRequired

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

PING_SECONDS = 25.0
"""Between two pings; whoever has said nothing since the last one is gone."""

OUTGOING_BYTES_MAX = 256 * 1024
INCOMING_BYTES_MAX = 16 * 1024
"""Of one message. Nothing a client says is needed here."""

RECEIVED_AT_ONCE = 4096
VERSION = "13"

_KEY = re.compile(r"[A-Za-z0-9+/]{22}==", re.ASCII)
"""Sixteen bytes in base64."""


def handshake(headers: Any, path: str) -> WSConnection:
    """What the client began, from the headers of its request.

    Extensions are not taken: messages are small, and a compressor for each connection is not.
    Raises UpgradeRequired where no websocket, or another version, was asked for; InvalidRequest
    for a handshake that is none.
    """
    if headers.get("Upgrade", "").lower() != "websocket":
        raise UpgradeRequired
    if headers.get("Sec-WebSocket-Version") != VERSION:
        raise UpgradeRequired(f"Only version {VERSION} of the protocol is spoken here.")
    asked = {token.strip().lower() for token in headers.get("Connection", "").split(",")}
    if "upgrade" not in asked:
        raise InvalidRequest([FieldError("Connection", "must be: Upgrade")])
    key = headers.get("Sec-WebSocket-Key", "")
    if not _KEY.fullmatch(key):
        raise InvalidRequest([FieldError("Sec-WebSocket-Key", "must be 16 bytes in base64")])
    protocol = WSConnection(ConnectionType.SERVER)
    protocol.initiate_upgrade_connection(
        [
            (b"Host", b"localhost"),  # it was looked at before, and has no part in the answer
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Version", VERSION.encode()),
            (b"Sec-WebSocket-Key", key.encode()),
        ],
        path,
    )
    return protocol


class Line:
    """A connection that only tells; it is read for pongs and farewells alone."""

    def __init__(self, protocol: WSConnection, connection: Any) -> None:
        """Speak through this socket, which its server leaves to us until `run` ends."""
        self._protocol = protocol
        self._in = connection
        # Another name of the same socket, for it has another patience: none at all.
        self._out = connection.dup()
        self._out.settimeout(0.0)
        self._out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, OUTGOING_BYTES_MAX)
        self._lock = threading.Lock()
        self._incoming = 0
        self.is_over = False

    def accept(self, headers: Iterable[tuple[str, str]], joined: Callable[[], None]) -> None:
        """Agree to the upgrade with these headers besides; `joined` happens before anyone knows.

        What is told from `joined` on comes right behind the agreement.
        """
        extra = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        with self._lock:
            joined()
            self._write(AcceptConnection(extra_headers=extra))

    def tell(self, text: str) -> bool:
        """Send a message, or drop a client that has let too much wait; whether it was sent."""
        with self._lock:
            return self._write(TextMessage(data=text))

    def close(self, code: int, reason: str = "") -> None:
        """Say farewell and end the connection; the client's own farewell is not waited for."""
        with self._lock:
            if self._protocol.state is ConnectionState.OPEN:
                self._write(CloseConnection(code=code, reason=reason))
        with suppress(OSError):
            self._in.shutdown(socket.SHUT_RD)  # whoever waits there wakes up and leaves

    def drop(self) -> None:
        """End the connection without a word."""
        self.is_over = True
        with suppress(OSError):
            self._in.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Answer pings and send our own, until the client leaves or falls silent."""
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
            left = next_ping - time.monotonic()
            if left <= 0:
                if is_waiting:
                    return
                with self._lock:
                    self._write(Ping())
                is_waiting, next_ping = True, next_ping + PING_SECONDS
                continue
            self._in.settimeout(left)
            try:
                data = self._in.recv(RECEIVED_AT_ONCE)
            except TimeoutError:
                continue
            except OSError:
                return
            if not data or not self._heard(data):
                return
            is_waiting = False

    def _heard(self, data: bytes) -> bool:
        """Answer what came; whether the connection goes on."""
        with self._lock:
            try:
                self._protocol.receive_data(data)
                events = list(self._protocol.events())
            except (RemoteProtocolError, LocalProtocolError):
                return False
            return all(self._answered(event) for event in events)

    def _answered(self, event: Event) -> bool:
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
        """Send whole or drop; the lock is held."""
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
    """The client's socket, and how to tell the server that it was answered already.

    Raises RuntimeError under a server that gives no way to its sockets.
    """
    if "werkzeug.socket" in environ:
        return environ["werkzeug.socket"], _gone_from_werkzeug
    if "gunicorn.socket" in environ:
        return environ["gunicorn.socket"], _gone_from_gunicorn
    if "eventlet.input" in environ:
        return environ["eventlet.input"].get_socket(), _gone_from_eventlet
    rfile: Any = getattr(environ["wsgi.input"], "rfile", environ["wsgi.input"])
    if hasattr(rfile, "raw"):  # gevent's
        return rfile.raw._sock, lambda: ()
    raise RuntimeError("this server gives no way to the socket of a request")


def _gone_from_werkzeug() -> Sequence[bytes]:
    raise ConnectionError("answered over a websocket")


def _gone_from_gunicorn() -> Sequence[bytes]:
    raise StopIteration


def _gone_from_eventlet() -> Sequence[bytes]:
    from eventlet.wsgi import WSGI_LOCAL

    WSGI_LOCAL.already_handled = True
    return ()
