"""The websocket under one engine.io connection, the same in the three async modes.

The libraries' own drivers read as fast as a client sends, collect the fragments of a message
without a limit, and expand compressed messages. This driver reads a bounded amount, counts it, and
gives other connections a turn.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from werkzeug.datastructures import EnvironHeaders
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

from realtime.allowance import Allowance
from realtime.websocket import RECEIVED_AT_ONCE, connection_of, handshake

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

PATH = "/socket.io/"


class Wire:
    """A websocket with the methods that engine.io calls: `wait`, `send` and `close`."""

    def __init__(
        self,
        environ: WSGIEnvironment,
        allowance: Allowance,
        *,
        message_bytes_max: int,
        silence_seconds: float,
        give_way: Callable[[], object],
    ) -> None:
        """Read the handshake; `give_way` lets other connections run.

        Raises UpgradeRequired and InvalidRequest for a malformed handshake.
        """
        self._protocol = handshake(EnvironHeaders(environ), PATH)
        connection, self._finish = connection_of(environ)
        self._socket = connection
        self._silence_seconds = silence_seconds
        self._allowance = allowance
        self._message_bytes_max = message_bytes_max
        self._give_way = give_way
        self._lock = threading.Lock()
        self._messages: deque[str | bytes] = deque()
        self._parts: list[str | bytes] = []
        self._parts_bytes = 0
        self.is_too_fast = False

    def accept(self) -> None:
        """Accept the upgrade. Raises OSError if the client has gone."""
        self._socket.settimeout(self._silence_seconds)
        self._write(AcceptConnection())

    def wait(self) -> str | bytes | None:
        """The next message; None if the connection has ended."""
        while not self._messages:
            try:
                data = self._socket.recv(RECEIVED_AT_ONCE)
                stays_open = bool(data) and self._receive(data)
            except (OSError, LocalProtocolError, RemoteProtocolError):
                stays_open = False
            if not stays_open:
                self.end()  # wakes the task that writes
                return None
            # A socket with data does not wait, so that a fast client would hold the hub.
            self._give_way()
        return self._messages.popleft()

    def send(self, packet: str | bytes) -> None:
        """Send a message; wait for a client that reads slowly. Raises OSError."""
        if isinstance(packet, str):
            self._write(TextMessage(data=packet))
        else:
            self._write(BytesMessage(data=packet))

    def close(self) -> None:
        """Send a close frame if the connection still stands, and end it."""
        with suppress(OSError, LocalProtocolError):
            if self._protocol.state is ConnectionState.OPEN:
                self._write(CloseConnection(code=CloseReason.NORMAL_CLOSURE))
        self.end()

    def end(self) -> None:
        """End the connection at once; a thread that reads or writes it wakes up."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def finish(self) -> Sequence[bytes]:
        """End the connection and tell the server that the request is answered."""
        self.end()
        return self._finish()

    def _receive(self, data: bytes) -> bool:
        """Collect the messages in these bytes; False if the connection must end."""
        self._protocol.receive_data(data)
        events = list(self._protocol.events())
        if not self._allowance.take(len(events), len(data)):
            self.is_too_fast = True
            self._write(CloseConnection(code=CloseReason.POLICY_VIOLATION))
            return False
        return all(self._handle(event) for event in events)

    def _handle(self, event: Event) -> bool:
        if isinstance(event, Ping):
            self._write(event.response())
        elif isinstance(event, CloseConnection):
            if self._protocol.state is ConnectionState.REMOTE_CLOSING:
                self._write(event.response())
            return False
        elif isinstance(event, (TextMessage, BytesMessage)):
            return self._collect(event)
        return True

    def _collect(self, event: TextMessage | BytesMessage) -> bool:
        # A part that is empty counts as a byte, because it takes memory too.
        self._parts_bytes += len(event.data) or 1
        if self._parts_bytes > self._message_bytes_max:
            self._write(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG))
            return False
        self._parts.append(event.data if isinstance(event, TextMessage) else bytes(event.data))
        if event.message_finished:
            joined: str | bytes = (
                "".join(str(part) for part in self._parts)
                if isinstance(event, TextMessage)
                else b"".join(part for part in self._parts if isinstance(part, bytes))
            )
            self._messages.append(joined)
            self._parts, self._parts_bytes = [], 0
        return True

    def _write(self, event: Event) -> None:
        with self._lock:
            self._socket.sendall(self._protocol.send(event))
