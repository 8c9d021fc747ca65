"""Compare the OpenAPI document with the service by schemathesis.

Its checks: no 5xx; no undocumented status, content type or shape; a body that the document allows
is accepted, any other one refused; credentials are checked; unknown methods are refused.
"""

from __future__ import annotations

import io
import json
import logging
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
import schemathesis
import structlog
from flask import Flask
from schemathesis import AuthContext, AuthProvider, Case, HookContext
from schemathesis.config import (
    ChecksConfig,
    GenerationConfig,
    PositiveDataAcceptanceConfig,
    ProjectConfig,
    ProjectsConfig,
    SchemathesisConfig,
    SimpleCheckConfig,
)

from accounts.keys import SCOPES
from core import ids
from core.clock import parse_rfc3339, rfc3339
from core.errors import InvalidMoney
from core.money import centavos_from
from core.signing import signatures
from payments.shop_fields import DOCUMENT
from tests.accounts.people import Person
from tests.support.clocks import FrozenClock
from tests.support.described import check_document
from tests.support.service import SECRET, BankInTest, close_app, ready_app, settings_for
from webhooks.numbering import number_events

END_TO_END_ID = "E9999900420261120150012345678901"
NOT_APPLICABLE = {
    # GET of this address is the page of a payment called `confirmation`: a 404, as for every
    # unknown payment, and documented under {payment_id}. So GET is rightly in Allow.
    "POST /payments/pix/confirmation: allow_header_conformance",
    # Without a sign-in the answer is a redirect to the sign-in page, before the code is checked.
    "GET /pay/{code}: negative_data_rejection",
}
IN_A_FILE = {
    f"POST /api/payment/{route}: positive_data_acceptance"
    for route in ("upload-screenshot", "upload-screenshot-with-qr", "recover-from-qr")
}
"""No document says what is in a file: one that is no picture (415), or shows no code (422), is
rightly refused."""
SIGN_ME = "v1,c2lnbiBtZQ=="
MAX_EXAMPLES = 40
UNSIGNED = 3
"""Of so many notifications one keeps the mark, which is no signature: by its length, for the tool
asks again after a 401."""
TRIED = (
    "POST /payments/pix 201",
    "POST /payments/pix 400",
    "POST /payments/pix/confirmation 200",
    "POST /payments/pix/confirmation 401",
    "GET /payments/pix 200",
    "GET /events 200",
    "POST /webhooks 201",
    "GET /payments/pix/{payment_id} 200",
    "GET /qr/v2/{token} 200",
    "GET /qr/v2/{token} 410",
    "POST /api/payment/verify-qr 404",
    "POST /api/payment/recover-from-qr 404",
    "POST /api/payment/create-session 201",
    "GET /api/payment/sessions 200",
    "POST /users/ 201",
    "POST /users/ 400",
    "GET /users/me/ 200",
    "POST /token 401",
    "POST /api/login 401",
    "POST /api/keys 201",
    "GET /api/keys 200",
    "DELETE /api/keys/{key_id} 200",
    "GET /api/sessions 200",
    "DELETE /api/sessions/{session_id} 200",
)
"""Answers that must have occurred: otherwise schemathesis has tested less than expected."""


