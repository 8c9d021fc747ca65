"""Sending one webhook: to the checked address only, over verified TLS, and never for too long."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.runtime import lookups
from tests.support.ports import free_port
from tests.support.receivers import Authority, Receiver
from webhooks.sender import Reply, WebhookSender

ROOT = Path(__file__).resolve().parents[2]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
PUBLIC, PRIVATE = "8.8.8.8", "10.0.0.1"
HOST = "shop.test-sender.example.com"
"""A name that only these tests ask for: other threads of the process may look up names, too."""
SYSTEM_CONNECT, SYSTEM_LOOK_UP = socket.socket.connect, socket.getaddrinfo


def post(url: str, *, allow_private: bool = True, seconds: float = 10) -> Reply:
    """One attempt with a body and a header."""
    sender = WebhookSender(allow_private=allow_private, timeout_seconds=seconds)
    return sender.post(url, b'{"a": 1}', {"Content-Type": "application/json", "webhook-id": "e1"})


def reply_to(answer: bytes) -> Reply:
    """The reply when a receiver answers these bytes and closes."""
    with Receiver(answer) as receiver:
        return post(receiver.url())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A private authority."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def trust(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the private authority, as an operator would."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))


class Names:
    """A name server for HOST, and the way to its addresses: they all are a local port.

    Whatever else this process looks up or connects to reaches the system, and is not counted.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: list[list[str]] = []
        """The answers in turn; the last one is repeated."""
        self.connections: list[tuple[str, int]] = []
        """The address and port of every connection that the sender opens or tries to."""
        self.refusing: set[str] = set()
        """The addresses that refuse."""
        self.port = 0
        """Where the connections lead; without a port every address refuses."""
        self._given: set[tuple[str, int]] = set()
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)
        names = self

        def connect(sock: socket.socket, address: Any) -> None:
            names._connect(sock, address)

        monkeypatch.setattr(socket.socket, "connect", connect)

    def _answer(self, host: Any, port: Any, *rest: Any, **options: Any) -> list[Any]:
        if host != HOST:
            return SYSTEM_LOOK_UP(host, port, *rest, **options)
        texts = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self._given |= {(text, port) for text in texts}
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in texts]

    def _connect(self, sock: socket.socket, address: Any) -> None:
        if address not in self._given:
            SYSTEM_CONNECT(sock, address)
            return
        self.connections.append(address)
        if address[0] in self.refusing or not self.port:
            raise ConnectionRefusedError
        SYSTEM_CONNECT(sock, ("127.0.0.1", self.port))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """The name server of the test."""
    return Names(monkeypatch)


def test_a_receiver_gets_the_body_and_the_headers() -> None:
    """Byte for byte, because the signature covers the body."""
    with Receiver(OK) as receiver:
        reply = post(receiver.url(path="/h%20k?a=b"))
    assert (reply.status, reply.error, reply.detail, reply.body) == (200, None, None, "hello")
    assert reply.headers == {"content-type": "text/plain"}
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert body == b'{"a": 1}'
    assert lines[0] == "POST /h%20k?a=b HTTP/1.1"
    assert sorted(lines[1:]) == [
        "accept-encoding: identity",
        "accept: */*",
        "connection: close",
        "content-length: 8",
        "content-type: application/json",
        f"host: 127.0.0.1:{receiver.port}",
        "user-agent: Balcao-Webhooks/1",
        "webhook-id: e1",
    ]


def test_a_private_address_is_refused_before_anything_is_sent() -> None:
    """Both sides of the setting, at a receiver that would answer."""
    with Receiver(OK) as receiver:
        refused = post(receiver.url(), allow_private=False)
        assert (refused.status, refused.error) == (None, "address-refused")
        assert refused.detail is not None
        assert receiver.connections == 0
        assert post(receiver.url()).status == 200
        assert receiver.connections == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_reply_and_is_not_followed(status: int) -> None:
    """A public receiver could lead the service to an address inside the operator's network."""
    with Receiver(OK) as target:
        location = target.url(path="/secret")
        reply = reply_to(
            f"HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
        )
        assert (reply.status, reply.error) == (status, None)
        assert reply.headers["location"] == location
        assert target.connections == 0


