"""All that one address can send at once: nobody else waits for it, in any mode."""

from __future__ import annotations

import json
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from realtime.allowance import BURST_SECONDS
from tests.realtime.clients import RawWebSocket, Watcher
from tests.support.seconds import least_seconds, slowest_answer
from tests.support.service import ServiceProcess

MODES = ("eventlet", "gevent", "threading")
STRANGER = "127.0.6.1"
"""The address that attacks; 127.0.0.1 asks meanwhile."""

ANSWER_SECONDS_MAX = 0.5
AT_ONCE = 500
BODY = json.dumps({"username": "somebody", "password": "a wrong password"}).encode()
SIGN_IN = (
    "POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(BODY)}\r\n\r\n"
).encode()
PAGE = b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
SOCKETS, WATCHES_PER_SECOND, FLOOD_SECONDS = 150, 18, 3.0
WATCH = b"421" + json.dumps(["watch", {"payment_id": "a" * 32}]).encode()


@pytest.fixture(scope="module", params=MODES)
def service(request, tmp_path_factory) -> Iterator[ServiceProcess]:
    """The service as a process, once for each mode, with the usual bounds."""
    folder = tmp_path_factory.mktemp(f"bursts-{request.param}")
    with ServiceProcess(
        folder,
        ASYNC_MODE=request.param,
        SIGN_IN_TRIES_PER_ADDRESS_MAX="100",
        SOCKET_MESSAGES_PER_SECOND="20",
    ) as running:
        yield running


class Crowd:
    """Many connections from one address."""

    def __init__(self, service: ServiceProcess, sent_first: bytes, source: str = STRANGER) -> None:
        """Connect; send these bytes over each connection."""
        self._sockets: list[socket.socket] = []
        for _ in range(AT_ONCE):
            connection = socket.create_connection(
                ("127.0.0.1", service.port), 30, source_address=(source, 0)
            )
            connection.sendall(sent_first)
            self._sockets.append(connection)
        self.statuses: Counter[int] = Counter()
        self.has_sent = threading.Event()

    def send(self, data: bytes) -> None:
        """Send over all connections at once; count the answers' statuses."""
        with selectors.DefaultSelector() as selector:
            for connection in self._sockets:
                connection.sendall(data)
                selector.register(connection, selectors.EVENT_READ, connection)
            self.has_sent.set()
            limit = time.monotonic() + 60
            while selector.get_map() and time.monotonic() < limit:
                for key, _ in selector.select(1.0):
                    selector.unregister(key.fileobj)
                    self.statuses[int(key.data.recv(65_536)[9:12] or 0)] += 1

    def close(self) -> None:
        """Close all connections."""
        for connection in self._sockets:
            connection.close()


@pytest.mark.parametrize(
    ("first", "rest"),
    [(b"", PAGE), (b"", SIGN_IN + BODY), (SIGN_IN + BODY[:5], BODY[5:])],
    ids=["pages", "wrong sign-ins", "bodies that end at once"],
)
def test_a_burst_of_one_address_delays_no_other_one(service, first, rest):
    """Five hundred wrong sign-ins held every visitor for up to seven seconds."""

    def measure() -> float:
        crowd = Crowd(service, first)
        time.sleep(0.5)
        slowest = slowest_answer(service, lambda: crowd.send(rest))
        crowd.close()
        assert sum(crowd.statuses.values()) == AT_ONCE
        assert set(crowd.statuses) <= {200, 401, 429}, crowd.statuses
        return slowest

    assert least_seconds(ANSWER_SECONDS_MAX, measure) < ANSWER_SECONDS_MAX


def test_a_burst_of_new_connections_delays_no_other_one(service):
    """A client that connects after them is answered before the last of them."""

    def measure() -> float:
        crowds: list[Crowd] = []

        def connect_and_send() -> None:
            crowds.append(Crowd(service, SIGN_IN + BODY))
            crowds[0].send(b"")

        slowest = slowest_answer(service, connect_and_send)
        crowds[0].close()
        assert sum(crowds[0].statuses.values()) == AT_ONCE
        return slowest

    assert least_seconds(ANSWER_SECONDS_MAX, measure) < ANSWER_SECONDS_MAX


def test_many_sockets_within_their_bounds_delay_no_other_one(service):
    """Each sends less than it may, and all together more than the process can work on.

    An event amid them is told, stored and announced within twice the time of an answer.
    """
    assert WATCHES_PER_SECOND * FLOOD_SECONDS < 20 * BURST_SECONDS

    def measure() -> float:
        slowest, event_seconds = _flood_with_many_sockets(service)
        return max(slowest, event_seconds / 2)

    assert least_seconds(ANSWER_SECONDS_MAX, measure) < ANSWER_SECONDS_MAX


def _flood_with_many_sockets(service: ServiceProcess) -> tuple[float, float]:
    """The seconds of the slowest answer, and of an event that is heard amid the flood."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(RawWebSocket(service.url, source=STRANGER)) for _ in range(SOCKETS)
        ]
        payment = service.create()
        bob = stack.enter_context(Watcher(service.url, ["websocket"]))
        bob.watch(payment)

        def flood() -> None:
            next_round = time.monotonic()
            for _ in range(int(WATCHES_PER_SECOND * FLOOD_SECONDS)):
                for each in sockets:
                    each.send(WATCH)
                next_round += 1 / WATCHES_PER_SECOND
                time.sleep(max(0.0, next_round - time.monotonic()))

        def confirm_amid_the_flood() -> None:
            started = time.monotonic()
            assert service.tell(payment)[0] == 200
            bob.wait_for("payment-confirmed")
            seconds.append(time.monotonic() - started)

        seconds: list[float] = []
        timer = threading.Timer(FLOOD_SECONDS / 2, confirm_amid_the_flood)
        timer.start()
        slowest = slowest_answer(service, flood)
        timer.join()
        return slowest, seconds[0]


@pytest.mark.parametrize("mode", MODES)
def test_a_stop_amid_a_burst_answers_what_waits_for_its_turn(serve, mode):
    """The stop counts the requests that wait, and finishes them."""
    service = serve(ASYNC_MODE=mode)
    crowd = Crowd(service, b"")
    time.sleep(0.5)
    thread = threading.Thread(target=crowd.send, args=(PAGE,))
    thread.start()
    assert crowd.has_sent.wait(10)
    time.sleep(0.3)
    assert service.process is not None
    service.process.terminate()
    thread.join(20)
    crowd.close()
    assert crowd.statuses == {200: AT_ONCE}
    assert service.process.wait(10) == 0