class Client:
    """A WSGI client that replaces values which the document cannot describe.

    It puts a valid cursor into lists, makes notifications be about an existing payment with its
    amount, and signs them over the bytes that are really sent.
    """

    def __init__(self, app: Flask, clock: FrozenClock) -> None:
        """Sign by this clock."""
        self.app = app
        self.clock = clock
        self.payment_id = ""
        self.event_id = ""

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Pass the request on."""
        environ["QUERY_STRING"] = self._after(environ["PATH_INFO"], environ["QUERY_STRING"])
        if environ["PATH_INFO"] == "/payments/pix" and environ["REQUEST_METHOD"] == "POST":
            data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            body = _with_a_right_document(data)
            environ["wsgi.input"] = io.BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
        if environ["PATH_INFO"] == "/users/" and environ["REQUEST_METHOD"] == "POST":
            data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            body = _with_a_password_of_its_own(data)
            environ["wsgi.input"] = io.BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
        if environ["PATH_INFO"].endswith("/replay"):
            data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            body = _with_times_in_order(data)
            environ["wsgi.input"] = io.BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
        if environ.get("HTTP_WEBHOOK_SIGNATURE") == SIGN_ME:
            data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            body = self._about_a_payment(data)
            environ["wsgi.input"] = io.BytesIO(body)
            environ["CONTENT_LENGTH"] = str(len(body))
            if len(data) % UNSIGNED == 0:
                return self.app(environ, start)
            message_id = f"msg_{secrets.token_hex(8)}"
            with suppress(UnicodeDecodeError):  # bytes that are not UTF-8 cannot be signed
                signed = signatures.signed_headers(SECRET, message_id, self.clock.now(), body)
                for name, value in signed.items():
                    environ["HTTP_" + name.upper().replace("-", "_")] = value
        return self.app(environ, start)

    def _after(self, path: str, query: str) -> str:
        """The query with a cursor of this list instead of any well-formed text."""
        pairs = parse_qsl(query, keep_blank_values=True)
        cursors = [value for name, value in pairs if name == "after"]
        if len(cursors) != 1 or len(cursors[0]) > 140 or "\x00" in cursors[0]:
            return query
        cursor = END_TO_END_ID if path.endswith("/receipts") else self.payment_id
        cursor = self.event_id if path == "/events" else cursor
        return urlencode([(name, cursor if name == "after" else value) for name, value in pairs])

    def _about_a_payment(self, data: bytes) -> bytes:
        """The notification with an existing payment and its amount, if it is valid otherwise."""
        try:
            body = json.loads(data, parse_float=Decimal)
            txid, paid_at = body["bank_payment_id"], body.get("paid_at")
            centavos_from(body["value"])
        except (ValueError, TypeError, KeyError, AttributeError, InvalidMoney):
            return data
        if isinstance(txid, str) and 1 <= len(txid) <= 64:
            body["bank_payment_id"] = self.payment_id if len(txid) % 2 else "0" * 32
        if isinstance(paid_at, str) and _lies_ahead(paid_at, self.clock):
            body["paid_at"] = rfc3339(self.clock.now())
        return json.dumps({**body, "value": 10}, default=str).encode()


class Bank(AuthProvider[str]):
    """Marks requests to be signed; `Client` signs them, because here the bytes are not known."""

    def get(self, case: Case, ctx: AuthContext) -> str:
        """Return the mark."""
        return SIGN_ME

    def set(self, case: Case, data: str, ctx: AuthContext) -> None:
        """Put it into the header."""
        case.headers["webhook-signature"] = data


class Alice(AuthProvider[str]):
    """Authenticates requests with Alice's key, which has every scope."""

    key = ""

    def get(self, case: Case, ctx: AuthContext) -> str:
        """Return the key."""
        return self.key

    def set(self, case: Case, data: str, ctx: AuthContext) -> None:
        """Put it into the header."""
        case.headers["Authorization"] = f"Bearer {data}"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The document of a service that has a payment in every state."""
    folder = tmp_path_factory.mktemp("document")
    clock = FrozenClock()
    settings = settings_for(
        f"sqlite:///{folder / 'balcao.sqlite'}",
        folder,
        sign_ups_per_address_max=100_000,
        sign_in_tries_per_address_max=100_000,
        # Pictures stay limited: each picture without a code takes the time of the whole ladder.
        recovery_tries_per_minute=10_000,
    )
    app = ready_app(settings, clock)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    payments = _payments(app, clock)
    client = Client(app, clock)
    client.payment_id = payments[0]["id"]
    with app.app_context():
        assert number_events() >= len(payments)
    client.event_id = app.test_client().get("/events").get_json()["data"][0]["id"]
    # 410 is the right answer for a location that can no longer be paid.
    accepted = PositiveDataAcceptanceConfig(
        expected_statuses=["2xx", "3xx", "401", "403", "404", "409", "410", "429", "5xx"]
    )
    generation = GenerationConfig(
        max_examples=MAX_EXAMPLES, with_security_parameters=False, deterministic=True
    )
    checks = ChecksConfig(
        positive_data_acceptance=accepted,
        # Its own request fails over WSGI (schemathesis 4.32 hands `max_redirects` to Werkzeug).
        # test_signed_by_the_bank.py tests missing and wrong credentials instead.
        ignored_auth=SimpleCheckConfig(enabled=False),
    )
    project = ProjectConfig(generation=generation, checks=checks)
    config = SchemathesisConfig(projects=ProjectsConfig(default=project))
    schema = schemathesis.openapi.from_wsgi("/openapi.json", client, config=config)
    schema.auth().apply_to(path="/payments/pix/confirmation")(Bank)
    Alice.key, keys, sessions = _people(app)
    for path in ("/users/me/", "/users/me/password", "/api/keys", "/api/keys/{key_id}"):
        schema.auth().apply_to(path=path)(Alice)
    for path in ("/api/sessions", "/api/sessions/{session_id}"):
        schema.auth().apply_to(path=path)(Alice)

    @schema.hook
    def map_path_parameters(context: HookContext, path_parameters: Any) -> Any:
        """Use existing ids in three of four requests, because ids cannot be guessed."""
        for name, field in (("payment_id", "id"), ("token", "watch_code")):
            value = (path_parameters or {}).get(name)
            if isinstance(value, str) and ids.is_txid(value) and int(value[0], 16) % 4:
                path_parameters[name] = payments[int(value[1], 16) % len(payments)][field]
        for name, there in (("key_id", keys), ("session_id", sessions)):
            value = (path_parameters or {}).get(name)
            if isinstance(value, str) and ids.is_txid(value) and int(value[0], 16) % 2:
                path_parameters[name] = there[int(value[1], 16) % len(there)]
        return path_parameters

    yield schema
    structlog.reset_defaults()
    close_app(app)


def _with_a_right_document(data: bytes) -> bytes:
    """The payment with check digits of its payer's document, which no schema can express."""
    try:
        body = json.loads(data)
        if re.fullmatch(DOCUMENT[1:-1], body["payer"]["document"]):
            right = {**body["payer"], "document": "123.456.789-09"}
            return json.dumps({**body, "payer": right}).encode()
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    return data


