"""The way from a paid page back to the shop that sent the shopper."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect

from tests.browser.visits import CONFIRMED, PHONE, WAITING, expect_heading

TOP = "element => element.getBoundingClientRect().top + window.scrollY"
LEADING = re.compile(r"Voltamos para a loja em \d s\.")


def test_a_paid_page_leads_back_to_the_shop_by_itself_once(visit, service):
    """The shop knows that its buyer is back; *back* in the browser shows the paid page in peace."""
    payment = service.create(return_url=f"{service.url}/shop/cart/queijo?pedido=7")
    bob = visit(**PHONE)
    page = bob.watch(payment)
    expect_heading(page, WAITING)
    expect(page.locator("[data-leading-back]")).to_have_count(0)
    assert service.tell(payment)[0] == 200
    expect_heading(page, CONFIRMED)
    expect(page.get_by_text(LEADING)).to_be_in_viewport()
    expect(page.get_by_role("link", name="Voltar para a loja")).to_be_in_viewport(ratio=1)
    page.wait_for_url("**/shop/cart/queijo?**", timeout=8_000)
    assert parse_qs(urlsplit(page.url).query) == {
        "pedido": ["7"],
        "payment_id": [payment["id"]],
        "status": ["confirmed"],
    }
    page.go_back()
    expect_heading(page, CONFIRMED)
    expect(page.locator("html[data-started]")).to_be_attached()
    expect(page.get_by_text(LEADING)).to_be_hidden()
    assert bob.complaints == []


def test_a_touch_or_a_key_keeps_the_shopper_on_the_page(visit, service):
    """Who reads, scrolls or looks for the receipt must not lose the page."""
    for touch in ("key", "pointer", "wheel", "button"):
        payment = service.create(return_url=f"{service.url}/shop/cart/queijo")
        assert service.tell(payment)[0] == 200
        page = visit().open(f"/payments/pix/{payment['id']}")
        note = page.get_by_text(LEADING)
        expect(note).to_be_in_viewport()
        receipt = page.get_by_role("link", name="Ver recibo")
        place = receipt.evaluate(TOP)
        if touch == "key":
            page.keyboard.press("Tab")
        elif touch == "pointer":
            page.get_by_role("heading", name=CONFIRMED).click()
        elif touch == "wheel":
            page.mouse.wheel(0, 50)
        else:
            page.get_by_role("button", name="Ficar nesta página").click()
        expect(note).to_be_hidden()
        assert receipt.evaluate(TOP) == place, "nothing moves under the finger"
        receipt.click()
        expect(page.get_by_role("heading", name="Recibo de pagamento Pix")).to_be_visible()
        link = page.get_by_role("link", name="Voltar para a loja")
        expect(link).to_have_attribute("href", re.compile("payment_id=.*status=confirmed"))
