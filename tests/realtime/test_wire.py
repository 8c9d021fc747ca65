"""The websocket of engine.io over a real socket: what waits for a slow reader, and pongs."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from benchmarks.sockets import decode_frame, encode_frame
from realtime.allowance import Allowance, Rates
from realtime.wire import PONG, Wire, WireBounds

HANDSHAKE = {
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
}
UNSENT_MAX = 8
TEXT = "a" * 60_000


class Tasks:
    """Threads in the place of engine.io's tasks."""

    def __init__(self) -> None:
        self.started = 0

    def start_background_task(self, function: Any) -> threading.Thread:
        self.started += 1
        thread = threading.Thread(target=function, daemon=True)
        thread.start()
        return thread

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@contextmanager
def open_wire(waiting: list[str | bytes]) -> Iterator[tuple[Wire, socket.socket, Tasks]]:
    """A wire after its handshake, the client's end, and the tasks that the wire starts."""
    theirs, ours = socket.socketpair()
    tasks = Tasks()
    with theirs, ours:
        environ: Any = {**HANDSHAKE, "werkzeug.socket": theirs}
        allowance = Allowance(Rates(messages=20, bytes=16_384))
        wire = Wire(environ, allowance, WireBounds(16_384, UNSENT_MAX, 5.0), tasks)
        wire.accept()
        head = ours.recv(4096)
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # the answer of RFC 6455, 1.3, to this key
        assert head.endswith(b"\r\n\r\n")
        assert not wire.send("before it is open")
        wire.open(lambda: waiting)
        ours.settimeout(5)
        yield wire, ours, tasks
        wire.end()


def messages(ours: socket.socket, number: int) -> list[str]:
    """So many messages that the client receives."""
    buffer = b""
    texts: list[str] = []
    while len(texts) < number:
        message, buffer = decode_frame(buffer)
        if message is None:
            buffer += ours.recv(65_536)
        else:
            texts.append(message)
    return texts


def test_messages_are_sent_at_once_and_no_task_waits_beside_them():
    """What waited for the websocket comes first."""
    with open_wire(["0open"]) as (wire, ours, tasks):
        assert wire.send("42event")
        assert messages(ours, 2) == ["0open", "42event"]
        assert tasks.started == 0


def test_a_slow_reader_gets_every_message_in_order_and_delays_nobody():
    """A task waits for it, and ends when all is sent."""
    with open_wire([]) as (wire, ours, tasks):
        texts = [f"{number}{TEXT}" for number in range(UNSENT_MAX)]
        started = time.monotonic()
        for text in texts:
            assert wire.send(text)
        assert time.monotonic() - started < 1
        assert tasks.started == 1
        assert wire.unsent > 1
        assert messages(ours, len(texts)) == texts
        limit = time.monotonic() + 5
        while wire.unsent:
            assert time.monotonic() < limit
            time.sleep(0.01)
        assert wire.send("42event")
        assert messages(ours, 1) == ["42event"]
        assert tasks.started == 1


def test_what_waits_is_sent_before_a_close():
    """The close frame is the last one, and the connection ends."""
    with open_wire([]) as (wire, ours, _):
        for _ in range(4):
            wire.send(TEXT)
        wire.close()
        assert not wire.send("too late") or wire.unsent
        data = b""
        while more := ours.recv(1_000_000):
            data += more
        assert data.count(TEXT.encode()) == 4
        assert data.endswith(b"\x88\x02\x03\xe8")


def test_a_client_that_never_reads_is_ended():
    """Messages do not gather without end."""
    with open_wire([]) as (wire, ours, _):
        for _ in range(UNSENT_MAX * 4):
            wire.send(TEXT)
        while ours.recv(1_000_000):
            pass
        assert wire.unsent <= UNSENT_MAX + 1


@pytest.mark.parametrize(
    ("pieces", "others"),
    [
        ([encode_frame("3")], []),
        ([encode_frame("40"), encode_frame("3")], ["40"]),
        ([encode_frame("40") + encode_frame("3")], ["40"]),
        ([encode_frame("40")[:3], encode_frame("40")[3:] + encode_frame("3")], ["40"]),
        ([encode_frame("40" + "b" * 200), encode_frame("3")], ["40" + "b" * 200]),
    ],
)
def test_a_pong_is_read_however_its_bytes_come(pieces, others):
    """Alone it is recognised by its bytes; otherwise it is read as any frame."""
    with open_wire([]) as (wire, ours, _):
        for piece in pieces:
            ours.sendall(piece)
        assert [wire.wait() for _ in [*others, PONG]] == [*others, PONG]


def test_bytes_inside_a_larger_frame_are_no_pong():
    """A frame may come in pieces, and one of them may look like a pong."""
    pong = encode_frame("3")
    with open_wire([]) as (wire, ours, _):
        # A binary frame, masked with zeros, whose payload is exactly the bytes of a pong.
        head = bytes([0x82, 0x80 | len(pong)]) + bytes(4)
        answers: list[Any] = []
        reader = threading.Thread(target=lambda: answers.append(wire.wait()), daemon=True)
        reader.start()
        ours.sendall(head)
        time.sleep(0.1)
        ours.sendall(pong)
        reader.join(5)
        assert answers == [pong]