def _with_times_in_order(data: bytes) -> bytes:
    """The window with `from` before `to`, which no schema can express."""
    try:
        body = json.loads(data)
        if parse_rfc3339(body["from"]) > parse_rfc3339(body["to"]):
            return json.dumps({**body, "from": body["to"], "to": body["from"]}).encode()
    except (ValueError, TypeError, KeyError):
        pass
    return data


def _with_a_password_of_its_own(data: bytes) -> bytes:
    """The sign-up with a password other than the username, which no schema can express."""
    try:
        body = json.loads(data)
        if body["username"] == body["password"]:
            return json.dumps({**body, "password": body["password"][:200] + " and more"}).encode()
    except (ValueError, TypeError, KeyError):
        pass
    return data


def _lies_ahead(text: str, clock: FrozenClock) -> bool:
    """Whether it is a time in the future, which the document allows and the service refuses."""
    try:
        return parse_rfc3339(text) > clock.now()
    except ValueError:
        return False


def _payments(app: Flask, clock: FrozenClock) -> list[dict[str, Any]]:
    client = app.test_client()

    def create(**fields: Any) -> dict[str, Any]:
        answer = client.post("/payments/pix", json={"value": 10, **fields})
        payment: dict[str, Any] = answer.get_json()["payment"]
        return payment

    pending, expired, paid, cancelled = create(), create(expires_in=10), create(), create()
    BankInTest(client, clock).confirm(paid, end_to_end_id=END_TO_END_ID)
    client.post(f"/payments/pix/{cancelled['id']}/cancel")
    clock.advance(seconds=11)
    return [pending, expired, paid, cancelled]


def _people(app: Flask) -> tuple[str, list[str], list[str]]:
    """A key of Alice's with every scope, and ids of her other keys and sessions."""
    alice = Person(app, "alice")
    alice.sign_up()
    keys = [alice.key("payments:read")["id"] for _ in range(4)]
    listed = alice.get("/api/sessions", alice.bearer()).get_json()["data"]
    return alice.key(*SCOPES)["key"], keys, [one["id"] for one in listed]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_service_does_what_its_document_says(document: Any) -> None:
    """Generated clients and readers rely on the document."""
    check_document(document, TRIED, _is_right)


def _is_right(case: Case, check: str, status: int) -> bool:
    title = f"{case.operation.label}: {check}"
    return title in NOT_APPLICABLE or (title in IN_A_FILE and status in (415, 422))


def test_the_document_is_json_of_a_known_version(document: Any) -> None:
    """Readers of OpenAPI check the version first."""
    data = document.raw_schema
    assert data["openapi"].startswith("3.")
    assert json.loads(json.dumps(data)) == data
    assert len(data["paths"]) >= 15
