"""Hostile input to every route: an error with the agreed members, never a 500, no new row.

The routes come from the URL map, so a route that is new tomorrow is tried without being named
here. Values that a route may well take (an emoji, SQL as text) are in `test_hostile_text.py`.
"""

from __future__ import annotations

import gzip
import io
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import structlog
from flask import Flask
from werkzeug.routing import Rule

from app import create_app
from blueprints.pix_api.problems import TYPE_BASE
from config import parts_of
from tests.http.checks import problem, rows
from tests.pix_api.clients import TOKEN
from tests.support.clocks import FrozenClock
from tests.support.service import BankInTest, close_app, ready_app, settings_for

UNKNOWN = "0" * 32

BODIES: dict[str, bytes] = {
    "no body": b"",
    "only spaces": b" \n\t ",
    "not JSON": b"value=100",
    "XML": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "cut off": b'{"value": 10',
    "two documents": b'{"value": 10}{"value": 10}',
    "something after it": b'{"value": 10} x',
    "a comment": b'{"value": 10 /* reais */}',
    "single quotes": b"{'value': 10}",
    "a comma too many": b'{"value": 10,}',
    "a list": b"[]",
    "a list of one": b'[{"value": 10}]',
    "a number": b"10",
    "a text": b'"10"',
    "null": b"null",
    "true": b"true",
    "an empty object": b"{}",
    "null as money": b'{"value": null}',
    "true as money": b'{"value": true}',
    "a list as money": b'{"value": [10]}',
    "an object as money": b'{"value": {"$gt": 0}}',
    "a text that is no money": b'{"value": "ten"}',
    "0.1 + 0.2": b'{"value": 0.30000000000000004}',
    "1e400": b'{"value": 1e400}',
    "-1e400": b'{"value": -1e400}',
    "1e-400": b'{"value": 1e-400}',
    "1e99999999999": b'{"value": 1e99999999999}',
    "1e99999999999 as text": b'{"value": "1e99999999999"}',
    "NaN": b'{"value": NaN}',
    "NaN as text": b'{"value": "NaN"}',
    "Infinity": b'{"value": Infinity}',
    "-Infinity": b'{"value": -Infinity}',
    "Infinity as text": b'{"value": "Infinity"}',
    "zero": b'{"value": 0}',
    "negative": b'{"value": -10}',
    "three decimals": b'{"value": 10.001}',
    "too much": b'{"value": 10000000000}',
    "400 digits": b'{"value": 1' + b"0" * 400 + b"}",
    "5,000 digits": b'{"value": 1' + b"0" * 5000 + b"}",
    "5,000 decimals": b'{"value": 1.' + b"0" * 5000 + b"}",
    "5,000 digits elsewhere": b'{"value": 10, "expires_in": 1' + b"0" * 5000 + b"}",
    "lists in lists": b"[" * 30_000,
    "lists in lists, closed": b"[" * 20_000 + b"]" * 20_000,
    "objects in objects": b'{"a":' * 10_000,
    "objects in objects, closed": b'{"a":' * 9000 + b"1" + b"}" * 9000,
    "nested metadata": b'{"value": 10, "metadata": ' + b'{"a":' * 19 + b"1" + b"}" * 20,
    "a NUL byte": b'{"value": 10, "description": "\x00"}',
    "an escaped NUL": b'{"value": 10, "description": "a\\u0000b"}',
    "an escaped NUL in a key": b'{"value": 10, "metadata": {"\\u0000": "x"}}',
    "an escaped NUL in an id": b'{"bank_payment_id": "\\u0000", "value": 10}',
    "a lone surrogate": b'{"value": 10, "description": "\\ud800"}',
    "a lone low surrogate": b'{"value": 10, "order_id": "\\udfff"}',
    "a lone surrogate in a key": b'{"value": 10, "metadata": {"\\ud83d": "x"}}',
    "surrogate bytes": b'{"value": 10, "description": "\xed\xa0\x80"}',
    "not UTF-8": b'{"value": 10, "description": "\xff\xfe"}',
    "overlong UTF-8": b'{"value": 10, "description": "\xc0\xaf"}',
    "UTF-16": '{"value": 10}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"value": 10}',
    "repeated keys": b'{"value": 10, "value": 1000}',
    "repeated keys deep inside": b'{"value": 10, "metadata": {"a": "1", "a": "2"}}',
    "a key repeated by an escape": b'{"value": 10, "v\\u0061lue": 1}',
    "unknown fields": b'{"value": 10, "is_admin": true}',
    "fields of the answer": b'{"value": 10, "status": "confirmed", "paid": true}',
    "a prototype": b'{"value": 10, "__proto__": {"paid": true}}',
    "a class": b'{"value": 10, "__class__": "Account"}',
    "compressed": gzip.compress(b'{"value": 10}'),
    "1 MB": b'{"value": 10, "description": "' + b"x" * 1_000_000 + b'"}',
}
TEN_MB = b'{"value": 10, "description": "' + b"x" * 10_000_000 + b'"}'

