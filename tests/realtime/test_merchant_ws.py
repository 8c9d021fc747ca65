"""`WS /api/merchant/ws` in every mode: a merchant hears of its own payments, as JSON."""

from __future__ import annotations

import hmac
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
import websocket

from accounts.tokens import CLOCK_LEEWAY
from blueprints.transactions.merchant_sockets import CLOSE_GOING_AWAY, CLOSE_UNAUTHORIZED
from realtime.credentials import CHECK_SECONDS
from realtime.websocket import OUTGOING_BYTES_MAX
from tests.realtime.sellers import JSON, PASSWORD, PATH, Listener, Seller, refusal_status
from tests.support.deadlines import bring_forward
from tests.support.service import SECRET_KEY, ServiceProcess

FIELDS = {
    "type", "payment_id", "code", "amount", "amount_centavos", "currency", "refunded_amount",
    "status", "state", "description", "order_id", "sequence", "occurred_at", "message",
}  # fmt: skip
CHECKED_WITHIN = CHECK_SECONDS + 5


@pytest.fixture(scope="module", params=["eventlet", "gevent", "threading"])
def service(request, tmp_path_factory) -> Iterator[ServiceProcess]:
    """The service as a process, once for each mode."""
    folder = tmp_path_factory.mktemp(f"ws-{request.param}")
    options: dict[str, Any] = {"SIGN_UPS_PER_ADDRESS_MAX": 1000, "ACCESS_TOKEN_SECONDS": 60}
    with ServiceProcess(folder, ASYNC_MODE=request.param, **options) as running:
        yield running


@pytest.fixture
def sell(service):
    """A new merchant: sell("alice")."""
    return lambda login, **fields: Seller(service, f"{login}-{os.urandom(3).hex()}", **fields)


def cancel(seller: Seller, transaction: dict[str, Any]) -> None:
    seller.call("PUT", f"/transactions/{transaction['id']}", {"status": "cancelled"})


def hears_nothing_before_the_next_event(listener: Listener, seller: Seller) -> bool:
    """Whether a cancellation that happens now is the first message that arrives.

    A process sends its events in the order in which they happened.
    """
    transaction = seller.create()
    cancel(seller, transaction)
    message = listener.next()
    return (message["type"], message["payment_id"]) == ("payment_cancelled", transaction["id"])


def test_a_merchant_hears_of_a_paid_payment(service, sell):
    """The message that existing clients wait for, with the fields that a till shows."""
    alice = sell("alice")
    with alice.listen() as listener:
        transaction = alice.create(amount="12.50", description="Pão", order_id="7")
        assert service.tell(transaction)[0] == 200
        message = listener.next()
    assert set(message) == FIELDS
    assert (message["type"], message["payment_id"]) == ("payment_completed", transaction["id"])
    assert (message["amount"], message["amount_centavos"]) == (12.5, 1250)
    assert (message["status"], message["state"]) == ("confirmed", "completed")
    assert (message["description"], message["order_id"]) == ("Pão", "7")
    assert message["code"] == transaction["code"]


def test_the_other_events_have_similar_messages(service, sell):
    """Cancelled, refused, refunded: in order, each once."""
    alice = sell("alice")
    with alice.listen() as listener:
        cancelled, paid = alice.create(), alice.create()
        cancel(alice, cancelled)
        assert service.tell(paid, value=9)[0] == 400
        pay = {"code": paid["pix_code"], "pin": "1234"}
        assert alice.call("POST", "/bank/api/pay", pay)["status"] == "confirmed"
        alice.call("PUT", f"/transactions/{paid['id']}", {"status": "refunded"})
        messages = [listener.next() for _ in range(4)]
        assert hears_nothing_before_the_next_event(listener, alice)
    assert [(one["type"], one["state"]) for one in messages] == [
        ("payment_cancelled", "failed"),
        ("receipt_refused", "created"),
        ("payment_completed", "completed"),
        ("payment_refunded", "completed"),
    ]
    assert [one["payment_id"] for one in messages] == [cancelled["id"], *[paid["id"]] * 3]
    assert messages[3]["refunded_amount"] == 10.0


