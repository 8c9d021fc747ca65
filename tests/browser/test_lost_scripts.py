"""A page whose script does not load: a blocker, or a connection that drops."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.visits import (
    CONFIRMED,
    WAITING,
    expect_heading,
    expect_no_lost_script,
    pay_at_the_bank,
    review_path,
)

SIDE_SCRIPTS = ["copy_code.js", "local_time.js", "enlarge_qr.js", "share.js", "trace.js"]
MAIN_SCRIPTS = ["checkout.js", "live_payment.js", "countdown.js", "poller.js", "state_line.js"]
LOST = "Uma parte desta página não carregou"


@pytest.mark.parametrize("script", [*SIDE_SCRIPTS, "socket.io", "watchdog.js"])
def test_a_lost_side_script_takes_nothing_else_with_it(visit, service, script):
    """A blocker took the reports, and with them the copy button and every live change."""
    payment = service.create()
    bob = visit()
    bob.page.route(re.compile(re.escape(script)), lambda route: route.abort())
    page = bob.open(f"/payments/pix/{payment['id']}")
    expect_heading(page, WAITING)
    if script != "copy_code.js":
        page.click("[data-copy]")
        expect(page.locator("[data-copy-label]").first).to_have_text("Código copiado")
    page.wait_for_timeout(1_500)
    expect(page.get_by_text(LOST)).to_be_hidden()
    assert service.tell(payment)[0] == 200
    expect_heading(page, CONFIRMED)
    assert len(bob.loads) == 1, "the page was drawn again without a reload"


def test_a_page_without_its_main_script_says_so_and_reloads(visit, service):
    """Otherwise the countdown stands still, and a paid page asks for the money for ever.

    One page for each script; they wait for their reloads together.
    """
    pages = {}
    for script in MAIN_SCRIPTS:
        payment = service.create()
        bob = visit()
        bob.page.route(re.compile(re.escape(script)), lambda route: route.abort())
        page = bob.open(f"/payments/pix/{payment['id']}")
        expect_heading(page, WAITING)
        page.click("[data-copy]")
        expect(page.locator("[data-copy-label]").first).to_have_text("Código copiado")
        expect(page.get_by_text(LOST)).to_contain_text("se recarrega a cada 10 segundos")
        assert service.tell(payment)[0] == 200
        pages[script] = page
    for script, page in pages.items():
        paid = page.get_by_role("heading", name=CONFIRMED)
        expect(paid, script).to_be_visible(timeout=20_000)


PAGES = {
    "receipt": (["local_time.js"], ["receipt.js", "print.js"]),
    "sign-in": ([], ["reveal_password.js"]),
    "bank": (["send_once.js"], ["bank.js", "abort_after.js"]),
}


@pytest.fixture(scope="module")
def paths(service):
    """One page of each kind that changes nothing by itself, or little."""
    payment = service.create()
    assert service.tell(payment)[0] == 200
    receipt = f"/payments/pix/{payment['id']}/receipt"
    return {"receipt": receipt, "sign-in": "/login", "bank": "/bank/login"}


@pytest.mark.parametrize(
    ("place", "script", "is_main"),
    [
        (place, script, is_main)
        for place, lists in PAGES.items()
        for is_main, scripts in enumerate(lists)
        for script in scripts
    ],
)
def test_each_page_says_whether_its_main_script_is_lost(visit, paths, place, script, is_main):
    """Who misses a button must know that a reload brings it; a lost trifle is no news."""
    bob = visit()
    bob.page.route(re.compile(rf"/{re.escape(script)}"), lambda route: route.abort())
    page = bob.open(paths[place])
    if is_main:
        expect(page.locator("#lost-script")).to_be_visible()
    else:
        expect_no_lost_script(page)
    expect(page.locator("h1").first).to_be_visible()
    assert len(bob.loads) == 1, "nothing changes here, so nothing is loaded again"


def test_a_bank_receipt_without_its_script_reloads_until_the_shop_has_answered(visit, service):
    """Otherwise a payer reads for ever that the shop is being told."""
    payment = service.create()
    bob = visit()
    bob.page.route(re.compile(r"/bank\.js"), lambda route: route.abort())
    page = bob.open(review_path(payment, scenario="late"))
    pay_at_the_bank(page)
    expect(page.get_by_role("heading", name="Pix enviado")).to_be_visible()
    loads = len(bob.loads)
    expect(page.locator("#lost-script")).to_be_visible()
    expect(page.get_by_role("heading", name="Pix confirmado")).to_be_visible(timeout=30_000)
    assert len(bob.loads) > loads
