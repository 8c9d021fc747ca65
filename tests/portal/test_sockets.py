"""The merchant's room by the cookie of a sign-in: for our own pages, and for nobody else's."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.portal.signing import Browser


def socket_of(app: Flask, client: FlaskClient, **headers: str):
    """A Socket.IO client whose handshake has this browser's cookies."""
    return app.extensions["socketio"].test_client(app, flask_test_client=client, headers=headers)


def asked(socket) -> dict:
    """What `watch_merchant` is answered."""
    answer: dict = socket.emit("watch_merchant", {}, callback=True)
    return answer


@pytest.mark.parametrize("origin", [None, "http://localhost", "http://127.0.0.1:5000"])
def test_a_page_of_ours_joins_by_its_cookie_and_hears_its_own(
    app, alice: Browser, charlie: Browser, charge, bank, origin
):
    """The host that was asked, and PUBLIC_URL; Charlie's own room stays silent."""
    headers = {"Origin": origin} if origin else {}
    hears = socket_of(app, alice.client, **headers)
    other = socket_of(app, charlie.client, **headers)
    assert asked(hears)["ok"] is True
    assert asked(other)["ok"] is True
    payment = charge()
    assert bank.confirm(payment).status_code == 200
    names = [one["name"] for one in hears.get_received()]
    assert {"payment-confirmed", "payment_completed"} <= set(names)
    assert other.get_received() == []


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example"]
)
def test_anothers_page_does_not_join_with_our_cookie(app, alice: Browser, origin):
    """The browser sends the cookie along; the Origin says whose script it was."""
    socket = socket_of(app, alice.client, Origin=origin)
    if socket.is_connected():
        answer = asked(socket)
        assert (answer["ok"], answer["code"]) == (False, "forbidden")


def test_nobody_and_a_payer_have_no_room(app, people):
    """Without credentials, and with those of somebody who does not sell."""
    from tests.portal.signing import sign_in

    assert asked(socket_of(app, app.test_client()))["code"] == "unauthorized"
    assert asked(socket_of(app, sign_in(app, "bob").client))["code"] == "forbidden"
