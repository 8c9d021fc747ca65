"""Open the portal's pages, and wait for what they show."""

from __future__ import annotations

import time

from playwright.sync_api import Page

from tests.browser.visits import Visit
from tests.support.service import ServiceProcess


def open_live(visitor: Visit, path: str) -> Page:
    """Open a page, and wait until the socket watches the merchant."""
    with visitor.page.expect_websocket() as socket:
        visitor.open(path)
    if not any(frame.startswith("43") for frame in visitor.frames):
        socket.value.wait_for_event(
            "framereceived", predicate=lambda data: str(data).startswith("43")
        )
    assert any('"ok":true' in frame for frame in visitor.frames if frame.startswith("43"))
    return visitor.page


def places(payments) -> dict[str, str]:
    """Every page of the portal, in every state."""
    payment = "/portal/payments/"
    return {
        "home": "/portal",
        "list": "/portal/payments",
        "narrowed list": "/portal/payments?state=confirmed&q=queijo&from=2020-01-01",
        "empty list": "/portal/payments?q=nothing-of-the-kind",
        "open": payment + payments["open"]["id"],
        "paid": payment + payments["paid"]["id"],
        "cancelled": payment + payments["cancelled"]["id"],
        "refused": payment + payments["refused"]["id"],
        "just made": f"{payment}{payments['open']['id']}?done=created",
        "new": "/portal/payments/new",
        "counter": "/portal/counter",
        "poster": "/portal/poster",
        "poster with amount": "/portal/poster?value=25,00",
        "poster, wrong amount": "/portal/poster?value=x",
        "settings": "/portal/settings",
        "accounts at banks": "/portal/provider",
        "new account at a bank": "/portal/provider/new",
        "developers": "/portal/developers",
        "new client": "/portal/developers/clients/new",
        "new webhook": "/portal/developers/webhooks/new",
        "webhook": f"/portal/developers/webhooks/{payments['webhook']['id']}",
    }


def wait_for_text(service: ServiceProcess, path: str, text: str) -> None:
    """Wait until a page contains a text: the process caches a shop's account for two seconds."""
    limit = time.monotonic() + 10
    while text.encode() not in service.get(path, accept="text/html")[1]:
        assert time.monotonic() < limit, f"{text} is not in {path}"
        time.sleep(0.1)