def test_the_connection_goes_to_the_address_that_was_checked(
    names: Names, authority: Authority, trust: None
) -> None:
    """A name server that answers a public address first and a private one later wins nothing."""
    names.answers = [[PUBLIC], [PRIVATE]]
    with Receiver(OK, authority.context(HOST)) as receiver:
        names.port = receiver.port
        url = f"https://{HOST}/hook"
        assert post(url, allow_private=False).status == 200
        assert names.connections == [(PUBLIC, 443)]
        assert f"host: {HOST}\r\n".encode() in receiver.requests[0]
        # The second attempt asks again, gets the private address and opens no connection.
        assert post(url, allow_private=False).error == "address-refused"
        assert names.connections == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    ("certificate", "host", "sentence"),
    [
        (HOST, HOST, None),
        ("other.example.com", HOST, "Hostname mismatch"),
        (PUBLIC, HOST, "Hostname mismatch"),
        ("127.0.0.1", "127.0.0.1", None),
        (HOST, "127.0.0.1", "IP address mismatch"),
    ],
)
@pytest.mark.usefixtures("trust")
def test_the_certificate_must_be_valid_for_the_urls_host(
    names: Names, authority: Authority, certificate: str, host: str, sentence: str | None
) -> None:
    """The connection goes to an address, and the certificate is checked for the name."""
    names.answers = [[PUBLIC]]
    with Receiver(OK, authority.context(certificate)) as receiver:
        names.port = receiver.port
        reply = post(f"https://{host}:{receiver.port}/")
    if sentence is None:
        assert (reply.status, reply.error, reply.body) == (200, None, "hello")
    else:
        assert (reply.status, reply.error) == (None, "tls-failed")
        assert sentence in str(reply.detail)
        assert receiver.requests == []


def test_a_certificate_of_an_unknown_authority_is_refused(authority: Authority) -> None:
    """Without the operator's consent nobody vouches for it; the request is not sent."""
    with Receiver(OK, authority.context("127.0.0.1")) as receiver:
        reply = post(receiver.url())
    assert (reply.status, reply.error) == (None, "tls-failed")
    assert "certificate" in str(reply.detail)
    assert receiver.requests == []


def test_a_receiver_without_tls_is_not_reached_by_https() -> None:
    """It answers plain bytes to a handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answer_once, args=(listener, b"HTTP/1.1 400 No\r\n\r\n"))
        thread.start()
        reply = post(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()
    assert (reply.status, reply.error) == (None, "tls-failed")


def _answer_once(listener: socket.socket, answer: bytes) -> None:
    sock, _ = listener.accept()
    with sock:
        sock.recv(65_536)
        sock.sendall(answer)


@pytest.mark.parametrize(
    ("first", "one", "status"),
    [
        (b"", b"H", None),
        (b"HTTP/1.1 200 OK\r\n", b"a", None),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n", None),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"x", 200),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0", 200),
    ],
)
def test_an_answer_byte_by_byte_ends_at_the_deadline(
    first: bytes, one: bytes, status: int | None
) -> None:
    """Each byte comes in time, but the attempt must not hold its place for ever."""
    with Receiver(b"") as receiver:
        receiver.trickle(first, one)
        reply = post(receiver.url(), seconds=0.5)
    assert (reply.status, reply.error) == (status, "timeout")
    assert reply.duration_ms >= 499


@pytest.mark.usefixtures("trust")
def test_an_encrypted_answer_byte_by_byte_ends_at_the_deadline(authority: Authority) -> None:
    """The same through TLS, whose reads are the sender's own."""
    with Receiver(b"", authority.context("127.0.0.1")) as receiver:
        receiver.trickle(b"HTTP/1.1 200 OK\r\n\r\n", b"x")
        reply = post(receiver.url(), seconds=1)
    assert (reply.status, reply.error) == (200, "timeout")
    assert set(reply.body) == {"x"}


def test_a_silent_receiver_ends_at_the_deadline() -> None:
    """It accepts, and answers nothing."""
    with Receiver(b"") as receiver:
        receiver.silence()
        reply = post(receiver.url(), seconds=0.2)
    assert (reply.status, reply.error) == (None, "timeout")


def test_a_handshake_byte_by_byte_ends_at_the_deadline() -> None:
    """In a patched process each byte would start a new timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stopped = threading.Event()
        thread = threading.Thread(target=_trickle_handshake, args=(listener, stopped))
        thread.start()
        reply = post(f"https://127.0.0.1:{listener.getsockname()[1]}/", seconds=0.3)
        stopped.set()
        thread.join()
    assert (reply.status, reply.error) == (None, "timeout")


def _trickle_handshake(listener: socket.socket, stopped: threading.Event) -> None:
    sock, _ = listener.accept()
    with sock, contextlib.suppress(OSError):
        sock.sendall(b"\x16\x03\x03\x40\x00")  # A handshake record of 16 KB.
        while not stopped.wait(0.02):
            sock.sendall(b"\x02")


@pytest.fixture
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A name server that answers when the event is set."""
    event = threading.Event()

    def getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> list[Any]:
        if host != HOST:
            return SYSTEM_LOOK_UP(host, port, *rest, **options)
        event.wait(20)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield event
    event.set()


