"""Clients of the two described systems, over real HTTP, from the first call.

Each client follows its system's documentation, call by call. What was unsafe in that system is
tried too, and is refused here.
"""

from __future__ import annotations

import http.cookiejar
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest
import websocket

from tests.support.service import ServiceProcess

PASSWORD = "correct horse battery"
SETTLED_WITHIN_SECONDS = 10.0


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A served process with its bank."""
    with ServiceProcess(tmp_path_factory.mktemp("described")) as running:
        yield running


class Client:
    """An HTTP client that keeps its cookies, and sends its token if it has one."""

    def __init__(self, service: ServiceProcess) -> None:
        self.url = service.url
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self.headers: dict[str, str] = {}

    def call(
        self, method: str, path: str, body: Any = None, form: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Send a request; return the status and the body, decoded if it is JSON."""
        headers, data = dict(self.headers), None
        if form is not None:
            data = urllib.parse.urlencode(form).encode()
        elif body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=20) as answer:
                content, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            with error:
                content, status = error.read(), error.code
        try:
            return status, json.loads(content)
        except ValueError:
            return status, content

    def cookie(self, name: str) -> str:
        """The value of a cookie."""
        return next(cookie.value or "" for cookie in self.cookies if cookie.name == name)

    def register(self, login: str, **fields: Any) -> dict[str, Any]:
        """`POST /users/`."""
        status, body = self.call("POST", "/users/", {"username": login, "password": PASSWORD,
                                                     **fields})  # fmt: skip
        assert status == 201, body
        return dict(body)

    def authorize(self, login: str) -> None:
        """`POST /token` with the OAuth2 password form; later calls send the token."""
        status, body = self.call("POST", "/token", form={"username": login, "password": PASSWORD})
        assert (status, body["token_type"]) == (200, "bearer"), body
        self.headers["Authorization"] = f"Bearer {body['access_token']}"

    def log_in(self, login: str) -> None:
        """`POST /api/login`, which sets the token as a cookie."""
        status, body = self.call("POST", "/api/login", {"login": login, "password": PASSWORD})
        assert status == 200, body
        self.headers["X-CSRF-TOKEN"] = self.cookie("csrf_access_token")


def poll_until(ask, expected, seconds=SETTLED_WITHIN_SECONDS):
    """Call `ask` until it returns `expected`, or time is up; return the last answer."""
    limit = time.monotonic() + seconds
    while (answer := ask()) != expected and time.monotonic() < limit:
        time.sleep(0.1)
    return answer


def test_the_transactions_client(service):
    """Create, read, list and update transactions with a JWT, each account only its own."""
    alice, charlie, stranger = Client(service), Client(service), Client(service)
    assert alice.register("alice", email="alice@example.com")["username"] == "alice"
    charlie.register("charlie")
    alice.authorize("alice")
    charlie.authorize("charlie")
    assert alice.call("GET", "/users/me/")[1]["username"] == "alice"

    status, body = alice.call("POST", "/transactions/", {"amount": 150.75, "description": "Test"})
    assert (status, body["amount"], body["status"]) == (201, 150.75, "created")
    path = f"/transactions/{body['id']}"
    assert alice.call("GET", path)[1]["description"] == "Test"
    assert [item["id"] for item in alice.call("GET", "/transactions/")[1]["data"]] == [body["id"]]

    assert stranger.call("GET", "/transactions/")[0] == 401
    assert stranger.call("GET", path)[0] == 401
    assert charlie.call("GET", path)[0] == 404
    assert charlie.call("GET", "/transactions/")[1]["data"] == []
    assert charlie.call("PUT", path, {"status": "cancelled"})[0] == 404

    assert alice.call("PUT", path, {"status": "completed"})[0] == 409
    assert alice.call("PUT", path, {"status": "done"})[0] == 409
    status, cancelled = alice.call("PUT", path, {"status": "cancelled"})
    assert (status, cancelled["status"]) == (200, "failed")
    assert alice.call("PUT", path, {"status": "refunded"})[0] == 409