@pytest.mark.slow
def test_an_expiry_is_heard_as_a_failure(service, sell):
    """Within two seconds of the deadline."""
    alice = sell("alice")
    with alice.listen() as listener:
        transaction = alice.call("POST", "/payments/pix", {"value": 1, "expires_in": 10})["payment"]
        deadline = bring_forward(service, 1.5, transaction)
        message = listener.next(15)
    assert datetime.now(UTC) - deadline < timedelta(seconds=2.5)
    assert (message["type"], message["state"]) == ("payment_expired", "failed")


def test_another_merchant_receives_no_byte(service, sell):
    """Charlie listens too, and learns nothing of Alice's payments."""
    alice, charlie = sell("alice"), sell("charlie")
    with alice.listen() as listener, charlie.listen() as stranger:
        paid, cancelled = alice.create(), alice.create()
        assert service.tell(paid)[0] == 200
        cancel(alice, cancelled)
        assert {listener.next()["payment_id"] for _ in range(2)} == {paid["id"], cancelled["id"]}
        assert hears_nothing_before_the_next_event(stranger, charlie)
        assert hears_nothing_before_the_next_event(listener, alice)


def test_each_of_a_merchants_connections_hears_it_once(service, sell):
    """For example at the till and in the office."""
    alice = sell("alice")
    lines = [alice.listen() for _ in range(3)]
    for _ in range(2):
        transaction = alice.create()
        assert service.tell(transaction)[0] == 200
        assert {line.next()["payment_id"] for line in lines} == {transaction["id"]}
    for line in lines:
        line.socket.shutdown()


def test_keys_tokens_and_cookies_may_connect(service, sell):
    """By header, by query, and by the cookie of our own pages or of a program."""
    alice = sell("alice")
    key = alice.key("payments:read")["key"]
    cookie = f"access_token={alice.token}"
    for query, options in (
        (f"?token={key}", {}),
        (f"?token={alice.token}", {"origin": "https://elsewhere.example"}),
        ("", {"header": [f"Authorization: Bearer {key}"]}),
        ("", {"header": [f"Authorization: Bearer {alice.token}"]}),
        ("", {"cookie": cookie}),
        ("", {"cookie": cookie, "origin": service.url}),
    ):
        with Listener(service.url, query, **options) as listener:
            transaction = alice.create()
            assert service.tell(transaction)[0] == 200
            assert listener.next()["payment_id"] == transaction["id"], options


def test_other_credentials_are_refused_before_the_upgrade(service, sell):
    """An HTTP status tells the client why; without credentials there is no demo merchant here."""
    alice, bob = sell("alice"), sell("bob", role="payer")
    writes = alice.key("payments:write")["key"]
    refunds = alice.key("refunds:write")["key"]
    cookie = f"access_token={alice.token}"
    login = json.dumps({"login": alice.login, "password": PASSWORD}).encode()
    refresh = json.loads(service.request("POST", "/api/login", login, JSON)[1])["refresh_token"]
    for query, options, status in (
        ("", {}, 401),
        ("?token=", {}, 401),
        ("?token=balcao_test_nothing", {}, 401),
        (f"?token={'x' * 5000}", {}, 401),
        ("?token=%00", {}, 401),
        ("?token=%FF", {}, 401),
        (f"?token={refresh}", {}, 401),
        (f"?token={alice.token}x", {}, 401),
        (f"?token={alice.token}", {"header": ["Authorization: Bearer x"]}, 401),
        (f"?token={alice.token}", {"header": ["Authorization: Basic eDp4"]}, 401),
        (f"?token={bob.token}", {}, 403),
        (f"?token={writes}", {}, 403),
        (f"?token={refunds}", {}, 403),
        ("", {"cookie": "access_token=x"}, 401),
        ("", {"cookie": cookie, "origin": "https://elsewhere.example"}, 403),
        ("", {"cookie": cookie, "origin": "null"}, 403),
        ("", {"cookie": cookie, "origin": service.url.replace("http", "https")}, 403),
        ("", {"cookie": f"refresh_token={alice.token}"}, 401),
    ):
        assert refusal_status(service.url, query, **options) == status, (query[:60], options)


