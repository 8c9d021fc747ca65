"""One line by itself, over a real socket: heartbeats, the bound, the end."""

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

from blueprints.transactions import websocket
from blueprints.transactions.websocket import Line, handshake

HEADERS = {
    "Upgrade": "websocket",
    "Connection": "keep-alive, Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
BEAT = 0.2


class Peer:
    """The other end, frame by frame."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.protocol.send(Request(host="localhost", target="/"))
        self.heard: list[Event] = []

    def say(self, event: Event) -> None:
        """Send one frame."""
        self.socket.sendall(self.protocol.send(event))

    def head(self) -> bytes:
        """The server's agreement, which is for another key than the peer's own."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(1)
        self.protocol = _open_client()
        return head

    def hear(self, seconds: float, answers: bool = True) -> bool:
        """Take what comes in this time, pings answered or not; whether the connection stands."""
        limit = time.monotonic() + seconds
        while (left := limit - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except TimeoutError:
                return True
            if not data:
                return False
            self.protocol.receive_data(data)
            for event in self.protocol.events():
                self.heard.append(event)
                if isinstance(event, Ping) and answers:
                    self.say(event.response())
        return True

    def kinds(self) -> set[type[Event]]:
        """What was heard."""
        return {type(event) for event in self.heard}


def _open_client() -> WSConnection:
    """A client whose handshake is over."""
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
    """A line that runs, with a quick heart, and its peer after the handshake."""
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


def test_whoever_answers_pings_stays(line_and_peer):
    """An idle till must not be forgotten by a proxy on the way."""
    line, peer, running = line_and_peer
    assert peer.hear(6 * BEAT)
    assert len([event for event in peer.heard if isinstance(event, Ping)]) >= 4
    assert line.tell("still here")
    assert peer.hear(BEAT)
    assert TextMessage in peer.kinds()
    assert running.is_alive()


def test_whoever_is_silent_is_gone_after_the_second_beat(line_and_peer):
    """A cable that was pulled says nothing."""
    _line, peer, running = line_and_peer
    begun = time.monotonic()
    assert not peer.hear(10 * BEAT, answers=False)
    assert BEAT < time.monotonic() - begun < 4 * BEAT
    running.join(5)
    assert not running.is_alive()


def test_whoever_talks_all_the_time_is_pinged_all_the_same(line_and_peer):
    """Proxies count what comes from the server."""
    _line, peer, _running = line_and_peer
    limit = time.monotonic() + 4 * BEAT
    while time.monotonic() < limit:
        peer.say(TextMessage("x"))
        assert peer.hear(BEAT / 10)
    assert Ping in peer.kinds()


def test_what_is_not_read_is_bounded_and_writing_never_waits(line_and_peer):
    """The bound is the kernel's buffer; beyond it the client is dropped, not waited for."""
    line, _peer, running = line_and_peer
    text, told, longest = "x" * 1000, 0, 0.0
    while told < 20_000:
        begun = time.monotonic()
        if not line.tell(text):
            break
        longest = max(longest, time.monotonic() - begun)
        told += 1
    assert 100 < told < 20_000
    assert longest < 1
    assert not line.tell(text)
    running.join(5)
    assert not running.is_alive()


def test_a_closed_line_says_its_code_and_nothing_after_it(line_and_peer):
    """Whoever was revoked must not be told one thing more."""
    line, peer, running = line_and_peer
    line.close(4401, "ended")
    assert not line.tell("secret")
    assert not peer.hear(5)
    assert [(event.code, event.reason) for event in peer.heard] == [(4401, "ended")]
    assert peer.kinds() == {CloseConnection}
    running.join(5)
    assert not running.is_alive()


def test_many_may_tell_at_once(line_and_peer):
    """Whole messages, whoever wrote them."""
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
    told = "".join(event.data for event in peer.heard if isinstance(event, TextMessage))
    assert len(told) == 4 * 50 * 300
    assert all(len(set(told[i : i + 300])) == 1 for i in range(0, len(told), 300))
