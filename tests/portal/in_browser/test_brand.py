"""The settings of a shop's look and of its keys in Chromium."""

from __future__ import annotations

import io
import re

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.visits import DESKTOP, NARROW, PHONE, in_both_schemes, scrolls_sideways
from tests.browser.visits import visitor as new_visitor
from tests.portal.in_browser.opening import wait_for_text
from tests.support.browser import axe_violations


@pytest.mark.parametrize("color", ["ffd400", "000000", "ffffff"])
def test_a_shops_colour_keeps_the_payment_page_readable(visit, new_context, service, color):
    """axe finds nothing with yellow, black or white, light or dark, and the button has it."""
    visitor = visit(**DESKTOP)
    page = visitor.open("/portal/settings")
    page.locator("#brand_color").fill(f"#{color}")
    page.get_by_role("button", name="Salvar").click()
    expect(page.get_by_text("Salvo.")).to_be_visible()
    path = f"/payments/pix/{service.create(value='5.00')['id']}"
    wait_for_text(service, path, f'href="/brand/{color}.css"')
    page = new_visitor(new_context, service, **PHONE).open(path)
    assert page.locator(f'link[href="/brand/{color}.css"]').count() == 1
    own = "rgb({}, {}, {})".format(*bytes.fromhex(color))
    for scheme in in_both_schemes(page):
        assert axe_violations(page) == [], scheme
        expect(page.locator(".button--primary:visible").first).to_have_css("background-color", own)
    assert axe_violations(visitor.open("/portal")) == []


@pytest.mark.parametrize(("sent", "ratio"), [((400, 100), 4), ((300, 300), 1)])
def test_a_logo_is_drawn_whole(visit, new_context, service, payments, sent, ratio):
    """A wide logo is wide and at most 160 px, a square one square; nothing of either is cut."""
    picture = io.BytesIO()
    Image.new("RGB", sent, "#c80000").save(picture, format="PNG")
    visitor = visit(**DESKTOP)
    page = visitor.open("/portal/settings")
    upload = {"name": "logo.png", "mimeType": "image/png", "buffer": picture.getvalue()}
    page.locator("#logo-file").set_input_files([upload])
    page.get_by_role("button", name="Enviar logo").click()
    expect(page.get_by_text("Salvo.")).to_be_visible()
    open_payment, paid = (f"/payments/pix/{payments[one]['id']}" for one in ("open", "paid"))
    wait_for_text(service, open_payment, 'src="/logos/')
    shopper = new_visitor(new_context, service, **PHONE)
    try:
        for visited, path, logo in (
            (shopper, open_payment, ".merchant__logo"),
            (shopper, f"{paid}/receipt", ".merchant__logo"),
            (visitor, "/portal/settings", ".side__logo"),
            (visitor, "/portal/settings", ".logo-room__now"),
            (visitor, "/portal/poster", ".poster__logo"),
            (visitor, "/portal/counter", ".side__logo"),
        ):
            image = visited.open(path).locator(logo)
            image.evaluate("image => image.decode()")
            expect(image).to_have_css("object-fit", "contain")
            width, height = image.evaluate("image => [image.offsetWidth, image.offsetHeight]")
            assert width == min(160, height * ratio), (path, logo)
            assert not scrolls_sideways(visited.page), path
    finally:
        page = visitor.open("/portal/settings")
        page.get_by_role("button", name="Tirar a logo").click()
        page.get_by_role("button", name="Sim, tirar a logo").click()
        expect(page.get_by_text("Salvo.")).to_be_visible()


def test_a_new_key_is_what_a_phone_shows_first(visit, service):
    """The key is shown once: on the first screen, with the focus, and a tap copies it."""
    visitor = visit(**PHONE)
    page = visitor.open("/portal/settings")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#label").fill("Site")
    page.get_by_role("button", name="Criar chave").click()
    field = page.get_by_label("Chave de API", exact=True)
    expect(field).to_be_focused()
    expect(field).to_be_in_viewport(ratio=1)
    copy = page.locator('[data-copy="made-key"]')
    expect(copy).to_be_in_viewport(ratio=1)
    copy.click()
    expect(copy).to_contain_text("Copiado")
    assert page.evaluate("navigator.clipboard.readText()") == field.input_value() != ""
    assert axe_violations(page) == []
    assert visitor.complaints == []


def test_the_preview_follows_name_colour_and_logo(visit):
    """A merchant sees the look before it is saved; on the narrowest phone nothing sticks out."""
    alice = visit(**NARROW)
    page = alice.open("/portal/settings")
    preview = page.locator("[data-preview]")
    button = preview.locator("[data-preview-button]")
    ink = preview.locator("[data-preview-ink]")
    for color, text in (("#ffee00", "#000000"), ("#330066", "#ffffff")):
        page.locator("#brand_color").fill(color)
        expect(button).to_have_attribute("fill", color)
        expect(ink).to_have_attribute("fill", text)
    page.locator("#name").fill("Queijaria-da-Alice-e-dos-seus-sete-filhos")
    expect(preview).to_contain_text("Queijaria-da-Alice-e-dos-seus-sete-filhos")
    page.locator("#logo-file").set_input_files(
        {"name": "logo.png", "mimeType": "image/png", "buffer": page.screenshot()}
    )
    expect(preview.locator("img")).to_have_attribute("src", re.compile("^data:image/png"))
    expect(preview.locator("img")).to_be_visible()
    assert scrolls_sideways(page) == []
    page.get_by_role("navigation", name="Seções").get_by_role("link", name="Aparência").click()
    link = page.locator(".jump a[href='#look']")
    assert link.evaluate("link => getComputedStyle(link).fontWeight") == "650"
    assert alice.complaints == []