TYPES = (
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "text/plain",
    "",
    "application/json; charset=utf-16",
    "x" * 5000,
    "application/\xff",
)

SEGMENTS = (
    "x",
    "0",
    "-1",
    "1 OR 1=1",
    "'; DROP TABLE payments; --",
    '" OR ""="',
    "../" * 8 + "etc/passwd",
    "..\\..\\app.py",
    "%2e%2e%2fapp.py",
    "....//app.py",
    "\x00",
    UNKNOWN + "\x00",
    UNKNOWN + "\n",
    "a\r\nX-Injected: yes",
    "a\r\n\r\n<script>alert(1)</script>",
    "\udcff\udcfe",
    "\udced\udca0\udc80",
    "🎉" * 32,
    "é" * 32,
    "\uff10" * 32,
    "A" * 32,
    "{{7*7}}",
    "${jndi:ldap://x}",
    "%s%n",
    "*",
    "x" * 5000,
)

PARAMETERS = (
    *("limit", "after", "status", "order_id", "from", "to", "q", "verdict", "value"),
    *("lang", "fragment", "checked", "v", "unknown", "limit[]", ""),
)

HEADERS: tuple[tuple[str, str], ...] = tuple(
    (name, value)
    for name in (
        *("Authorization", "Accept", "Accept-Language", "Accept-Encoding", "Idempotency-Key"),
        *("If-None-Match", "If-Modified-Since", "If-Match", "Range", "Cookie", "Host", "Origin"),
        *("X-Request-ID", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"),
        *("webhook-id", "webhook-timestamp", "webhook-signature", "Content-Encoding", "Expect"),
        *("Transfer-Encoding", "X-HTTP-Method-Override", "Upgrade", "User-Agent", "Referer"),
    )
    for value in (
        "",
        " ",
        "\xff\xfe",
        "\x7f\x01",
        "%0d%0aX-Injected: yes",
        "x" * 9000,
        ",;=\"'",
        "a=b; " * 500,
        "*/*;q=x, text/html;q=nan, */json;q=9",
        "bytes=0-1,5-9999999999999999999",
        "Bearer " + "y" * 600,
        "Bearer \xe9",
        "' OR 1=1 --",
        "9" * 400,
        "<script>alert(1)</script>",
        "..%2f..%2f",
    )
)


Service = tuple[Flask, Any, FrozenClock, dict[str, Any]]


@pytest.fixture(scope="module")
def one_service(tmp_path_factory) -> Iterator[Service]:
    """One service with a payment; no test in this file may change a row."""
    folder = tmp_path_factory.mktemp("service")
    clock = FrozenClock()
    app = ready_app(settings_for(f"sqlite:///{folder / 'balcao.sqlite'}", folder), clock)
    client = app.test_client()
    payment = client.post("/payments/pix", json={"value": 10}).get_json()["payment"]
    client.get("/qr/v2/jwks")  # the first request creates the signing key, which is a row
    # Thousands of log lines would take longer than the requests.
    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet)
    yield app, client, clock, payment
    structlog.reset_defaults()
    close_app(app)


@pytest.fixture
def service(one_service) -> Service:
    """The service, as if no request had been counted.

    With the times of all routes, methods and statuses, /metrics would be a megabyte.
    """
    parts_of(one_service[0]).metrics.requests.clear()
    return one_service