def test_a_name_server_that_does_not_answer_ends_at_the_deadline(
    slow_names: threading.Event,
) -> None:
    """`getaddrinfo` cannot be interrupted, so it is left alone; the event ends it afterwards."""
    reply = post(f"https://{HOST}/", allow_private=False, seconds=0.2)
    assert (reply.status, reply.error) == (None, "dns-failed")
    assert not slow_names.is_set()


def test_look_ups_that_nobody_waits_for_are_bounded_and_end(
    slow_names: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merchant's slow name server must not collect threads; its places come back."""
    places = threading.BoundedSemaphore(2)
    monkeypatch.setattr(lookups, "_places", places)
    for _ in range(2):
        with pytest.raises(lookups.LookUpFailed, match="in time"):
            lookups.look_up(HOST, 443, 0.05)
    with pytest.raises(lookups.LookUpFailed, match="Too many"):
        lookups.look_up(HOST, 443, 0.05)
    slow_names.set()
    assert lookups.look_up(HOST, 443, 10) == [PUBLIC]


def test_the_next_address_is_tried_when_one_refuses(names: Names) -> None:
    """A machine without IPv6, or one of two servers that is away; two of a family at most."""
    names.answers = [[PUBLIC, "8.8.4.4", "1.1.1.1"]]
    names.refusing = {PUBLIC}
    tries = [(PUBLIC, 80), ("8.8.4.4", 80)]
    assert post(f"http://{HOST}/").error == "connection-refused"
    assert names.connections == tries
    with Receiver(OK) as receiver:
        names.port = receiver.port
        assert post(f"http://{HOST}/").status == 200
    assert names.connections == tries * 2


def test_other_threads_keep_their_network(names: Names) -> None:
    """A thread that an earlier test has left behind is neither led astray nor counted."""
    names.answers = [[PUBLIC]]
    got: list[bytes] = []
    with Receiver(OK) as receiver, Receiver(OK) as elsewhere:
        names.port = receiver.port

        def get() -> None:
            with urllib.request.urlopen(elsewhere.url("localhost"), timeout=10) as answer:
                got.append(answer.read())

        thread = threading.Thread(target=get)
        thread.start()
        assert post(f"http://{HOST}/").status == 200
        thread.join()
    assert got == [b"hello"]
    assert names.connections == [(PUBLIC, 80)]
    assert (receiver.connections, elsewhere.connections) == (1, 1)
    assert elsewhere.requests[0].startswith(b"GET /hook HTTP/1.1\r\n")


def test_a_closed_port_is_a_refused_connection() -> None:
    """The receiver is not running."""
    reply = post(f"http://127.0.0.1:{free_port()}/")
    assert (reply.status, reply.error) == (None, "connection-refused")
    assert reply.detail == "The receiver refused the connection."


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "connection-lost"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "connection-lost"),
        (b"HTTP/1.1 200 OK\r\na: b\r\n", "connection-lost"),
        (b"garbage\r\n\r\n", "bad-answer"),
        (b"\x00\xff\x16\x03\x01" * 100, "bad-answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "bad-answer"),
        (b"HTTP/1.1 abc OK\r\n\r\n", "bad-answer"),
        (b"HTTP/1.1 99 OK\r\n\r\n", "bad-answer"),
        (b"HTTP/1.1 600 OK\r\n\r\n", "bad-answer"),
        (b"HTTP/9.9 200 OK\r\n\r\n", "bad-answer"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "bad-answer"),
        (b"HTTP/1.1 103 Early\r\n\r\n" * 50, "bad-answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000, "bad-answer"),
        (b"H" * 200_000, "bad-answer"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500 + b"\r\n", "bad-answer"),
        (b"HTTP/1.1 200 OK\r\n" + (b"a: " + b"b" * 5000 + b"\r\n") * 50 + b"\r\n", "bad-answer"),
    ],
)
def test_an_answer_that_is_not_http_is_a_reply_with_a_code(answer: bytes, error: str) -> None:
    """A receiver may send anything; nothing of it may raise or fill the memory."""
    reply = reply_to(answer)
    assert (reply.status, reply.error, reply.body) == (None, error, "")
    assert str(reply.detail).endswith(".")