def test_a_completed_transaction_is_refunded_through_the_bank(service):
    """Money moves at the simulated bank in both directions."""
    alice = Client(service)
    alice.register("agnes")
    alice.authorize("agnes")
    body = alice.call("POST", "/transactions/", {"amount": "12.50"})[1]
    path = f"/transactions/{body['id']}"
    paid = alice.call("POST", "/bank/api/pay", {"code": body["pix_code"], "pin": "1234"})[1]
    assert poll_until(lambda: alice.call("GET", path)[1]["status"], "completed") == "completed"
    assert alice.call("PUT", path, {"status": "cancelled"})[0] == 409

    status, body = alice.call("PUT", path, {"status": "refunded"})
    assert (status, body["status"]) == (200, "completed")
    assert body["refund"]["status"] in ("processing", "done")
    assert body["refund"]["value"] == 12.5
    refund_status = poll_until(lambda: alice.call("GET", path)[1]["refund"]["status"], "done")
    after = alice.call("GET", path)[1]
    assert (refund_status, after["refunded_amount"], after["status"]) == ("done", 12.5, "completed")
    again = alice.call("PUT", path, {"status": "refunded"})
    assert (again[0], again[1]["code"]) == (409, "not-refundable")
    assert paid["status"] == "confirmed"


@pytest.mark.timeout(90)
def test_the_qr_payment_client(service):
    """Log in, listen, start a payment, show the QR, pay by card and PIN, watch, list."""
    alice, bob, anyone = Client(service), Client(service), Client(service)
    alice.register("ana")
    body = bob.register("bob", role="payer")
    alice.log_in("ana")
    bob.log_in("bob")

    listener = websocket.create_connection(
        f"{service.url.replace('http', 'ws')}/api/merchant/ws",
        timeout=10,
        cookie=f"access_token={alice.cookie('access_token')}",
    )
    status, started = alice.call("POST", "/api/start_payment", {"amount": 9.9})
    assert status == 201
    assert bob.call("POST", "/api/start_payment", {"amount": 9.9})[0] == 403
    watch = f"/watch/{started['watch_code']}"
    assert anyone.call("GET", watch)[1]["state"] == "created"
    assert anyone.call("GET", "/generate_qr/ana")[1].startswith(b"\x89PNG")
    assert bob.call("GET", f"/pay/{started['code']}")[0] == 200

    body = {"card": body["card"], "pin": body["pin"]}
    status, paid = bob.call("POST", f"/api/pay/{started['code']}", body)
    assert status == 200, paid
    message = json.loads(listener.recv())
    listener.close()
    assert message["type"] == "payment_completed"
    assert (message["payment_id"], message["amount"]) == (started["code"], 9.9)
    assert poll_until(lambda: anyone.call("GET", watch)[1]["state"], "completed") == "completed"
    listed = alice.call("GET", "/api/transactions")[1]["data"]
    assert [(item["code"], item["state"]) for item in listed] == [(started["code"], "completed")]
    assert anyone.call("GET", "/api/transactions")[0] == 401
    assert alice.call("GET", "/portal")[0] == 200


def test_cookies_without_csrf_token_and_forged_tokens_are_refused(service):
    """The described systems accepted both."""
    alice = Client(service)
    alice.register("anita")
    alice.log_in("anita")
    del alice.headers["X-CSRF-TOKEN"]
    assert alice.call("POST", "/api/start_payment", {"amount": 1})[0] == 403
    head, payload, signature = alice.cookie("access_token").split(".")
    unsigned_head = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    for forged_token in (
        f"{unsigned_head}.{payload}.",
        f"{head}.{payload}.{signature[::-1]}",
        "x",
        "a.b.c",
    ):
        mallory = Client(service)
        mallory.headers["Authorization"] = f"Bearer {forged_token}"
        assert mallory.call("GET", "/transactions/")[0] == 401
        assert mallory.call("POST", "/api/start_payment", {"amount": 1})[0] == 401
