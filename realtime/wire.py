"""The websocket under one engine.io connection, the same in the three async modes.

The libraries' own drivers read as fast as a client sends, collect the fragments of a message
without a limit, and expand compressed messages. This driver reads a bounded amount, counts it, and
gives other connections a turn.

A message is sent at once. Only what the kernel does not take waits, for a task that begins then: an
idle connection has no task but the one that reads.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from werkzeug.datastructures import EnvironHeaders
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    TextMessage,
)
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from realtime.allowance import Allowance
from realtime.websocket import RECEIVED_AT_ONCE, acceptance, connection_of, key_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

QUIET_SECONDS = 1.0
"""A client that sent nothing for so long does not flood, and is read without giving way."""

PONG = "3"
"""The answer to a ping of engine.io: nearly all that an idle client sends."""


@dataclass(frozen=True)
class WireBounds:
    """What one websocket may hold, and how long a write waits for its client."""

    message_bytes_max: int
    unsent_max: int
    """Messages that wait for a client that does not read."""

    silence_seconds: float


class Wire:
    """A websocket that engine.io's packets are read from and written to."""

    __slots__ = (
        "_allowance",
        "_bounds",
        "_finish",
        "_has_ended",
        "_has_whole_frames",
        "_is_closing",
        "_key",
        "_lock",
        "_messages",
        "_parts",
        "_parts_bytes",
        "_protocol",
        "_received_at",
        "_send_now",
        "_socket",
        "_tasks",
        "_unsent",
        "_writer",
        "is_open",
        "is_too_fast",
    )

    def __init__(
        self, environ: WSGIEnvironment, allowance: Allowance, bounds: WireBounds, tasks: Any
    ) -> None:
        """Read the handshake; `tasks` is engine.io's server, which starts tasks and sleeps.

        Raises UpgradeRequired and InvalidRequest for a malformed handshake.
        """
        self._key = key_of(EnvironHeaders(environ))
        self._protocol = Connection(ConnectionType.SERVER)
        self._socket, self._finish = connection_of(environ)
        self._send_now = _sender(environ, self._socket)
        self._allowance = allowance
        self._bounds = bounds
        self._tasks = tasks
        self._lock = threading.Lock()
        self._messages: list[str | bytes] = []
        self._parts: list[str | bytes] = []
        self._parts_bytes = 0
        self._has_whole_frames = True
        """Whether what was received ends with the end of a message."""
        self._received_at = 0.0
        self._unsent: list[bytes] = []
        self._writer: Any = None
        """The task that waits for the client to read, if there is one."""
        self._is_closing = False
        self._has_ended = False
        self.is_open = False
        self.is_too_fast = False

    def accept(self) -> None:
        """Accept the upgrade. Raises OSError if the client has gone."""
        self._socket.settimeout(self._bounds.silence_seconds)
        self._socket.sendall(acceptance(self._key))

    def open(self, take_waiting: Callable[[], Iterable[str | bytes]]) -> None:
        """Send what has waited for the websocket, and from now on everything at once.

        Reading has no time limit any more: the heartbeats end a client that is silent.
        """
        with self._lock:
            if not self.is_open:
                self._socket.settimeout(None)
            for packet in take_waiting():
                self._push(self._frame(packet))
            self.is_open = True

    @property
    def unsent(self) -> int:
        """How many messages wait for the client to read."""
        return len(self._unsent)

    def wait(self) -> str | bytes | None:
        """The next message; None if the connection has ended."""
        while not self._messages:
            try:
                data = self._socket.recv(RECEIVED_AT_ONCE)
                stays_open = bool(data) and self._receive(data)
            except BlockingIOError:  # in a thread, while another one changes the time limit
                continue
            except (OSError, EOFError, LocalProtocolError, RemoteProtocolError):
                stays_open = False
            if not stays_open:
                self.end()
                return None
            now = time.monotonic()
            has_been_quiet = now - self._received_at > QUIET_SECONDS
            self._received_at = now
            if not has_been_quiet:
                # A socket with data does not wait, so that a fast client would hold the hub.
                self._tasks.sleep(0)
        return self._messages.pop(0)

    def send(self, packet: str | bytes) -> bool:
        """Send a message once the websocket is open; False before. Never waits."""
        with self._lock:
            if not self.is_open:
                return False
            with suppress(LocalProtocolError):  # it is closing
                self._push(self._frame(packet))
            return True

    def send_and_wait(self, packet: str) -> None:
        """Send a message before the websocket is open. Raises OSError."""
        self._socket.sendall(self._frame(packet))

    def close(self) -> None:
        """Send what waits and a close frame, and end the connection; never waits."""
        with self._lock:
            if self._protocol.state is ConnectionState.OPEN:
                self._push(self._protocol.send(CloseConnection(CloseReason.NORMAL_CLOSURE)))
            self._is_closing = True
            if self._writer is None:
                self.end()

    def end(self) -> None:
        """End the connection at once; a task that reads or writes it wakes up."""
        self._has_ended = True
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def finish(self) -> Sequence[bytes]:
        """End the connection and tell the server that the request is answered."""
        self.end()
        if (writer := self._writer) is not None:
            writer.join()
        return self._finish()

    def _frame(self, packet: str | bytes) -> bytes:
        if isinstance(packet, str):
            return self._protocol.send(TextMessage(packet))
        return self._protocol.send(BytesMessage(packet))

    def _push(self, data: bytes) -> None:
        """Send, or leave to the task that waits for the client; the caller holds the lock."""
        if self._has_ended:
            return
        if self._unsent:
            self._unsent.append(data)
            if len(self._unsent) > self._bounds.unsent_max:
                self.end()
            return
        try:
            sent = self._send_now(data)
        except BlockingIOError:
            sent = 0
        except OSError:  # the client has gone
            self.end()
            return
        if sent < len(data):
            self._unsent.append(data[sent:])
            try:
                self._writer = self._tasks.start_background_task(self._send_rest)
            except RuntimeError:  # no more threads: the client must come again
                self.end()

    def _send_rest(self) -> None:
        """Send what the kernel did not take, and wait for the client meanwhile."""
        with suppress(OSError):  # closed already; the loop ends then
            self._socket.settimeout(self._bounds.silence_seconds)
        data = self._unsent[0]
        while True:
            try:
                self._socket.sendall(data)
            except OSError:
                self.end()
            with self._lock:
                del self._unsent[0]
                if self._unsent and not self._has_ended:
                    data = self._unsent[0]
                    continue
                with suppress(OSError):
                    self._socket.settimeout(None)
                self._writer = None
                if self._is_closing:
                    self.end()
                return

    def _receive(self, data: bytes) -> bool:
        """Collect the messages in these bytes; False if the connection must end."""
        if self._has_whole_frames and _is_pong(data):
            if not self._is_allowed(1, len(data)):
                return False
            self._messages.append(PONG)
            return True
        self._protocol.receive_data(data)
        events = list(self._protocol.events())
        self._has_whole_frames = self._has_whole_frames and _are_whole(events, len(data))
        if not self._is_allowed(len(events), len(data)):
            return False
        return all(self._handle(event) for event in events)

    def _is_allowed(self, messages: int, size: int) -> bool:
        if self._allowance.take(messages, size):
            return True
        self.is_too_fast = True
        self._reply(CloseConnection(code=CloseReason.POLICY_VIOLATION))
        return False

    def _handle(self, event: Event) -> bool:
        if isinstance(event, Ping):
            self._reply(event.response())
        elif isinstance(event, CloseConnection):
            if self._protocol.state is ConnectionState.REMOTE_CLOSING:
                self._reply(event.response())
            return False
        elif isinstance(event, (TextMessage, BytesMessage)):
            return self._collect(event)
        return True

    def _collect(self, event: TextMessage | BytesMessage) -> bool:
        # A part that is empty counts as a byte, because it takes memory too.
        self._parts_bytes += len(event.data) or 1
        if self._parts_bytes > self._bounds.message_bytes_max:
            self._reply(CloseConnection(code=CloseReason.MESSAGE_TOO_BIG))
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

    def _reply(self, event: Event) -> None:
        """Answer a frame; before the websocket is open only the task that reads writes."""
        if not self.is_open:
            self._socket.sendall(self._protocol.send(event))
            return
        with self._lock:
            self._push(self._protocol.send(event))


def _is_pong(data: bytes) -> bool:
    """Whether these bytes are one whole frame of a client with engine.io's pong."""
    return len(data) == 7 and data[:2] == b"\x81\x81" and data[2] ^ data[6] == ord(PONG)


def _are_whole(events: Sequence[Event], size: int) -> bool:
    """Whether these are messages of one frame each, whose frames have exactly so many bytes."""
    frames = 0
    for event in events:
        if not isinstance(event, TextMessage) or not event.message_finished:
            return False
        length = len(event.data.encode())
        frames += length + (6 if length < 126 else 8 if length < 65_536 else 14)
    return frames == size


def _sender(environ: WSGIEnvironment, connection: Any) -> Callable[[bytes], int]:
    """Send what the kernel takes at once, on a socket without a time limit.

    The function returns the number of bytes, and raises BlockingIOError instead of waiting.
    """
    if "eventlet.input" in environ:
        send: Callable[[bytes], int] = connection.fd.send
        return send
    if "werkzeug.socket" in environ:
        return lambda data: int(connection.send(data, socket.MSG_DONTWAIT))
    return partial(connection.send, timeout=0.0)  # gevent's