def routes() -> list[tuple[Rule, str]]:
    """Every rule with each of its methods, of an app that serves nothing."""
    app = create_app(settings_for("sqlite:///:memory:", Path("/nonexistent")))
    return [
        (rule, method)
        for rule in sorted(app.url_map.iter_rules(), key=str)
        for method in sorted(rule.methods or ())
    ]


ROUTES = routes()
READ_OR_WRITE = [(rule, method) for rule, method in ROUTES if method not in ("HEAD", "OPTIONS")]


def each(routes_: list[tuple[Rule, str]]) -> pytest.MarkDecorator:
    """Parametrize a test with these routes."""
    ids = [f"{method} {rule.rule}" for rule, method in routes_]
    return pytest.mark.parametrize(("rule", "method"), routes_, ids=ids)


EVERY_ROUTE = each(ROUTES)
EVERY_READ_OR_WRITE = each(READ_OR_WRITE)
"""Without HEAD, which is GET without a body, and OPTIONS, which reads nothing."""


def address(rule: Rule, value: str = UNKNOWN) -> str:
    """The rule's path with this value for each argument, percent-encoded."""
    encoded = quote(value, safe="", errors="surrogateescape")
    return re.sub(r"<[^>]+>", lambda _: encoded, rule.rule)


def parameters(app: Flask, rule: Rule, method: str) -> list[str]:
    """The query parameters that the OpenAPI document names for the route."""
    documented_path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
    operation = app.api_doc["paths"].get(documented_path, {}).get(method.lower(), {})  # type: ignore[attr-defined]
    return [
        parameter["name"]
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "query"
    ]


def well_answered(answer, method, accept="*/*") -> None:
    """Check: no 500, no injected header, and every refusal has the agreed members."""
    assert answer.status_code < 500, answer.text[:500]
    assert "X-Injected" not in answer.headers
    assert answer.headers["X-Request-ID"]
    is_refusal = answer.status_code >= 400
    as_a_page = "text/html" in accept and answer.mimetype == "text/html"
    if is_refusal and method != "HEAD" and not as_a_page:
        well_refused(answer)
    answer.close()


def well_refused(answer) -> None:
    """Check the members of a refusal, which three kinds of routes have from outer standards."""
    path = answer.request.path
    if path.startswith(TOKEN) and "error" in answer.json:  # not if no route was reached
        assert set(answer.json) == {"error", "error_description"}  # RFC 6749, 5.2
    elif path.startswith(("/api-pix/", "/qr/v2/")) and path != "/qr/v2/jwks":
        assert answer.json["type"].startswith(TYPE_BASE)
        assert answer.json["correlationId"] == answer.headers["X-Request-ID"]
    else:
        problem(answer, answer.status_code)


@EVERY_READ_OR_WRITE
def test_hostile_bodies(service, rule, method):
    """Every hostile body with every content type."""
    app, client, _, _ = service
    before = rows(app)
    for data in BODIES.values():
        well_answered(
            client.open(address(rule), method=method, data=data, content_type=TYPES[0]), method
        )
    for content_type in TYPES[1:]:
        for name in ("no body", "not JSON", "a NUL byte", "not UTF-8", "compressed"):
            well_answered(
                client.open(
                    address(rule), method=method, data=BODIES[name], content_type=content_type
                ),
                method,
            )
    assert rows(app) == before


@EVERY_ROUTE
def test_ten_megabytes(service, rule, method):
    """Refused by Content-Length, or without one by the bytes that arrived."""
    app, client, _, _ = service
    before = rows(app)
    long = client.open(address(rule), method=method, data=TEN_MB, content_type=TYPES[0])
    assert long.status_code == 413
    well_answered(long, method)
    unending = client.open(
        address(rule),
        method=method,
        input_stream=io.BytesIO(TEN_MB),
        content_type=TYPES[0],
        environ_overrides={"wsgi.input_terminated": True},
    )
    well_answered(unending, method)
    assert rows(app) == before


