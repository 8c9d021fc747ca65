"""The events of a refund reach the payment's listeners and its merchant, and nobody else."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack

import pytest

from tests.realtime.clients import QUIET_SECONDS, Watcher
from tests.support.town import PIN

JSON = {"Content-Type": "application/json"}
PASSWORD = "correct horse battery"


def post(service, path, body, headers=None):
    """POST a JSON body; returns the JSON object of the answer."""
    body_bytes = json.dumps(body).encode()
    status, answer, _ = service.request("POST", path, body_bytes, {**JSON, **(headers or {})})
    assert status in (200, 201), answer
    return json.loads(answer)


def merchant_token(service, login):
    """Create a merchant; returns an access token."""
    post(service, "/users/", {"username": login, "password": PASSWORD})
    answer = post(service, "/api/login", {"username": login, "password": PASSWORD})
    return answer["access_token"]


@pytest.mark.timeout(90)
def test_a_refund_is_announced_to_the_payments_listeners_and_its_merchant_alone(serve):
    """Bob's page shows the refund without a reload; Charlie, another merchant, gets no event."""
    service = serve()
    alice, charlie = merchant_token(service, "alice"), merchant_token(service, "charlie")
    bearer = {"Authorization": f"Bearer {alice}"}
    payment = post(service, "/payments/pix", {"value": 10}, bearer)["payment"]
    other = post(service, "/payments/pix", {"value": 10}, bearer)["payment"]
    paid = post(service, "/bank/api/pay", {"code": payment["pix_code"], "pin": PIN})
    assert paid["status"] == "confirmed"
    with ExitStack() as open_:
        bob, stranger = (open_.enter_context(Watcher(service.url)) for _ in range(2))
        idle = open_.enter_context(Watcher(service.url))
        sells = open_.enter_context(Watcher(service.url, auth={"token": alice}))
        rival = open_.enter_context(Watcher(service.url, auth={"token": charlie}))
        before = bob.watch(payment)["sequence"]
        stranger.watch(other)
        assert sells.ask("watch_merchant")["ok"] is True
        assert rival.ask("watch_merchant")["ok"] is True
        refund = post(service, f"/payments/pix/{payment['id']}/refunds", {"value": 4}, bearer)
        assert refund["status"] == "done"
        for watcher in (bob, sells):
            message = watcher.wait_for("payment-refunded")
            assert message == watcher.wait_for(f"payment-refunded-{payment['id']}")
            assert message["payment_id"] == payment["id"]
            assert (message["status"], message["sequence"]) == ("confirmed", before + 1)
            assert "4.00" in message["message"]
        time.sleep(QUIET_SECONDS)
        assert [watcher.names() for watcher in (stranger, idle, rival)] == [[], [], []]
        assert bob.watch(payment)["refunded_value"] == 4.0


def test_only_the_payments_merchant_can_refund_and_list_refunds(serve):
    """For Charlie the payment does not exist, so that Charlie cannot learn about it."""
    service = serve()
    alice, charlie = merchant_token(service, "alice"), merchant_token(service, "charlie")
    payment = post(service, "/payments/pix", {"value": 10}, {"Authorization": f"Bearer {alice}"})[
        "payment"
    ]
    post(service, "/bank/api/pay", {"code": payment["pix_code"], "pin": PIN})
    path = f"/payments/pix/{payment['id']}/refunds"
    post(service, "/users/", {"username": "bob", "password": PASSWORD, "role": "payer"})
    answer = post(service, "/api/login", {"username": "bob", "password": PASSWORD})
    cases = {
        404: [{"Authorization": f"Bearer {charlie}"}, {}],  # No credential means the demo merchant.
        403: [{"Authorization": f"Bearer {answer['access_token']}"}],
        401: [{"Authorization": "Bearer balcao_test_wrong"}, {"Authorization": "Basic YTpi"}],
    }
    for expected, callers in cases.items():
        for headers in callers:
            for method, request_body in (("POST", b"{}"), ("GET", None)):
                status, body, _ = service.request(method, path, request_body, {**JSON, **headers})
                assert (status, method) == (expected, method), (headers, body)
    assert service.payment(payment["id"])["refunded_value"] == 0.0


def test_an_api_key_refunds_only_with_the_scope_refunds_write(serve):
    """A shop's web server needs a key for payments. If that key leaks, it must not refund."""
    service = serve()
    alice = {"Authorization": f"Bearer {merchant_token(service, 'alice')}"}
    keys = {
        scope: post(service, "/api/keys", {"label": "x", "scopes": [scope]}, alice)["key"]
        for scope in ("payments:write", "refunds:write", "payments:read")
    }
    payment = post(service, "/payments/pix", {"value": 10}, alice)["payment"]
    post(service, "/bank/api/pay", {"code": payment["pix_code"], "pin": PIN})
    path = f"/payments/pix/{payment['id']}/refunds"
    answers = {}
    for scope, key in keys.items():
        headers = {**JSON, "Authorization": f"Bearer {key}"}
        answers[scope, "POST"] = service.request("POST", path, b'{"value": 1}', headers)[0]
        answers[scope, "GET"] = service.request("GET", path, None, headers)[0]
    assert answers == {
        ("payments:write", "POST"): 403,
        ("payments:write", "GET"): 403,
        ("refunds:write", "POST"): 201,
        ("refunds:write", "GET"): 403,
        ("payments:read", "POST"): 403,
        ("payments:read", "GET"): 200,
    }
