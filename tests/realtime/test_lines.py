"""One `Line` over a real socket: heartbeats, the limit of unread bytes, the end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Event,
    Ping,
    Request,
    TextMessage,
)

from realtime import websocket
from realtime.websocket import Line, handshake

HEADERS = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
BEAT = 0.2


class Peer:
    """The client's end, frame by frame."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.protocol.send(Request(host="localhost", target="/"))
        self.events: list[Event] = []

    def say(self, event: Event) -> None:
        """Send one frame."""
        self.socket.sendall(self.protocol.send(event))

    def head(self) -> bytes:
        """The server's answer to the handshake, whose key is not the one that wsproto generated."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(1)
        self.protocol = _open_client()
        return head

    def hear(self, seconds: float, answers: bool = True) -> bool:
        """Receive for this time, with or without pongs; return whether the connection is open."""
        limit = time.monotonic() + seconds
        while (remaining := limit - time.monotonic()) > 0:
            self.socket.settimeout(remaining)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                return True
            if not data:
                return False
            self.protocol.receive_data(data)
            for event in self.protocol.events():
                self.events.append(event)
                if isinstance(event, Ping) and answers:
                    self.say(event.response())
        return True

    def kinds(self) -> set[type[Event]]:
        """The kinds of the received events."""
        return {type(event) for event in self.events}


def _open_client() -> WSConnection:
    """A client after its handshake."""
    client, server = WSConnection(ConnectionType.CLIENT), WSConnection(ConnectionType.SERVER)
    server.receive_data(client.send(Request(host="localhost", target="/")))
    list(server.events())
    client.receive_data(server.send(AcceptConnection()))
    list(client.events())
    return client


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two ends of one TCP connection; what the server's end does is bounded in time."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ours = socket.create_connection(listening.getsockname(), 5)
        theirs, _ = listening.accept()
    theirs.settimeout(45)
    with ours, theirs:
        yield theirs, ours


@pytest.fixture
def line_and_peer(monkeypatch) -> Iterator[tuple[Line, Peer, threading.Thread]]:
    """A running line with quick heartbeats, and its peer after the handshake."""
    monkeypatch.setattr(websocket, "PING_SECONDS", BEAT)
    with connected() as (theirs, ours):
        line, peer = Line(handshake(HEADERS, "/"), theirs), Peer(ours)
        line.accept([("X-Request-ID", "1"), ("Set-Cookie", "a=b")], lambda: None)
        running = threading.Thread(target=line.run, daemon=True)
        running.start()
        head = peer.head()
        assert head.startswith(b"HTTP/1.1 101")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # the answer of RFC 6455, 1.3, to this key
        assert b"1\r\n" in head
        assert b"a=b\r\n" in head
        yield line, peer, running
        line.drop()
        running.join(5)
        assert not running.is_alive()


def test_a_client_that_answers_pings_stays(line_and_peer):
    """Pings also keep proxies from closing an idle connection."""
    line, peer, running = line_and_peer
    assert peer.hear(6 * BEAT)
    assert len([event for event in peer.events if isinstance(event, Ping)]) >= 4
    assert line.tell("still here")
    assert peer.hear(BEAT)
    assert TextMessage in peer.kinds()
    assert running.is_alive()


def test_a_silent_client_is_dropped_after_the_second_beat(line_and_peer):
    """A pulled cable sends no close frame."""
    _line, peer, running = line_and_peer
    started_at = time.monotonic()
    assert not peer.hear(10 * BEAT, answers=False)
    assert BEAT < time.monotonic() - started_at < 4 * BEAT
    running.join(5)
    assert not running.is_alive()


def test_a_client_that_always_sends_is_pinged_too(line_and_peer):
    """Proxies count only what the server sends."""
    _line, peer, _running = line_and_peer
    limit = time.monotonic() + 4 * BEAT
    while time.monotonic() < limit:
        peer.say(TextMessage("x"))
        assert peer.hear(BEAT / 10)
    assert Ping in peer.kinds()


def test_unread_bytes_are_limited_and_writing_never_waits(line_and_peer):
    """A client that fills the kernel's buffer is dropped."""
    line, _peer, running = line_and_peer
    text, count, longest = "x" * 1000, 0, 0.0
    while count < 20_000:
        started_at = time.monotonic()
        if not line.tell(text):
            break
        longest = max(longest, time.monotonic() - started_at)
        count += 1
    assert 100 < count < 20_000
    assert longest < 1
    assert not line.tell(text)
    running.join(5)
    assert not running.is_alive()


def test_a_closed_line_sends_its_code_and_nothing_more(line_and_peer):
    """Revoked credentials must get no further message."""
    line, peer, running = line_and_peer
    line.close(4401, "ended")
    assert not line.tell("secret")
    assert not peer.hear(5)
    assert [(event.code, event.reason) for event in peer.events] == [(4401, "ended")]
    assert peer.kinds() == {CloseConnection}
    running.join(5)
    assert not running.is_alive()


def test_many_threads_may_write_at_once(line_and_peer):
    """Messages are never mixed."""
    line, peer, _running = line_and_peer

    def tell(number: int) -> None:
        for _ in range(50):
            line.tell(str(number) * 300)

    tellers = [threading.Thread(target=tell, args=(number,)) for number in range(4)]
    for teller in tellers:
        teller.start()
    for teller in tellers:
        teller.join()
    peer.hear(2 * BEAT)
    text = "".join(event.data for event in peer.events if isinstance(event, TextMessage))
    assert len(text) == 4 * 50 * 300
    assert all(len(set(text[i : i + 300])) == 1 for i in range(0, len(text), 300))
