"""Socket.IO clients over raw websockets: one thread runs thousands of them."""

from __future__ import annotations

import base64
import json
import os
import selectors
import struct
import time
from typing import Any

from benchmarks.load import connect

CONNECT_TIMEOUT_SECONDS = 20.0


class Watcher:
    """One client: engine.io 4 over websocket, one Socket.IO namespace."""

    def __init__(self, port: int, number: int = 0) -> None:
        """Connect from the address of this number, and open the namespace."""
        self.sock = connect(port, number)
        self.sock.settimeout(CONNECT_TIMEOUT_SECONDS)
        self._buffer = b""
        self.sock.sendall(upgrade_bytes(port))
        while b"\r\n\r\n" not in self._buffer:
            self._receive()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        assert b" 101 " in head.split(b"\r\n")[0], head
        self.wait_for("0")
        self._send("40")
        self.wait_for("40")

    def watch(self, payment_id: str) -> None:
        """Join the payment's room; return after the server's acknowledgement."""
        self.send_watch("420" + json.dumps(["watch", {"payment_id": payment_id}]))

    def send_watch(self, message: str) -> None:
        """Send this message, which watches a payment; return after the acknowledgement."""
        self._send(message)
        answer = self.wait_for("430")
        assert '"ok":true' in answer.replace(" ", ""), answer

    def wait_for(self, prefix: str) -> str:
        """Wait for a message with this prefix; answer pings meanwhile."""
        while True:
            for message in self.messages():
                if message.startswith(prefix):
                    return message
            self._receive()

    def messages(self) -> list[str]:
        """The complete messages that have arrived; never waits."""
        messages = []
        while (message := self._next_frame()) is not None:
            if message == "2":
                self._send("3")
            else:
                messages.append(message)
        return messages

    def receive_now(self) -> list[str]:
        """Read once; the caller knows that there are bytes to read."""
        self._receive()
        return self.messages()

    def close(self) -> None:
        """Close the socket without a close frame, as phones do."""
        self.sock.close()

    def _receive(self) -> None:
        data = self.sock.recv(65_536)
        assert data, "the server closed the websocket"
        self._buffer += data

    def _next_frame(self) -> str | None:
        message, self._buffer = decode_frame(self._buffer)
        return message

    def _send(self, text: str) -> None:
        self.sock.sendall(encode_frame(text))


def upgrade_bytes(port: int) -> bytes:
    """The request that opens a websocket for Socket.IO."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def decode_frame(buffer: bytes) -> tuple[str | None, bytes]:
    """The first text of the buffer, None if it is incomplete, and the bytes after it."""
    if len(buffer) < 2:
        return None, buffer
    length, start = buffer[1] & 0x7F, 2
    if length == 126:
        if len(buffer) < 4:
            return None, buffer
        length, start = struct.unpack(">H", buffer[2:4])[0], 4
    if len(buffer) < start + length:
        return None, buffer
    return buffer[start : start + length].decode(), buffer[start + length :]


def encode_frame(text: str) -> bytes:
    """A text of a client, masked with zeros, which is allowed, and cheap."""
    payload = text.encode()
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else struct.pack(">BBH", 0x81, 0xFE, size)
    return head + b"\0\0\0\0" + payload


class Crowd:
    """Watchers that answer pings and otherwise do nothing."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self.watchers: list[Watcher] = []

    def add(self, watcher: Watcher) -> None:
        watcher.sock.setblocking(True)
        self._selector.register(watcher.sock, selectors.EVENT_READ, watcher)
        self.watchers.append(watcher)

    def attend(self, seconds: float) -> int:
        """Answer pings for so many seconds; return the number of other messages."""
        messages = 0
        ends = time.monotonic() + seconds
        while (seconds_left := ends - time.monotonic()) > 0:
            for key, _ in self._selector.select(min(seconds_left, 0.2)):
                messages += len(key.data.receive_now())
        return messages

    def close(self) -> None:
        for watcher in self.watchers:
            self._selector.unregister(watcher.sock)
            watcher.close()
        self.watchers.clear()


def event_in(message: str) -> tuple[str, Any]:
    """The name and the data of a Socket.IO event message."""
    name, data = json.loads(message[message.index("[") :])
    return name, data
