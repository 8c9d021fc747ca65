"""One anonymous client that sends as fast as it can: it loses its connection, and nobody waits."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from realtime.allowance import BURST_SECONDS
from realtime.engine import OUTGOING_PACKETS_MAX, PACKETS_AT_ONCE_MAX
from tests.realtime.clients import RawWebSocket
from tests.realtime.sellers import Seller
from tests.support.seconds import least_seconds, slowest_answer
from tests.support.service import ServiceProcess

MODES = ("eventlet", "gevent", "threading")
FLOOD_SECONDS = 2.0
ANSWER_SECONDS_MAX = 0.5
MEMORY_BYTES_MAX = 24 * 1024 * 1024
"""How much one client may make the process grow."""
CONNECTIONS_MAX = 12
MESSAGES_PER_SECOND = 20


@pytest.fixture(scope="module", params=MODES)
def service(request, tmp_path_factory) -> Iterator[ServiceProcess]:
    """The service as a process, once for each mode."""
    folder = tmp_path_factory.mktemp(f"floods-{request.param}")
    with ServiceProcess(
        folder,
        ASYNC_MODE=request.param,
        SOCKETS_PER_ADDRESS_MAX=str(CONNECTIONS_MAX),
        SOCKET_MESSAGES_PER_SECOND=str(MESSAGES_PER_SECOND),
    ) as running:
        yield running


def _frame(text: bytes, opcode: int = 0x81) -> bytes:
    """A client's frame, masked with zeros."""
    is_short = len(text) < 126
    length = bytes([0x80 | (len(text) if is_short else 126)])
    if not is_short:
        length += len(text).to_bytes(2, "big")
    return bytes([opcode]) + length + bytes(4) + text


UNKNOWN = json.dumps(["watch", {"payment_id": "a" * 32}], separators=(",", ":")).encode()
FLOODS = {
    "pongs": _frame(b"3"),
    "junk": _frame(b"4junk"),
    "packets that are none": _frame(b"x"),
    "watches": _frame(b"421" + UNKNOWN),
    "pings of the protocol": _frame(b"", 0x89),
    "fragments without an end": _frame(b"", 0x01) + _frame(b"", 0x00) * 50,
    "attachments": _frame(b"459-" + UNKNOWN) + _frame(b"a" * 1000, 0x82),
    "nested lists": _frame(b"42" + b"[" * 5000),
}


