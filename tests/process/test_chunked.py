"""Bodies with `Transfer-Encoding: chunked` over a socket, as .NET and streams of Node send them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from core.clock import SystemClock
from core.signing import signatures
from realtime.setup import MESSAGE_BYTES_MAX
from server.incoming import UNREAD_BYTES_MAX
from tests.process.talking import Talker
from tests.support.service import DEMO_PASSWORD, SECRET, ServiceProcess

MODES = ("eventlet", "gevent", "threading", "gunicorn")
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module", params=MODES)
def service(request, tmp_path_factory) -> Iterator[ServiceProcess]:
    """One process for each mode."""
    folder = tmp_path_factory.mktemp(f"chunked-{request.param}")
    with ServiceProcess(folder, ASYNC_MODE=request.param) as running:
        yield running


def chunked(path: str, body: bytes, headers: dict[str, str], step: int = 7) -> bytes:
    """A whole request whose body is cut into chunks of `step` bytes."""
    lines = [f"{name}: {value}" for name, value in headers.items()]
    head = [f"POST {path} HTTP/1.1", "Host: x", *lines, "Transfer-Encoding: chunked", "\r\n"]
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    return "\r\n".join(head).encode() + b"".join(
        [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces] + [b"0\r\n\r\n"]
    )


def post(service: ServiceProcess, path: str, body: bytes, headers: dict[str, str]) -> int:
    """Send a chunked request; return the status."""
    with Talker(service.port) as client:
        client.send(chunked(path, body, headers))
        return client.answer()[0]


def test_every_door_reads_a_chunked_body(service):
    """An empty body in its place refuses the bank's confirmation, and its money goes back."""
    assert post(service, "/payments/pix", b'{"value": 10}', JSON) == 201
    form = f"username=demo&password={DEMO_PASSWORD}".encode()
    form_type = {"Content-Type": "application/x-www-form-urlencoded"}
    assert post(service, "/token", form, form_type) == 200
    payment = service.create()
    confirmation = json.dumps({"bank_payment_id": payment["id"], "value": 10}).encode()
    signed = signatures.signed_headers(SECRET, "msg_chunked", SystemClock().now(), confirmation)
    confirmation_status = post(
        service, "/payments/pix/confirmation", confirmation, {**JSON, **signed}
    )
    assert confirmation_status == 200
    assert service.payment(payment["id"])["status"] == "confirmed"
    code = json.dumps({"qr_data": payment["id"]}).encode()
    assert post(service, "/api/payment/verify-qr", code, JSON) == 200
    picture = service.get(f"/payments/pix/qr_code/qr_code_payment_{payment['id']}.png")[1]
    part = b'--XX\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    upload = {"Content-Type": "multipart/form-data; boundary=XX"}
    path = "/api/payment/upload-screenshot-with-qr"
    assert post(service, path, part + picture + b"\r\n--XX--\r\n", upload) == 200


def test_a_chunked_body_that_is_too_large_is_a_413(service):
    """The same limit as with a length: 64 KiB are accepted, one byte more is refused."""
    for extra, expected in ((0, 201), (1, 413)):
        body = b'{"value": 10}'.ljust(65_536 + extra)
        with Talker(service.port) as client:
            client.send(chunked("/payments/pix", body, JSON, step=4000))
            status, headers, answer = client.answer()
        assert status == expected
        assert expected == 201 or json.loads(answer)["code"] == "payload-too-large"
        assert "content-length" in headers


def test_a_chunked_packet_of_a_long_poller_is_read_with_the_same_limit(service):
    """It was answered with 200 and lost, because the missing length was read as 0."""
    for body, expected in ((b"40", 200), (b"4" * MESSAGE_BYTES_MAX + b"4", 400)):
        path = "/socket.io/?EIO=4&transport=polling"
        path += f"&sid={json.loads(service.get(path)[1][1:])['sid']}"
        with Talker(service.port) as client:
            client.send(chunked(path, body, {"Content-Type": "text/plain"}, step=4000))
            assert client.line().split()[1] == b"%d" % expected
        if expected == 200:
            assert service.get(path)[1].startswith(b'40{"sid":')


