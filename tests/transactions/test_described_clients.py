"""Clients written for the two systems whose paths these are, over the wire, from the first call.

Each does what its system's documentation says, in that order, with a plain HTTP client; what was
unsafe there is tried as well, and refused.
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
    """The service as it starts by itself, its bank beside it."""
    with ServiceProcess(tmp_path_factory.mktemp("described")) as running:
        yield running


class Client:
    """A program that speaks HTTP, keeps its cookies, and sends its token if it has one."""

    def __init__(self, service: ServiceProcess) -> None:
        self.url = service.url
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self.headers: dict[str, str] = {}

    def call(
        self, method: str, path: str, body: Any = None, form: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and body, JSON where it is."""
        headers, data = dict(self.headers), None
        if form is not None:
            data = urllib.parse.urlencode(form).encode()
        elif body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with self._opener.open(request, timeout=20) as answer:
                raw, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            with error:
                raw, status = error.read(), error.code
        try:
            return status, json.loads(raw)
        except ValueError:
            return status, raw

    def cookie(self, name: str) -> str:
        """The value of a cookie."""
        return next(one.value or "" for one in self.cookies if one.name == name)

    def register(self, login: str, **fields: Any) -> dict[str, Any]:
        """`POST /users/`."""
        status, made = self.call("POST", "/users/", {"username": login, "password": PASSWORD,
                                                     **fields})  # fmt: skip
        assert status == 201, made
        return dict(made)

    def authorize(self, login: str) -> None:
        """`POST /token`, as the OAuth2 password form; from then on the token goes along."""
        status, told = self.call("POST", "/token", form={"username": login, "password": PASSWORD})
        assert (status, told["token_type"]) == (200, "bearer"), told
        self.headers["Authorization"] = f"Bearer {told['access_token']}"

    def log_in(self, login: str) -> None:
        """`POST /api/login`: the token is in the cookie."""
        status, told = self.call("POST", "/api/login", {"login": login, "password": PASSWORD})
        assert status == 200, told
        self.headers["X-CSRF-TOKEN"] = self.cookie("csrf_access_token")


def until(ask, wanted, seconds=SETTLED_WITHIN_SECONDS):
    """Ask until the answer is the wanted one; gives the last answer."""
    limit = time.monotonic() + seconds
    while (answer := ask()) != wanted and time.monotonic() < limit:
        time.sleep(0.1)
    return answer


def test_the_transactions_client(service):
    """Users, JWT, transactions: create, read, list, update; each under its own account alone."""
    alice, charlie, stranger = Client(service), Client(service), Client(service)
    assert alice.register("alice", email="alice@example.com")["username"] == "alice"
    charlie.register("charlie")
    alice.authorize("alice")
    charlie.authorize("charlie")
    assert alice.call("GET", "/users/me/")[1]["username"] == "alice"

    status, made = alice.call("POST", "/transactions/", {"amount": 150.75, "description": "Test"})
    assert (status, made["amount"], made["status"]) == (201, 150.75, "created")
    own = f"/transactions/{made['id']}"
    assert alice.call("GET", own)[1]["description"] == "Test"
    assert [one["id"] for one in alice.call("GET", "/transactions/")[1]["data"]] == [made["id"]]

    assert stranger.call("GET", "/transactions/")[0] == 401
    assert stranger.call("GET", own)[0] == 401
    assert charlie.call("GET", own)[0] == 404
    assert charlie.call("GET", "/transactions/")[1]["data"] == []
    assert charlie.call("PUT", own, {"status": "cancelled"})[0] == 404

    assert alice.call("PUT", own, {"status": "completed"})[0] == 409
    assert alice.call("PUT", own, {"status": "done"})[0] == 400
    status, gone = alice.call("PUT", own, {"status": "cancelled"})
    assert (status, gone["status"]) == (200, "failed")
    assert alice.call("PUT", own, {"status": "refunded"})[0] == 409


def test_a_completed_transaction_is_given_back_through_the_bank(service):
    """Money that really came, at the simulated bank, really goes back."""
    alice = Client(service)
    alice.register("agnes")
    alice.authorize("agnes")
    made = alice.call("POST", "/transactions/", {"amount": "12.50"})[1]
    own = f"/transactions/{made['id']}"
    paid = alice.call("POST", "/bank/api/pay", {"code": made["pix_code"], "pin": "1234"})[1]
    assert until(lambda: alice.call("GET", own)[1]["status"], "completed") == "completed"
    assert alice.call("PUT", own, {"status": "cancelled"})[0] == 409

    status, told = alice.call("PUT", own, {"status": "refunded"})
    assert (status, told["status"]) == (200, "completed")
    assert told["refund"]["status"] in ("processing", "done")
    assert told["refund"]["value"] == 12.5
    done = until(lambda: alice.call("GET", own)[1]["refund"]["status"], "done")
    after = alice.call("GET", own)[1]
    assert (done, after["refunded_amount"], after["status"]) == ("done", 12.5, "completed")
    again = alice.call("PUT", own, {"status": "refunded"})
    assert (again[0], again[1]["code"]) == (409, "not-refundable")
    assert paid["status"] == "confirmed"


@pytest.mark.timeout(90)
def test_the_qr_payment_client(service):
    """Log in, listen, start, show the QR, let the user pay by card and PIN, watch, list."""
    alice, bob, anyone = Client(service), Client(service), Client(service)
    alice.register("ana")
    told = bob.register("bob", role="payer")
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

    body = {"card": told["card"], "pin": told["pin"]}
    status, paid = bob.call("POST", f"/api/pay/{started['code']}", body)
    assert status == 200, paid
    heard = json.loads(listener.recv())
    listener.close()
    assert heard["type"] == "payment_completed"
    assert (heard["payment_id"], heard["amount"]) == (started["code"], 9.9)
    assert until(lambda: anyone.call("GET", watch)[1]["state"], "completed") == "completed"
    listed = alice.call("GET", "/api/transactions")[1]["data"]
    assert [(one["code"], one["state"]) for one in listed] == [(started["code"], "completed")]
    assert anyone.call("GET", "/api/transactions")[0] == 401
    assert alice.call("GET", "/portal")[0] == 200


def test_what_was_unsafe_there_is_not_here(service):
    """A cookie alone changes nothing, and a forged token opens nothing."""
    alice = Client(service)
    alice.register("anita")
    alice.log_in("anita")
    del alice.headers["X-CSRF-TOKEN"]
    assert alice.call("POST", "/api/start_payment", {"amount": 1})[0] == 403
    head, payload, signature = alice.cookie("access_token").split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    for forged in (f"{none}.{payload}.", f"{head}.{payload}.{signature[::-1]}", "x", "a.b.c"):
        mallory = Client(service)
        mallory.headers["Authorization"] = f"Bearer {forged}"
        assert mallory.call("GET", "/transactions/")[0] == 401
        assert mallory.call("POST", "/api/start_payment", {"amount": 1})[0] == 401
