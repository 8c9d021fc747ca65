"""The service in this process, called through WSGI: CPU time without a server or a client."""

from __future__ import annotations

import io
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from flask import Flask

from core.clock import SystemClock, rfc3339
from core.signing import signatures
from tests.support.service import (
    DEMO_PASSWORD,
    SECRET,
    close_app,
    end_to_end_id,
    ready_app,
    settings_for,
)
from web.logs import init_logs

Environ = dict[str, Any]

BROWSER = {
    "HTTP_ACCEPT": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "HTTP_ACCEPT_LANGUAGE": "pt-BR,pt;q=0.9,en;q=0.8",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
}
PROGRAM = {"HTTP_ACCEPT": "*/*", "HTTP_USER_AGENT": "curl/8.5.0"}


def environ(
    method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> Environ:
    """The WSGI environ of a request."""
    path, _, query = path.partition("?")
    environ_: Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "5000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "127.0.0.1:5000",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **(headers or PROGRAM),
    }
    if body:
        environ_ |= {"CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json"}

    return environ_


@dataclass
class Answer:
    """An answer of the application."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


def send(app: Flask, request: Environ) -> Answer:
    """Send a request and read the whole answer."""
    return send_to(app.wsgi_app, request)


def send_to(application: Callable[..., Any], request: Environ) -> Answer:
    """As `send`, to this part of an application."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Any:
        started[:] = [int(status[:3]), headers]

    answer = application(request, start_response)
    try:
        body = b"".join(answer)
    finally:
        close = getattr(answer, "close", None)
        if close is not None:
            close()
    return Answer(started[0], started[1], body)


@dataclass(frozen=True)
class Operation:
    """A kind of request: `prepare` builds so many of them before the measurement."""

    name: str
    prepare: Callable[[int], Sequence[Environ]]
    expect: int = 200
    at_once: int = 10
    """How many requests are measured together."""

    def measure(self, app: Flask, clock: Callable[[], float] = time.process_time) -> float:
        """Seconds for one request by this clock; by default CPU seconds."""
        environs = self.prepare(self.at_once)
        start = clock()
        statuses = {send(app, request).status for request in environs}
        elapsed = clock() - start
        assert statuses == {self.expect}, f"{self.name} was answered {sorted(statuses)}"
        return elapsed / len(environs)