@pytest.mark.parametrize(
    "rest", [b"zz\r\n40\r\n", b"2\r\n40", b"2\r\n40\r\n0\r\nX: " + b"a" * 9000]
)
def test_a_broken_chunked_packet_of_a_long_poller_is_a_400(service, rest):
    """It is no packet, and what follows it is no request."""
    path = "/socket.io/?EIO=4&transport=polling"
    path += f"&sid={json.loads(service.get(path)[1][1:])['sid']}"
    with Talker(service.port) as client:
        client.send(
            chunked(path, b"", {"Content-Type": "text/plain"}).removesuffix(b"0\r\n\r\n") + rest
        )
        client.end()
        assert client.line().split()[1] == b"400"
    assert "Traceback" not in service.log()


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"zz\r\n{}\r\n", "chunk"),
        (b"f" * 300, "chunk"),
        (b"5;" + b"a" * 300, "chunk"),
        (b"1\r\nx\r\n" * 20_000, "chunks"),
        (b"2\r\n{}\r\n0\r\n" + b"X: a\r\n" * 1000, "trailers"),
    ],
)
def test_a_bad_chunk_is_answered_and_ends_the_connection(service, body, detail):
    """What follows a bad chunk may be anything, so it must not be read as a request."""
    head = chunked("/payments/pix", b"", JSON).removesuffix(b"0\r\n\r\n")
    with Talker(service.port) as client:
        client.send(head + body)
        status, headers, answer = client.answer()
        assert (status, headers["connection"]) == (400, "close")
        assert detail in json.loads(answer)["detail"]
        assert client.is_closed_by_the_server()
    assert service.get("/healthz")[0] == 200


BEYOND = UNREAD_BYTES_MAX + 4096
PUT = "PUT /api-pix/v2/cob/unknown HTTP/1.1\r\nHost: x\r\n"
HEALTH = "GET /healthz HTTP/1.1\r\nHost: x\r\n"  # reads no body


# With threads each request has its own connection.
@pytest.mark.parametrize("service", ["eventlet", "gevent"], indirect=True)
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (f"{PUT}Content-Length: {BEYOND}\r\n\r\n".encode() + b"a" * BEYOND, 413),
        (f"{PUT}Content-Length: {BEYOND}\r\n\r\n".encode() + b"a" * UNREAD_BYTES_MAX, 413),
        (f"{HEALTH}Transfer-Encoding: chunked\r\n\r\n3\r\nabc".encode(), 200),
        (f"{HEALTH}Expect: 100-continue\r\nContent-Length: 13\r\n\r\n".encode(), 200),
        (chunked("/socket.io/?EIO=4&transport=polling", b"a" * BEYOND, {}, step=BEYOND), 400),
    ],
    ids=["long", "long-and-late", "chunks-to-come", "waits-for-leave", "long-poller"],
)
def test_an_answer_before_the_end_of_the_body_says_that_the_connection_ends(
    service, request_bytes, status
):
    """Else the client sends its next request into a closed connection, and loses it."""
    with Talker(service.port) as client:
        client.send(request_bytes)
        answered, headers, _ = client.answer()
        assert (answered, headers["connection"]) == (status, "close")
        assert client.is_closed_by_the_server()


# With threads each request has its own connection.
@pytest.mark.parametrize("service", ["eventlet", "gevent"], indirect=True)
def test_a_small_unread_body_does_not_end_the_connection(service):
    """Clients with many requests would open a connection for each."""
    body = b"a" * UNREAD_BYTES_MAX
    with Talker(service.port) as client:
        for _ in range(3):
            client.send(f"{HEALTH}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            status, headers, _ = client.answer()
            assert status == 200
            assert "connection" not in headers


# With threads each request has its own connection.
@pytest.mark.parametrize("service", ["eventlet", "gevent"], indirect=True)
def test_the_request_after_a_chunked_body_is_answered_too(service):
    """Also if nothing read the body: it must not become the next request."""
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
    with Talker(service.port) as client:
        client.send(chunked("/payments/pix", b'{"value": 10}', JSON))
        assert client.answer()[0] == 201
        client.send(health + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        client.send(health + b"Content-Length: 5\r\n\r\nGET /" + health + b"\r\n")
        for _ in range(3):
            assert client.answer()[0] == 200


def test_a_client_that_waits_for_leave_gets_it(service):
    """curl sends `Expect: 100-continue` before larger bodies, and waits a second for an answer."""
    head = "POST /payments/pix HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    started = time.monotonic()
    with Talker(service.port) as client:
        client.send(f"{head}Expect: 100-continue\r\nContent-Length: 13\r\n\r\n".encode())
        assert client.line() == b"HTTP/1.1 100 Continue\r\n"
        assert client.line() == b"\r\n"
        client.send(b'{"value": 10}')
        assert client.answer()[0] == 201
    assert time.monotonic() - started < 5
