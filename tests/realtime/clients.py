"""Clients of the live events: a real Socket.IO client, and a raw websocket that counts bytes."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import engineio
import socketio

TRANSPORTS: dict[str, list[str] | None] = {
    "websocket": ["websocket"],
    "polling": ["polling"],
    "upgrade": None,  # begins by polling and changes over, as browsers do
}
PATIENCE_SECONDS = 10.0
QUIET_SECONDS = 1.0
"""How long a test waits for an event that must not come; events take some milliseconds."""

_PING_FRAME = b"\x81\x012"  # a text frame of one byte, engine.io's ping


class _OrderedConnection(engineio.Client):
    """A connection whose messages are handled by the thread that reads them.

    The library's own handles each in a thread of its own, so that two which come together may
    change places.
    """

    def _trigger_event(self, event: str, *data: Any, **options: Any) -> Any:
        return super()._trigger_event(event, *data, **{**options, "run_async": False})


class _OrderedClient(socketio.Client):
    """A client that hears events in the order in which they were sent."""

    def _engineio_client_class(self) -> type[_OrderedConnection]:
        return _OrderedConnection


class Watcher:
    """A connected client that records every event, in order."""

    def __init__(self, url: str, transports: Sequence[str] | None = None, auth: Any = None) -> None:
        """Connect. Raises socketio.exceptions.ConnectionError."""
        self._client = _OrderedClient(reconnection=False)
        self._events: list[tuple[str, Any]] = []
        self._changed = threading.Condition()
        self._client.on("*", self._hear)
        self._client.connect(url, auth=auth, transports=transports, wait_timeout=PATIENCE_SECONDS)
        # The library does not close these when the server ends the connection. When it closes a
        # websocket itself, it waits three seconds for a close frame that does not come.
        self._session, self._websocket = self._client.eio.http, self._client.eio.ws
        if self._websocket is not None:
            self._websocket.close = partial(self._websocket.close, timeout=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _hear(self, name: str, *data: Any) -> None:
        with self._changed:
            self._events.append((name, data[0] if len(data) == 1 else data))
            self._changed.notify_all()

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return bool(self._client.connected)

    def ask(self, event: str, data: Any = None) -> Any:
        """Emit an event and return the acknowledgement."""
        return self._client.call(event, data, timeout=PATIENCE_SECONDS)

    def emit(self, event: str, data: Any = None) -> None:
        """Emit without waiting for an answer."""
        self._client.emit(event, data)

    def wait_until_closed(self) -> None:
        """Wait until the server has ended the connection."""
        limit = time.monotonic() + PATIENCE_SECONDS
        while self.connected:
            assert time.monotonic() < limit, "the connection still stands"
            time.sleep(0.02)

    def watch(self, payment: Any) -> dict[str, Any]:
        """Watch a payment; return its state from the acknowledgement."""
        answer = self.ask("watch", {"payment_id": payment["id"]})
        assert answer["ok"] is True, answer
        state: dict[str, Any] = answer["payment"]
        return state

    def wait_for(self, name: str) -> Any:
        """Wait for an event with this name; return the data of the first."""
        with self._changed:
            assert self._changed.wait_for(
                lambda: name in self._names(), timeout=PATIENCE_SECONDS
            ), f"{name} was not heard; heard {self._names()}"
            return next(data for event, data in self._events if event == name)

    def wait_for_data(self, name: str, data: Any) -> bool:
        """Wait until an event of this name has come with this data."""
        with self._changed:
            return self._changed.wait_for(
                lambda: (name, data) in self._events, timeout=PATIENCE_SECONDS
            )

    def names(self) -> list[str]:
        """The names of the events so far, in order."""
        with self._changed:
            return self._names()

    def _names(self) -> list[str]:
        return [name for name, _ in self._events]

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.shutdown()
        if self._websocket is not None:
            self._websocket.shutdown()
        if self._session is not None:
            self._session.close()


class RawWebSocket:
    """A raw websocket that sees every byte."""

    def __init__(self, url: str, auth: str = "", source: str = "127.0.0.1") -> None:
        """Shake hands and join the default namespace, as every Socket.IO client does."""
        address = urlsplit(url)
        host, port = address.hostname or "", address.port or 80
        self._socket = socket.create_connection(
            (host, port), timeout=PATIENCE_SECONDS, source_address=(source, 0)
        )
        self._bytes = b""
        request = (
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
            f"Host: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self._socket.sendall(request.encode())
        self._read_until(lambda: b"\r\n\r\n" in self._bytes and b'"sid"' in self._bytes)
        self._bytes = b""
        self.send(b"40" + auth.encode())
        self._read_until(lambda: self._bytes.endswith(b'"}'))
        self._bytes = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connection(self) -> socket.socket:
        """The connection itself, for bytes that are no honest frames."""
        return self._socket

    def send(self, text: bytes) -> None:
        """Send one short text frame, masked as a client's must be."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))
        self._socket.sendall(bytes([0x81, 0x80 | len(text)]) + mask + masked)

    def bytes_within(self, seconds: float) -> bytes:
        """Everything that arrives in this time, apart from engine.io's pings."""
        limit = time.monotonic() + seconds
        while (remaining := limit - time.monotonic()) > 0:
            self._socket.settimeout(remaining)
            try:
                received = self._socket.recv(65536)
            except TimeoutError:
                break
            if not received:
                return self._bytes + b"(closed)"
            self._bytes += received
        return self._bytes.replace(_PING_FRAME, b"")

    def bytes_before(self, message: bytes) -> bytes:
        """Everything that arrives ahead of a text frame that begins so, apart from pings.

        The frame itself and what follows it are left for `bytes_within`.
        """
        self._read_until(lambda: message in self._bytes)
        before, _, rest = self._bytes.replace(_PING_FRAME, b"").partition(message)
        self._bytes = message + rest
        # The frame's own head: its kind, and its length in one byte or in three.
        return before[:-4] if before[-3:-2] == b"\x7e" else before[:-2]

    def forget(self) -> None:
        """Forget the bytes so far."""
        self._bytes = b""

    def close(self) -> None:
        """Close without a close frame."""
        self._socket.close()

    def _read_until(self, there: Callable[[], bool]) -> None:
        while not there():
            received = self._socket.recv(65536)
            assert received, f"closed during the handshake: {self._bytes!r}"
            self._bytes += received
