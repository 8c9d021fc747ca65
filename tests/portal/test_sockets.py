"""Joining the merchant's room by a sign-in's cookie: only from our own pages."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.portal.signing import Browser


def socket_of(app: Flask, client: FlaskClient, **headers: str):
    """A Socket.IO client whose handshake has this browser's cookies."""
    return app.extensions["socketio"].test_client(app, flask_test_client=client, headers=headers)


def watch(socket) -> dict:
    """Send `watch_merchant`; return the answer."""
    answer: dict = socket.emit("watch_merchant", {}, callback=True)
    return answer


@pytest.mark.parametrize("origin", [None, "http://localhost", "http://127.0.0.1:5000"])
def test_our_own_page_joins_by_its_cookie_and_gets_its_own_events(
    app, alice: Browser, charlie: Browser, charge, bank, origin
):
    """The origin may be the request's host or PUBLIC_URL; Charlie's room gets nothing."""
    headers = {"Origin": origin} if origin else {}
    alices_socket = socket_of(app, alice.client, **headers)
    charlies_socket = socket_of(app, charlie.client, **headers)
    assert watch(alices_socket)["ok"] is True
    assert watch(charlies_socket)["ok"] is True
    payment = charge()
    assert bank.confirm(payment).status_code == 200
    names = [event["name"] for event in alices_socket.get_received()]
    assert {"payment-confirmed", "payment_completed"} <= set(names)
    assert charlies_socket.get_received() == []


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example"]
)
def test_anothers_page_does_not_join_with_our_cookie(app, alice: Browser, origin):
    """The browser sends the cookie too, but the Origin names the other site."""
    socket = socket_of(app, alice.client, Origin=origin)
    if socket.is_connected():
        answer = watch(socket)
        assert (answer["ok"], answer["code"]) == (False, "forbidden")


def test_without_a_merchants_sign_in_there_is_no_room(app, people):
    """Without credentials, and with a payer's credentials."""
    from tests.portal.signing import sign_in

    assert watch(socket_of(app, app.test_client()))["code"] == "unauthorized"
    assert watch(socket_of(app, sign_in(app, "bob").client))["code"] == "forbidden"