@pytest.mark.parametrize(
    ("answer", "body", "error"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", "", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", None),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end", None),
        (b"HTTP/1.0 200\r\n\r\nold", "old", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
         "abc", None),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx", "x",
         None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc", "abc", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabc", "abc", None),
        (b"HTTP/1.1 200 OK\r\n\r\n\xff\xe9t\xc3\xa9\x00", "\ufffd\ufffdté\ufffd", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "abc", "connection-lost"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "ab", "connection-lost"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nab", "", "connection-lost"),
    ],
)  # fmt: skip
def test_a_body_is_read_however_it_is_framed(answer: bytes, body: str, error: str | None) -> None:
    """The status counts even if the body breaks off; the body is only displayed."""
    reply = reply_to(answer)
    assert (reply.body, reply.error) == (body, error)
    assert reply.status in (200, 204)


@pytest.mark.parametrize(
    "framing", [b"", b"Content-Length: 1000000\r\n", b"Transfer-Encoding: chunked\r\n"]
)
def test_only_four_kilobytes_of_a_body_are_read(framing: bytes) -> None:
    """The rest is left on the way: a receiver cannot fill the database or the memory."""
    chunk = b"186a0\r\n" if b"chunked" in framing else b""
    reply = reply_to(b"HTTP/1.1 500 No\r\n" + framing + b"\r\n" + chunk + b"a" * 1_000_000)
    assert (reply.status, reply.error, reply.body) == (500, None, "a" * 4096)


def test_an_open_connection_is_not_waited_for_after_a_whole_body() -> None:
    """Some receivers ignore `Connection: close`; the attempt ends with the body."""
    with Receiver(b"") as receiver:
        receiver.trickle(OK, b"")
        reply = post(receiver.url(), seconds=30)
    assert (reply.status, reply.error, reply.body) == (200, None, "hello")


def test_headers_to_display_are_few_and_short() -> None:
    """They are stored and shown; cookies are neither."""
    reply = reply_to(
        b"HTTP/1.1 503 No\r\nRetry-After: 120\r\nServer: " + b"s" * 900 + b"\r\nSet-Cookie: a=b\r\n"
        b"Content-Type: text/\x1b[31mx\r\nContent-Length: 0\r\n\r\n"
    )
    assert reply.retry_after == "120"
    assert reply.headers == {
        "retry-after": "120",
        "server": "s" * 200,
        "content-type": "text/\ufffd[31mx",
    }


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would connect to an address that nobody checked."""
    with Receiver(OK) as proxy, Receiver(OK) as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
        assert post(receiver.url()).status == 200
        assert (proxy.connections, receiver.connections) == (0, 1)


_SENDS = """
import json, sys
mode = sys.argv[1]
if mode == "eventlet":
    import warnings
    warnings.simplefilter("ignore")
    import eventlet
    eventlet.monkey_patch()
elif mode == "gevent":
    from gevent import monkey
    monkey.patch_all()
import socket, threading, time
from core.runtime.hub import active_hub
from webhooks.sender import WebhookSender

assert active_hub() == mode
urls = sys.argv[2:]
sender = WebhookSender(allow_private=True, timeout_seconds=2)
replies, ticks = {}, 0

def send(url):
    reply = sender.post(url, b"{}", {})
    replies[url] = [reply.status, reply.error, reply.body]

threads = [threading.Thread(target=send, args=(url,)) for url in urls]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    time.sleep(0.01)
    ticks += 1
print(json.dumps([[replies.get(url) for url in urls], ticks]))
"""


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_attempts_go_on_side_by_side_in_each_async_mode(mode: str, authority: Authority) -> None:
    """A slow receiver ends at its deadline, and holds up neither the others nor the process."""
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(Receiver(OK))
        secure = stack.enter_context(Receiver(OK, authority.context("localhost")))
        slow = stack.enter_context(Receiver(b"", authority.context("127.0.0.1")))
        slow.trickle(b"HTTP/1.1 200 OK\r\n", b"a")
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stopped = threading.Event()
        thread = threading.Thread(target=_trickle_handshake, args=(listener, stopped))
        thread.start()
        urls = [
            plain.url(),
            secure.url("localhost"),
            slow.url(),
            f"https://127.0.0.1:{listener.getsockname()[1]}/",
            f"http://127.0.0.1:{free_port()}/",
            "http://no-such-name.invalid/",
        ]
        ended = subprocess.run(
            [sys.executable, "-c", _SENDS, mode, *urls], cwd=ROOT, capture_output=True, text=True,
            env={"SSL_CERT_FILE": str(authority.path), "PATH": "/usr/bin"}, check=False, timeout=60,
        )  # fmt: skip
        stopped.set()
        thread.join()
    assert ended.returncode == 0, ended.stderr
    replies, ticks = json.loads(ended.stdout)
    assert replies == [
        [200, None, "hello"],
        [200, None, "hello"],
        [None, "timeout", ""],
        [None, "timeout", ""],
        [None, "connection-refused", ""],
        [None, "dns-failed", ""],
    ]
    assert ticks > 10