def _claims(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_forged_and_expired_tokens_are_refused(service, sell):
    """Another key, no algorithm, another audience, a time that has passed."""
    alice = sell("alice")
    key = hmac.digest(SECRET_KEY.encode(), b"balcao tokens", "sha512")
    good = _claims(alice.token)
    past = int((datetime.now(UTC) - CLOCK_LEEWAY - timedelta(seconds=5)).timestamp())
    assert (
        refusal_status(service.url, f"?token={jwt.encode(good, key)}") == 101
    )  # the key is the right one
    cases: tuple[tuple[dict[str, Any], Any, str], ...] = (
        (good, b"another key, which is long enough for it", "HS256"),
        (good, None, "none"),
        (good, key, "HS512"),
        ({**good, "exp": past}, key, "HS256"),
        ({**good, "aud": "elsewhere"}, key, "HS256"),
        ({**good, "iss": "https://elsewhere.example"}, key, "HS256"),
        ({**good, "type": "refresh"}, key, "HS256"),
        ({**good, "sid": "0" * 32}, key, "HS256"),
        ({name: value for name, value in good.items() if name != "exp"}, key, "HS256"),
    )
    for claims, secret, algorithm in cases:
        forged = jwt.encode(claims, secret, algorithm=algorithm)
        assert refusal_status(service.url, f"?token={forged}") == 401, claims


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 426),
        ({"Upgrade": "h2c", "Connection": "Upgrade"}, 426),
        ({"Upgrade": "websocket"}, 426),
        ({"Upgrade": "websocket", "Connection": "Upgrade"}, 426),
        ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "8"}, 426),
        ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}, 400),
        ({"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
          "Sec-WebSocket-Key": "short"}, 400),
    ],
)  # fmt: skip
def test_a_request_without_a_handshake_is_a_426(service, headers, status):
    """For example a browser's address bar, or a proxy that drops the upgrade."""
    _status, body, _ = service.request(
        "POST",
        "/token",
        b"username=demo&password=x",
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert _status == 401, body
    alice = Seller(service, f"plain-{os.urandom(3).hex()}")
    answer_status, answer, answer_headers = service.request(
        "GET", PATH, None, {**alice.bearer, **_without_connection(headers)}
    )
    if "Connection" in headers:  # urllib replaces it: such a request is written by hand
        answer_status, answer, answer_headers = _by_hand(service, {**alice.bearer, **headers})
    assert answer_status == status, answer
    if status == 426:
        assert json.loads(answer)["code"] == "upgrade-required"
        lower = {name.lower(): value for name, value in answer_headers.items()}
        assert lower["upgrade"] == "websocket"
    assert service.request("POST", PATH, b"{}", {**JSON, **alice.bearer})[0] == 405


def _without_connection(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "Connection"}


def _by_hand(service, headers):
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    connection.request("GET", PATH, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body, dict(answer.getheaders())


def test_messages_of_a_client_are_ignored(service, sell):
    """After invalid JSON, bytes, fragments and pings, the connection hears the next event."""
    alice = sell("alice")
    with alice.listen() as listener:
        for text in ("", "{", '{"type": "payment_completed"}', "null", "\x00", "é" * 1000):
            listener.socket.send(text)
        listener.socket.send_binary(os.urandom(1000))
        for _ in range(50):
            listener.socket.ping("are you there")
        frame = websocket.ABNF.create_frame("begin", websocket.ABNF.OPCODE_TEXT, fin=0)
        listener.socket.send_frame(frame)
        transaction = alice.create()
        assert service.tell(transaction)[0] == 200
        assert listener.next()["payment_id"] == transaction["id"]


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\xfe\x40\x01" + b"\x00" * 4 + b"a" * 16_385,  # longer than anything honest
        b"\x81\x85" + b"\x00" * 4 + b"\xff" * 5,  # no UTF-8
        b"\x81\x05hello",  # not masked
        b"\xf1\x80\x00\x00\x00\x00",  # reserved bits
        b"\x83\x80\x00\x00\x00\x00",  # no such opcode
        b"\x81\xff" + b"\xff" * 8 + b"\x00" * 4,  # 2^64 bytes are announced
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_a_protocol_error_ends_only_its_own_connection(service, sell, frame):
    """And the bytes are never answered as HTTP."""
    alice = sell("alice")
    with alice.listen() as listener, alice.listen() as broken:
        broken.socket.sock.sendall(frame)
        assert broken.close_code() in (0, 1002, 1007, 1009)
        transaction = alice.create()
        assert service.tell(transaction)[0] == 200
        assert listener.next()["payment_id"] == transaction["id"]


def test_a_close_frame_is_answered(sell):
    """RFC 6455, 5.5.1; the line counts no longer."""
    with sell("alice").listen() as listener:
        listener.socket.send_close(1000)
        assert listener.close_code() == 1000


def test_a_revoked_key_hears_nothing_more(service, sell):
    """Not even the event right after the revocation; the connection is closed."""
    alice = sell("alice")
    key = alice.key("payments:read")
    with Listener(service.url, token=key["key"]) as revoked, alice.listen() as listener:
        alice.call("DELETE", f"/api/keys/{key['id']}")
        transaction = alice.create()
        assert service.tell(transaction)[0] == 200
        assert listener.next()["payment_id"] == transaction["id"]
        assert revoked.close_code() == CLOSE_UNAUTHORIZED
    assert refusal_status(service.url, f"?token={key['key']}") == 401


@pytest.mark.slow
def test_a_changed_password_closes_every_other_connection(service, sell):
    """At the next check of the credentials, even without an event."""
    alice = sell("alice")
    other = alice.sign_in()
    with (
        Listener(service.url, token=other) as theirs,
        Listener(service.url, cookie=f"access_token={other}") as browser,
        alice.listen() as own,
    ):
        body = {"current_password": PASSWORD, "new_password": f"{PASSWORD} 2"}
        alice.call("POST", "/users/me/password", body)
        assert theirs.close_code(CHECKED_WITHIN) == CLOSE_UNAUTHORIZED
        assert browser.close_code(CHECKED_WITHIN) == CLOSE_UNAUTHORIZED
        transaction = alice.create()
        assert service.tell(transaction)[0] == 200
        assert own.next()["payment_id"] == transaction["id"]


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_client_that_does_not_read_is_dropped_and_delays_nobody(service, sell):
    """A till with a pulled cable must not delay the others."""
    alice = sell("alice")
    silent = websocket.WebSocket()
    silent.connect(
        f"{service.url.replace('http', 'ws')}{PATH}?token={alice.token}",
        sockopt=[(6, 1, 1), (1, 8, 2304)],  # TCP_NODELAY, and the least SO_RCVBUF
        timeout=10,
    )
    transaction = alice.create(description="🥖" * 140, order_id="🥖" * 64)
    slowest, announced_bytes = 0.0, 0
    with alice.listen() as listener:
        # The kernel doubles the buffer size that it is asked for.
        while announced_bytes < 2 * OUTGOING_BYTES_MAX + 200_000:
            started_at = time.monotonic()
            assert service.tell(transaction, value=1)[0] == 400
            announced_bytes += len(json.dumps(listener.next(), ensure_ascii=False).encode())
            slowest = max(slowest, time.monotonic() - started_at)
    received = 0
    connection = silent.sock
    assert connection is not None
    connection.settimeout(10)
    with suppress(ConnectionError):
        while chunk := connection.recv(65536):  # until the end that the server made
            received += len(chunk)
    assert slowest < 2
    assert 0 < received < announced_bytes
    silent.shutdown()


def test_a_process_that_stops_sends_close_frames(serve, request):
    """Clients connect to another process at once, and the stop does not wait for them."""
    for mode in ("eventlet", "gevent", "threading"):
        service = serve(ASYNC_MODE=mode, instance=request.getfixturevalue("tmp_path") / mode)
        with Seller(service, "alice").listen() as listener:
            started_at = time.monotonic()
            assert service.stop() == 0
            assert time.monotonic() - started_at < 8
            assert listener.close_code() == CLOSE_GOING_AWAY
        assert "Traceback" not in service.log()