def _memory(service: ServiceProcess) -> int:
    assert service.process is not None
    status = Path(f"/proc/{service.process.pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def _send_until_closed(connection: socket.socket, data: bytes) -> bool:
    """Send for FLOOD_SECONDS and read nothing; return whether the server closed the connection."""
    connection.settimeout(FLOOD_SECONDS)
    limit = time.monotonic() + FLOOD_SECONDS
    while time.monotonic() < limit:
        try:
            connection.sendall(data * 100)
        except TimeoutError:
            return False
        except OSError:
            return True
    return False


def test_a_service_that_stands_still_is_seen(service):
    """What the machine did is taken off the seconds of an answer, and nothing else."""
    assert service.process is not None
    pid = service.process.pid

    def hold() -> None:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(2 * ANSWER_SECONDS_MAX)
        os.kill(pid, signal.SIGCONT)

    assert slowest_answer(service, hold) > ANSWER_SECONDS_MAX


@pytest.mark.parametrize("kind", FLOODS)
def test_a_client_that_floods_is_disconnected_and_delays_nobody(service, kind):
    """One client without credentials held every other visitor for up to 50 seconds."""
    before = _memory(service)

    def measure() -> float:
        closed: list[bool] = []
        with RawWebSocket(service.url) as charlie:
            slowest = slowest_answer(
                service,
                lambda: closed.append(_send_until_closed(charlie.connection, FLOODS[kind])),
            )
        assert closed == [True]
        return slowest

    assert least_seconds(ANSWER_SECONDS_MAX, measure) < ANSWER_SECONDS_MAX
    assert _memory(service) - before < MEMORY_BYTES_MAX
    with RawWebSocket(service.url) as bob:  # the next client is served
        bob.send(b"421" + UNKNOWN)
        assert b'"payment-not-found"' in bob.bytes_within(1.0)


def test_a_merchants_socket_that_floods_is_disconnected(service):
    """A merchant's websocket has nothing to receive but pongs."""
    address, alice = urlsplit(service.url), Seller(service, "alice")
    pings = FLOODS["pings of the protocol"]

    def measure() -> float:
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            connection.sendall(
                f"GET /api/merchant/ws?token={alice.token} HTTP/1.1\r\n"
                f"Host: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            assert connection.recv(4096).startswith(b"HTTP/1.1 101")
            closed: list[bool] = []
            slowest = slowest_answer(
                service,
                lambda: closed.append(_send_until_closed(connection, pings)),
            )
        assert closed == [True]
        return slowest

    assert least_seconds(ANSWER_SECONDS_MAX, measure) < ANSWER_SECONDS_MAX


class _Poller:
    """A long-polling client."""

    def __init__(self, service: ServiceProcess) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=30)
        self._path = "/socket.io/?EIO=4&transport=polling"
        status, body = self.ask("GET")
        assert status == 200
        self._path += f"&sid={json.loads(body[1:])['sid']}"
        assert self.ask("POST", b"40") == (200, b"OK")

    def ask(self, method: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request of this session."""
        self._connection.request(method, self._path, body)
        response = self._connection.getresponse()
        return response.status, response.read()

    def post_until_refused(self, body: bytes) -> int:
        """Post the same body until it is refused, or has been accepted too often.

        Return the status that ends it, or 200. A request costs at least one message. The number
        decides and not the time, because a busy machine floods slowly.
        """
        started, requests, seconds = time.monotonic(), 0, 0.0
        while requests <= MESSAGES_PER_SECOND * (BURST_SECONDS + seconds) and seconds < 30:
            status, _ = self.ask("POST", body)
            if status != 200:
                return status
            requests, seconds = requests + 1, time.monotonic() - started
        return 200

    def close(self) -> None:
        """Leave, as a browser does."""
        self.ask("POST", b"1")
        self._connection.close()


@pytest.mark.parametrize(
    "body",
    [b"3", b"\x1e".join([b"421" + UNKNOWN] * PACKETS_AT_ONCE_MAX)],
    ids=["one pong", "as many packets as fit"],
)
def test_a_poller_that_floods_loses_its_session_and_delays_nobody(service, body):
    """A request may hold many packets, and each of them is work."""

    def measure() -> float:
        statuses: list[int] = []
        with closing(_Poller(service)) as poller:
            slowest = slowest_answer(
                service, lambda: statuses.append(poller.post_until_refused(body))
            )
            assert statuses == [400]
            assert poller.ask("POST", b"3")[0] == 400
        return slowest

    assert least_seconds(ANSWER_SECONDS_MAX, measure) < ANSWER_SECONDS_MAX


def test_the_queue_of_a_client_that_never_reads_has_an_end(service):
    """Its answers and events wait in memory; a client that reads loses none of them."""
    payment = service.create()
    watch = json.dumps(["watch", {"payment_id": payment["id"]}]).encode()
    silent, reader = _Poller(service), _Poller(service)
    for poller in (silent, reader):
        assert poller.ask("POST", b"421" + watch) == (200, b"OK")
    assert b"43" in reader.ask("GET")[1]
    for _ in range(2):
        body = b"\x1e".join([b"422" + UNKNOWN] * 80)
        assert silent.ask("POST", body) == (200, b"OK")
    events = b""
    for _ in range((OUTGOING_PACKETS_MAX - 160) // 2 + 2):
        assert service.tell(payment, value=1)[0] == 400
        events += reader.ask("GET")[1]
    assert events.count(payment["id"].encode()) >= OUTGOING_PACKETS_MAX - 160
    assert silent.ask("GET")[0] == 400
    for poller in (silent, reader):
        poller.close()


def test_as_many_watches_as_a_portal_page_sends_at_once_are_answered(service):
    """A page of the portal watches its hundred payments as soon as it is loaded."""
    poller = _Poller(service)
    body = b"\x1e".join(b"42%d" % number + UNKNOWN for number in range(10, 110))
    assert poller.ask("POST", body) == (200, b"OK")
    answers = b""
    while answers.count(b"payment-not-found") < 100:
        status, more = poller.ask("GET")
        assert status == 200
        answers += more
    poller.close()


@pytest.mark.parametrize(
    "body", [b"x", b"", b"\xff\xfe", b"4\x1e\x1e", b"d", b"42" + b"[" * 5000, b"b!"]
)
def test_junk_over_long_polling_is_a_client_error_or_ignored(service, body):
    """No bytes of a stranger are an error of ours."""
    poller = _Poller(service)
    assert poller.ask("POST", body)[0] in (200, 400)
    poller.close()


@pytest.fixture
def half_changed(service) -> Iterator[tuple[Callable[[bytes], int], socket.socket]]:
    """A session of long polling whose websocket has begun and sends nothing.

    Yields what posts packets to it and returns the status, and the websocket's connection.
    """
    place = urlsplit(service.url)
    with ExitStack() as stack:
        poller = stack.enter_context(closing(http.client.HTTPConnection(place.netloc, timeout=30)))
        poller.request("GET", "/socket.io/?EIO=4&transport=polling")
        session = json.loads(poller.getresponse().read()[1:])["sid"]
        path = f"/socket.io/?EIO=4&sid={session}&transport="
        websocket = stack.enter_context(
            closing(socket.create_connection((place.hostname or "", place.port or 0), 30))
        )
        websocket.sendall(
            f"GET {path}websocket HTTP/1.1\r\nHost: {place.netloc}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert websocket.recv(4096).startswith(b"HTTP/1.1 101")

        def post(packets: bytes) -> int:
            poller.request("POST", f"{path}polling", packets)
            answer = poller.getresponse()
            answer.read()
            return answer.status

        yield post, websocket


def test_packets_by_polling_count_while_a_websocket_begins(half_changed):
    """One look-up in the database each: a client sent 3,000 in two seconds."""
    post, _ = half_changed
    batch = b"\x1e".join([b"421" + UNKNOWN] * PACKETS_AT_ONCE_MAX)
    assert post(b"40") == 200
    most = BURST_SECONDS * MESSAGES_PER_SECOND // PACKETS_AT_ONCE_MAX + 2
    statuses = [post(batch) for _ in range(most)]
    assert 400 in statuses


def test_a_session_that_ends_ends_the_websocket_that_begins(half_changed):
    """It would go on, and no bound of an address would count it."""
    post, websocket = half_changed
    post(b"1")
    websocket.settimeout(10)
    data = b"more"
    while data:
        data = websocket.recv(4096)


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("EIO=4&transport=websocket", {"Upgrade": "websocket", "Connection": "Upgrade"}),
        ("EIO=4&transport=websocket", {"Upgrade": "websocket"}),
        ("EIO=4&transport=websocket", {}),
        ("EIO=4&transport=websocket", {"Upgrade": "websocket", "Connection": "x-upgrade"}),
        ("EIO=4&transport=websocket", {"Upgrade": "h2c", "Connection": "Upgrade"}),
        ("EIO=%FF&transport=%00", {}),
        ("EIO=4&transport=polling&sid=%1b[31m", {}),
        ("EIO=4&transport=polling&j=x", {}),
    ],
)
def test_a_malformed_handshake_is_a_400(service, query, headers):
    """Neither a traceback nor a 500."""
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=30)
    connection.request("GET", f"/socket.io/?{query}", headers=headers)
    assert connection.getresponse().status == 400
    connection.close()


def test_one_address_has_so_many_connections_and_gets_them_back(service):
    """Whoever opens connections without end takes no other address's place."""
    with ExitStack() as stack:
        for _ in range(CONNECTIONS_MAX):
            stack.enter_context(RawWebSocket(service.url))
        status, _, headers = service.request("GET", "/socket.io/?EIO=4&transport=polling")
        assert status == 429
        assert int(headers["Retry-After"]) > 0
    limit = time.monotonic() + 10
    while service.request("GET", "/socket.io/?EIO=4&transport=polling")[0] != 200:
        assert time.monotonic() < limit, "a closed connection still counts"
        time.sleep(0.1)
    assert b"balcao_sockets_total" in service.get("/metrics")[1]
