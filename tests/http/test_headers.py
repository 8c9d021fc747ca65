"""Headers of every answer; wrong methods, content types and sizes."""

from __future__ import annotations

import io
import re

import pytest

from tests.http.checks import problem

SECURITY = (
    "Content-Security-Policy",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "Referrer-Policy",
    "Permissions-Policy",
)


def test_a_sane_request_id_is_echoed(client):
    """So the shop can match its log with ours."""
    for sane in ("a", "A-1.b_c", "f" * 128):
        answer = client.get("/healthz", headers={"X-Request-ID": sane})
        assert answer.headers["X-Request-ID"] == sane


@pytest.mark.parametrize(
    "request_id", ["", " ", "a b", "x" * 129, "<script>", "é", "a;b", "a\tb", "{{7*7}}", "a/b"]
)
def test_any_other_request_id_is_replaced(client, request_id):
    """The id goes into logs, headers and pages."""
    value = request_id.encode().decode("latin-1")
    answer = client.get("/nowhere", headers={"X-Request-ID": value})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]


def test_two_requests_have_two_ids(client):
    """A constant default would identify no request."""
    ids = {client.get("/healthz").headers["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3


def test_every_answer_carries_the_security_headers(client, make_payment):
    """Pages, JSON, pictures, errors, redirects and 304s alike."""
    payment = make_payment(expires_in=10)
    qr = f"/payments/pix/qr_code/{payment['qr_code']}"
    etag = client.get(qr).headers["ETag"]
    answers = [
        client.get("/"),
        client.get(f"/payments/pix/{payment['id']}"),
        client.get("/payments/pix"),
        client.get(qr),
        client.get(qr, headers={"If-None-Match": etag}),
        client.get("/nowhere"),
        client.get("/nowhere", headers={"Accept": "text/html"}),
        client.post("/healthz"),
        client.post("/payments/pix", data=b"{"),
        client.post("/payments/pix", data=b"x" * 70_000),
        client.get("/static/css/tokens.css"),
        client.get("//payments//pix"),
        client.options("/payments/pix"),
        client.get("/openapi.json"),
        client.get("/metrics"),
        client.post("/shop/orders", data={"product": "mel"}),
    ]
    for answer in answers:
        for name in SECURITY:
            assert name in answer.headers, (answer.request.path, name)
        assert answer.headers["X-Request-ID"]
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe-inline" not in policy
        assert "default-src 'none'" in policy
        answer.close()


@pytest.mark.parametrize(
    ("method", "path", "methods"),
    [
        ("PUT", "/payments/pix", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("DELETE", "/payments/pix/" + "0" * 32, {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/payments/pix/confirmation", None),
        ("GET", "/payments/pix/" + "0" * 32 + "/cancel", {"OPTIONS", "POST"}),
        ("POST", "/qr/v2/jwks", {"GET", "HEAD", "OPTIONS"}),
        ("PATCH", "/healthz", {"GET", "HEAD", "OPTIONS"}),
        ("BREW", "/healthz", {"GET", "HEAD", "OPTIONS"}),
        ("TRACE", "/payments/pix", {"GET", "HEAD", "OPTIONS", "POST"}),
    ],
)
def test_a_wrong_method_is_a_405_with_allow(client, method, path, methods):
    """RFC 9110 requires Allow."""
    answer = client.open(path, method=method)
    if methods is None:  # GET reads a payment with that id, which does not exist
        problem(answer, 404, "payment-not-found")
        return
    problem(answer, 405, "method-not-allowed")
    assert {name.strip() for name in answer.headers["Allow"].split(",")} == methods


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"]
)
def test_a_body_that_is_not_json_by_its_type_is_a_415(client, content_type):
    """If the type were guessed, other sites could send forms."""
    answer = client.post("/payments/pix", data=b'{"value": 1}', content_type=content_type)
    problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
def test_json_is_json_however_its_type_is_written(client, content_type):
    """Parameters and case do not matter."""
    answer = client.post("/payments/pix", data=b'{"value": 1}', content_type=content_type)
    assert answer.status_code == 201


def test_a_body_too_large_is_a_413_at_its_edge(client):
    """64 KiB are accepted, one byte more is refused."""
    padding = b" " * (65_536 - len(b'{"value": 1}'))
    fits = client.post(
        "/payments/pix", data=b'{"value": 1}' + padding, content_type="application/json"
    )
    assert fits.status_code == 201
    over = client.post(
        "/payments/pix", data=b'{"value": 1} ' + padding, content_type="application/json"
    )
    problem(over, 413, "payload-too-large")


def test_a_body_too_large_is_a_413_also_without_its_length(client):
    """A chunked upload has no length and must not fill the memory."""
    answer = client.post(
        "/payments/pix",
        input_stream=io.BytesIO(b" " * 10_000_000),
        content_type="application/json",
        environ_overrides={"wsgi.input_terminated": True},
    )
    problem(answer, 413, "payload-too-large")


@pytest.mark.parametrize("path", ["/", "/healthz", "/payments/pix", "/openapi.json", "/qr/v2/jwks"])
def test_head_is_get_without_the_body(client, path):
    """Link checkers and load balancers send it."""
    head, get = client.head(path), client.get(path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.content_type == get.content_type


def test_options_lists_methods_and_allows_no_other_origin(client):
    """No other site's script may read anything here."""
    answer = client.options(
        "/payments/pix",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
    )
    assert answer.status_code == 200
    assert "POST" in answer.headers["Allow"]
    assert not any(name.lower().startswith("access-control") for name, _ in answer.headers)


def test_an_unknown_address_is_a_problem_or_a_page(client):
    """Depending on the Accept header."""
    problem(client.get("/nowhere"), 404, "not-found")
    page = client.get("/nowhere", headers={"Accept": "text/html"})
    assert (page.status_code, page.mimetype) == (404, "text/html")
    assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "a b", "[::1", "x" * 300, "127.0.0.1:99999999"])
def test_a_forged_host_reaches_no_address_in_an_answer(client, make_payment, host):
    """Links are built only from PUBLIC_URL."""
    payment = make_payment()
    answer = client.get(
        f"/payments/pix/{payment['id']}",
        headers={"Host": host, "Accept": "application/json", "X-Forwarded-Host": host},
    )
    assert answer.status_code in (200, 400)
    assert host not in answer.text
    assert host not in str(answer.headers)
