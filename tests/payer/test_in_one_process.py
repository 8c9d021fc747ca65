"""Service and bank in one process, as `make run` starts them."""

from __future__ import annotations

import json
import re
import time
from functools import partial

import pytest

from blueprints.payer.demo import DEMO_PAYER, DEMO_PIN
from tests.db.crowd import at_once
from tests.payer.conftest import PASSWORD

JSON = {"Content-Type": "application/json"}


def post(service, path, body, **headers):
    """POST JSON; return status and answer."""
    data = json.dumps(body).encode()
    status, answer, _ = service.request("POST", path, data, {**JSON, **headers}, timeout=30)
    return status, json.loads(answer)


def token_of(service, login, password):
    """An access token by password."""
    status, answer = post(service, "/api/login", {"username": login, "password": password})
    assert status == 200, answer
    return f"Bearer {answer['access_token']}"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mode", ["eventlet", "gevent", "threading"])
def test_payers_pay_at_once_when_service_and_bank_are_one_process(serve, mode):
    """If a request blocked the bank's own requests, it would wait for itself for ever."""
    service = serve(ASYNC_MODE=mode)
    people = []
    for number in range(6):
        body = {"username": f"bob{number}", "password": PASSWORD, "role": "payer"}
        status, answer = post(service, "/users/", body)
        assert status == 201, answer
        people.append((token_of(service, f"bob{number}", PASSWORD), answer["pin"]))
    payments = [service.create() for _ in people]

    def pay(person, payment):
        token, pin = person
        return post(service, f"/api/pay/{payment['id']}", {"pin": pin}, Authorization=token)

    pairs = zip(people, payments, strict=True)
    answers = at_once([partial(pay, person, payment) for person, payment in pairs])
    assert [(status, answer.get("state")) for status, answer in answers] == [(200, "completed")] * 6
    assert all(service.payment(payment["id"])["paid"] for payment in payments)
    assert service.stop() == 0
    assert "Traceback" not in service.log()


@pytest.mark.timeout(60)
def test_the_startup_banner_has_the_demo_payers_login(serve):
    """The printed login and password work, with the demo PIN."""
    service = serve()
    banner_line = re.compile(rf"Payer\s+\S+/pay \({DEMO_PAYER}, (\S+)\)")
    deadline = time.monotonic() + 10
    while (match := banner_line.search(service.log())) is None:
        assert time.monotonic() < deadline, service.log()
        time.sleep(0.05)
    payment = service.create()
    token = token_of(service, DEMO_PAYER, match[1])
    path = f"/api/pay/{payment['id']}"
    status, answer = post(service, path, {"pin": DEMO_PIN}, Authorization=token)
    assert (status, answer.get("state")) == (200, "completed"), answer
