"""The scripts of a page in a browser: each module once, and none asked for again."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from tests.browser.visits import CONFIRMED, expect_heading

LOADED = """() => performance.getEntriesByType("resource")
  .filter((one) => new URL(one.name).pathname.endsWith(".js"))
  .map((one) => [new URL(one.name).pathname, one.transferSize])"""


def test_a_module_has_one_address_and_a_second_visit_asks_for_none(visit, service):
    """Its state must not be doubled, and a shopper who returns pays for nothing again."""
    first, second = service.create(), service.create()
    bob = visit()
    bob.watch(first)
    assert service.tell(first)[0] == 200
    expect_heading(bob.page, CONFIRMED)
    scripts = {url for url in bob.requests if urlsplit(url).path.endswith(".js")}
    paths = [urlsplit(url).path for url in scripts]
    assert {"/static/js/poller.js", "/static/js/checkout/checkout.js"} <= set(paths)
    assert len(paths) == len(set(paths)), sorted(scripts)
    assert all(re.fullmatch("v=[0-9a-f]{12}", urlsplit(url).query) for url in scripts), scripts

    assert any(size > 0 for _, size in bob.page.evaluate(LOADED))
    bob.watch(second)
    assert service.tell(second)[0] == 200
    expect_heading(bob.page, CONFIRMED)
    loaded = dict(bob.page.evaluate(LOADED))
    assert {"/static/js/poller.js", "/static/js/checkout/checkout.js"} <= loaded.keys()
    assert not any(loaded.values()), loaded
    assert bob.complaints == []
