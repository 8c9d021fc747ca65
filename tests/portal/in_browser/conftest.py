"""One service for the tests of a file, and browsers of its demo merchant."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.visits import Visit
from tests.browser.visits import visitor as new_visitor
from tests.support.service import ServiceProcess

PASSWORD = "the password of the demo shop"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One service for the tests of a file, with the demo merchant; it logs no traceback."""
    folder = tmp_path_factory.mktemp("portal")
    with ServiceProcess(folder, DEMO_PASSWORD=PASSWORD) as running:
        yield running
        assert "Traceback" not in running.log()


@pytest.fixture(scope="module")
def payments(service):
    """Payments in every state, and a webhook whose server is away."""
    by_state = {
        "cancelled": service.create(value="28.90", order_id="FV-1"),
        "refused": service.create(value="62.00", description="Caneca"),
        "paid": service.create(value="54.90", description="Queijo meia cura", order_id="FV-2"),
        "open": service.create(value="18.50", description="Pão de fermentação lenta"),
    }
    header = {"Content-Type": "application/json"}
    webhook = json.dumps({"url": "http://127.0.0.1:9/" + "long-path/" * 20}).encode()
    by_state["webhook"] = json.loads(service.request("POST", "/webhooks", webhook, header)[1])
    service.request("POST", f"/payments/pix/{by_state['cancelled']['id']}/cancel")
    assert service.tell(by_state["refused"], value=1)[0] == 400
    assert service.tell(by_state["paid"])[0] == 200
    return by_state


@pytest.fixture(scope="module")
def cookies(service):
    """The cookies of one sign-in, which each test gives to its own browser."""
    body = json.dumps({"username": "demo", "password": PASSWORD}).encode()
    request = urllib.request.Request(
        service.url + "/api/login",
        data=body,
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        set_cookies = answer.headers.get_all("Set-Cookie")
    pairs = [cookie.split(";")[0].partition("=") for cookie in set_cookies]
    return [{"name": n, "value": v, "url": service.url} for n, _, v in pairs if v]


@pytest.fixture
def visit(new_context, service, cookies) -> Callable[..., Visit]:
    """A visit in which the demo merchant is signed in: visit(viewport=…, …) → Visit."""

    def begin(**look: Any) -> Visit:
        visit = new_visitor(new_context, service, **look)
        visit.page.context.add_cookies(cookies)
        return visit

    return begin