class Service:
    """A running app, and the operations that are measured on it."""

    def __init__(self, app: Flask) -> None:
        """Sign in as the demo merchant and create the payments that the operations read."""
        self.app = app
        self.payment = self.create()
        client = app.test_client()
        body = {"username": "demo", "password": DEMO_PASSWORD}
        csrf = client.post("/api/login", json=body).json["csrf_token"]  # type: ignore[index]
        cookies = (client.get_cookie(name) for name in ("access_token", "refresh_token"))
        self.cookie = "; ".join(f"{cookie.key}={cookie.value}" for cookie in cookies if cookie)
        key_answer = client.post(
            "/api/keys",
            json={"label": "benchmark", "scopes": ["payments:read", "payments:write"]},
            headers={"X-CSRF-TOKEN": csrf},
        )
        self.key = key_answer.json["key"]  # type: ignore[index]
        self.cancelled = self.create("an order that was given up")
        cancel = environ("POST", f"/payments/pix/{self.cancelled['id']}/cancel")
        assert send(app, cancel).status == 200
        self.paid = self.create()
        assert send(app, self._confirmation(self.paid)).status == 200

    def create(self, order: str | None = None) -> dict[str, Any]:
        """Create a payment of the demo merchant."""
        body = json.dumps({"value": 54.9, "order_id": order}).encode()
        answer = send(self.app, environ("POST", "/payments/pix", body=body))
        assert answer.status == 201, answer.body
        created: dict[str, Any] = json.loads(answer.body)["payment"]
        return created

    def operations(self) -> dict[str, Operation]:
        """The measured operations by name."""
        txid, code = self.payment["id"], self.payment["watch_code"]
        page, cancelled = f"/payments/pix/{txid}", f"/payments/pix/{self.cancelled['id']}"
        paid = f"/payments/pix/{self.paid['id']}"
        with_cookies = {**BROWSER, "HTTP_COOKIE": f"{self.cookie}; balcao_zone=America/Recife"}
        with_key = {**PROGRAM, "HTTP_AUTHORIZATION": f"Bearer {self.key}"}
        image = f"/payments/pix/qr_code/qr_code_payment_{txid}"
        operations = [
            Operation("create", self.new_payments, 201),
            Operation("create by key", self._payments_by_key, 201),
            Operation("confirm", self._confirmations),
            Operation("trace", self._traces, 204),
            _same("poll", environ, "GET", f"{page}/status"),
            _same("poll, unchanged", environ, "GET", f"{page}/status", _UNCHANGED),
            _same("usual page", environ, "GET", page, BROWSER),
            # A page with a query is Flask's: this one follows *Já paguei* without scripts.
            _same("page", environ, "GET", f"{page}?checked=no-answer", BROWSER),
            _same("page, cancelled", environ, "GET", cancelled, BROWSER),
            _same("receipt", environ, "GET", f"{paid}/receipt", BROWSER),
            _same("page as JSON", environ, "GET", page, {**PROGRAM, "HTTP_ACCEPT": _JSON}),
            _same("QR", environ, "GET", f"{image}.svg", BROWSER),
            _same("QR of the receipt", environ, "GET", f"{paid}/receipt/qr.svg", BROWSER),
            _same("QR as PNG", environ, "GET", f"{image}.png", BROWSER),
            Operation("first QR, SVG", lambda number: self._first_pictures(number, "svg")),
            Operation("first QR, PNG", lambda number: self._first_pictures(number, "png")),
            _same("payload", environ, "GET", f"/qr/v2/{code}"),
            _same("list by key", environ, "GET", "/payments/pix?limit=1", with_key),
            _same("portal, list", environ, "GET", "/portal/payments", with_cookies),
            _same("portal, home", environ, "GET", "/portal", with_cookies),
            _same("brand", environ, "GET", "/brand/d97706.css", BROWSER),
            _same("style sheet", environ, "GET", _SHEET, _ZIPPED),
            Operation("style sheet, unchanged", self._unchanged_sheets, 304, 60),
        ]
        return {operation.name: operation for operation in operations}

    def new_payments(self, number: int) -> list[Environ]:
        """Requests that create payments."""
        body = {"value": 54.9, "description": "Uma cesta de frutas", "metadata": {"cart": "4711"}}
        return [
            environ(
                "POST",
                "/payments/pix",
                body=json.dumps({**body, "order_id": secrets.token_hex(8)}).encode(),
            )
            for _ in range(number)
        ]

    def _payments_by_key(self, number: int) -> list[Environ]:
        key = {"HTTP_AUTHORIZATION": f"Bearer {self.key}"}
        return [{**request, **key} for request in self.new_payments(number)]

    def _confirmations(self, number: int) -> list[Environ]:
        return [self._confirmation(self.create()) for _ in range(number)]

    def _confirmation(self, payment: dict[str, Any]) -> Environ:
        now = SystemClock().now()
        body = json.dumps(
            {
                "bank_payment_id": payment["id"],
                "value": payment["value"],
                "end_to_end_id": end_to_end_id(),
                "paid_at": rfc3339(now),
                "payer": {"name": "Bob de Souza", "document": "12345678909"},
            }
        ).encode()
        signed = signatures.signed_headers(SECRET, f"msg_{secrets.token_hex(8)}", now, body)
        headers = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in signed.items()}
        return environ("POST", "/payments/pix/confirmation", {**PROGRAM, **headers}, body)

    def _traces(self, number: int) -> list[Environ]:
        paths = [f"/payments/pix/{self.create()['id']}/trace" for _ in range(number)]
        # An address may send 60 in a minute.
        browser = {**BROWSER, "REMOTE_ADDR": f"10.{'.'.join(map(str, secrets.token_bytes(3)))}"}
        return [environ("POST", path, browser, b'{"what": "opened"}') for path in paths]

    def _unchanged_sheets(self, number: int) -> list[Environ]:
        answer = send(self.app, environ("GET", _SHEET, _ZIPPED))
        headers = {**_ZIPPED, "HTTP_IF_NONE_MATCH": dict(answer.headers)["ETag"]}
        return [environ("GET", _SHEET, headers) for _ in range(number)]

    def _first_pictures(self, number: int, kind: str) -> list[Environ]:
        paths = [f"/payments/pix/qr_code/{self.create()['qr_code']}.{kind}" for _ in range(number)]
        return [environ("GET", path, BROWSER) for path in paths]


_JSON = "application/json"
_UNCHANGED = {**PROGRAM, "HTTP_ACCEPT": _JSON, "HTTP_IF_NONE_MATCH": 'W/"pending-1"'}
"""The headers of a page that has asked for the state of a new payment before."""
_ZIPPED = {**BROWSER, "HTTP_ACCEPT_ENCODING": "gzip, deflate, br"}
_SHEET = "/static/css/base.css"
_SHORT = ("QR", "QR of the receipt", "QR as PNG", "brand", "style sheet")


def _same(name: str, make: Callable[..., Environ], *arguments: Any) -> Operation:
    at_once = 60 if name in _SHORT else 10
    return Operation(
        name,
        lambda number: [make(*arguments) for _ in range(number)],
        304 if arguments[-1] is _UNCHANGED else 200,
        at_once,
    )


@contextmanager
def service(folder: Path, database_url: str) -> Iterator[Service]:
    """The service in this process, with its default logging, written to the null device."""
    settings = settings_for(database_url, folder, log_level="info")
    with redirect_stderr(_null_stream()):
        init_logs(settings)
    app = ready_app(settings, SystemClock())
    try:
        yield Service(app)
    finally:
        close_app(app)


@cache
def _null_stream() -> TextIO:
    """A stream that stays open: loggers keep the first stream they wrote to."""
    return Path(os.devnull).open("w")
