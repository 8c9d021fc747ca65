"""JSON answers leave with the headers that Werkzeug would send."""

from __future__ import annotations

import pytest
from flask import Flask, Response

from web.answers import created_json, private_json

LOCATIONS = [
    "",
    "/users/me/",
    "http://127.0.0.1:5000/payments/pix/0123456789abcdef0123456789abcdef",
    "https://Pay.Example.com/payments/pix/0123456789abcdef0123456789abcdef",
    "HTTPS://pay.example.com:0443/api/loc/7",
    "http://[2001:DB8::1]:5000/refunds/A1",
]


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_created_answer_has_the_headers_that_werkzeug_would_send(location):
    """They are not gone through again when the answer is sent, so they must be right before."""
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
    if location:
        headers.append(("Location", location))
    plain = Response('{"name": "Fábio"}\n', 201, headers)

    with Flask(__name__).app_context():
        answer = created_json({"name": "Fábio"}, location)

    assert answer.status == plain.status
    assert list(answer.get_wsgi_headers({}))[:2] == headers[:2]
    sent = dict(answer.get_wsgi_headers({}))
    assert sent.pop("Content-Length") == str(len(answer.get_data()))
    expected = dict(plain.get_wsgi_headers({}))
    expected.pop("Content-Length")
    assert sent == expected


@pytest.mark.parametrize("status", [200, 202, 503])
def test_a_private_answer_has_the_headers_that_werkzeug_would_send(status):
    """The length counts bytes, not letters, and no cache may store the answer."""
    with Flask(__name__).app_context():
        answer = private_json({"name": "Fábio"}, status)

    assert answer.status_code == status
    assert list(answer.get_wsgi_headers({})) == list(Response.get_wsgi_headers(answer, {}))
    assert dict(answer.headers) == {
        "Content-Type": "application/json",
        "Content-Length": str(len(answer.get_data())),
        "Cache-Control": "no-store",
    }