@EVERY_ROUTE
def test_absurd_lengths(service, rule, method):
    """Content-Length values that are no number of bytes."""
    app, client, _, _ = service
    before = rows(app)
    for length in ("-1", "abc", "1e9", "9" * 40, "", "0x10", "12, 12"):
        answer = client.open(
            address(rule), method=method, environ_overrides={"CONTENT_LENGTH": length}
        )
        well_answered(answer, method)
    assert rows(app) == before


@EVERY_ROUTE
def test_hostile_paths(service, rule, method):
    """SQL, traversal, NUL, broken UTF-8 and line breaks where an id is expected."""
    if not rule.arguments:
        assert "<" not in rule.rule
        return
    app, client, _, _ = service
    before = rows(app)
    for segment in SEGMENTS:
        well_answered(client.open(address(rule, segment), method=method), method)
        data = segment.encode("utf-8", "surrogateescape").decode("latin-1")
        if "\n" not in data and "\x00" not in data:
            well_answered(client.open(address(rule, "x") + data, method=method), method)
    assert rows(app) == before


@EVERY_READ_OR_WRITE
def test_hostile_queries(service, rule, method):
    """Each hostile value for the route's own parameters, and for those of all routes together."""
    app, client, _, payment = service
    before = rows(app)
    path = address(rule, payment["id"] if method == "GET" else UNKNOWN)
    own = parameters(app, rule, method)
    for segment in SEGMENTS:
        value = quote(segment, safe="", errors="surrogateescape")
        for name in own:
            well_answered(client.open(f"{path}?{name}={value}", method=method), method)
        every = "&".join(f"{name}={value}" for name in PARAMETERS)
        well_answered(client.open(f"{path}?{every}", method=method), method)
    for query in ("?", "&&&", "=", "%", "%zz", "%ff=%ff", "q", "q&q&q", "a=" * 3000, "\xff=\xff"):
        well_answered(client.open(path, query_string=query, method=method), method)
    assert rows(app) == before


@EVERY_READ_OR_WRITE
def test_hostile_headers(service, rule, method):
    """Each header with each hostile value."""
    app, client, _, payment = service
    before = rows(app)
    path = address(rule, payment["id"] if method == "GET" else UNKNOWN)
    for name, value in HEADERS:
        key = "HTTP_" + name.upper().replace("-", "_")
        answer = client.open(path, method=method, environ_overrides={key: value})
        well_answered(answer, method, accept=value if name == "Accept" else "*/*")
    assert rows(app) == before


@pytest.mark.parametrize("name", BODIES)
def test_creating_refuses_each_hostile_body(service, name):
    """The right status tells a developer what to fix."""
    app, client, _, _ = service
    before = rows(app)
    answer = client.post("/payments/pix", data=BODIES[name], content_type="application/json")
    refusal = problem(answer, 413 if name == "1 MB" else 400)
    assert refusal["detail"]
    assert rows(app) == before


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_refused_even_with_a_valid_signature(service, name):
    """A signed body is never a 500, and one about no payment of ours settles nothing.

    Of a body that can be read, the bank hears that the payment is unknown, and the receipt stays.
    """
    app, client, clock, payment = service
    data = BODIES[name].replace(b'"value"', b'"bank_payment_id": "%s", "value"' % UNKNOWN.encode())
    before = rows(app)
    bank = BankInTest(client, clock)
    try:
        answer = bank.tell(data)
    except UnicodeDecodeError:  # such a body cannot even be signed
        headers = {**bank.headers(b"{}"), "Content-Type": "application/json"}
        answer = client.post("/payments/pix/confirmation", data=data, headers=headers)
    assert answer.status_code in (400, 401, 404, 413)
    problem(answer, answer.status_code)
    after = rows(app)
    assert after.pop("receipts") - before.pop("receipts") == (answer.status_code == 404)
    assert after == before
    assert client.get(f"/payments/pix/{payment['id']}/status").get_json()["status"] == "pending"


def test_every_route_was_tried():
    """The list comes from the URL map, so it must contain the main routes."""
    rules = {rule.rule for rule, _ in ROUTES}
    assert {"/payments/pix", "/payments/pix/confirmation", "/qr/v2/<string:token>"} <= rules
    assert len(ROUTES) > 50
