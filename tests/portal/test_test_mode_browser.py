"""Test mode in Chromium: the switch by keyboard, the strip on a phone, and two tabs."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.visits import DESKTOP, NARROW, in_both_schemes, scrolls_sideways
from tests.browser.visits import visitor as new_visitor
from tests.support.browser import axe_violations
from tests.support.service import ServiceProcess

PASSWORD = "the password of the real shop"
STRIP = "Modo de teste: nenhum dinheiro real"
PAGES = (
    "/portal",
    "/portal/payments",
    "/portal/provider",
    "/portal/developers",
    "/portal/settings",
)


@pytest.fixture(scope="module")
def service(tmp_path_factory, module_database):
    """A service in production, with the merchant ana; it logs no traceback."""
    folder = tmp_path_factory.mktemp("production")
    settings: dict[str, Any] = {
        "APP_ENV": "production",
        "SIGN_UP": "open",
        "PUBLIC_URL": "https://shop.example",
    }
    settings["DATABASE_URL"] = module_database("sqlite")
    with ServiceProcess(folder, **settings) as running:
        person = {"username": "ana", "password": PASSWORD, "role": "merchant"}
        shop = {"name": "Loja da Ana"}
        body = json.dumps({**person, **shop}).encode()
        header = {"Content-Type": "application/json"}
        assert running.request("POST", "/users/", body, header)[0] == 201
        yield running
        assert "Traceback" not in running.log()


@pytest.fixture
def visit(new_context, service):
    """A visit of ana's, in a sign-in of its own: visit(viewport=…, …) → Visit."""

    def begin(**look: Any):
        request = urllib.request.Request(
            service.url + "/api/login",
            data=json.dumps({"username": "ana", "password": PASSWORD}).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            pairs = [
                cookie.split(";")[0].partition("=")
                for cookie in answer.headers.get_all("Set-Cookie")
            ]
        visit = new_visitor(new_context, service, **look)
        cookies: list[Any] = [{"name": n, "value": v, "url": service.url} for n, _, v in pairs if v]
        visit.page.context.add_cookies(cookies)
        return visit

    return begin


@pytest.mark.parametrize("look", [NARROW, DESKTOP], ids=["phone", "desktop"])
def test_the_switch_and_the_strip_fit_every_page(visit, look):
    """At 320 px too, in light and dark, and for people who cannot see them."""
    visitor = visit(**look)
    page = visitor.open("/portal")
    expect(page.get_by_text(STRIP)).to_have_count(0)
    live = page.get_by_role("button", name="Ao vivo", exact=True)
    expect(live).to_have_attribute("aria-pressed", "true")
    switch = page.get_by_role("group", name="Modo").get_by_role("button", name="Teste")
    switch.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text(STRIP)).to_be_visible()
    for path in PAGES:
        page = visitor.open(path)
        expect(page.get_by_text(STRIP)).to_be_in_viewport()
        pressed = page.get_by_role("button", name="Teste", exact=True)
        expect(pressed).to_have_attribute("aria-pressed", "true")
        assert pressed.bounding_box()["height"] >= 44
        assert scrolls_sideways(page) == [], path
        for scheme in in_both_schemes(page):
            assert axe_violations(page) == [], (path, scheme)
    page.mouse.wheel(0, 600)
    expect(page.get_by_text(STRIP)).to_be_in_viewport()


def test_two_tabs_never_act_for_each_other(visit):
    """The first tab was loaded live; the second one switches, and the first one stops."""
    visitor = visit(**DESKTOP)
    page = visitor.open("/portal/settings")
    page.get_by_label("Cidade").fill("Recife")
    other = page.context.new_page()
    other.goto(visitor.service.url + "/portal/payments")
    page_of_lists = page.context.new_page()
    page_of_lists.goto(visitor.service.url + "/portal/payments")
    other.get_by_role("button", name="Teste", exact=True).click()
    expect(other.get_by_text(STRIP)).to_be_visible()

    page.locator("#shop").get_by_role("button", name="Salvar").click()
    expect(page.get_by_role("heading", name="O modo mudou em outra aba")).to_be_visible()
    page_of_lists.bring_to_front()
    page_of_lists.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(page_of_lists.get_by_text("Outra aba mudou o modo")).to_be_visible()
    other.goto(visitor.service.url + "/portal/settings")
    expect(other.get_by_label("Cidade")).not_to_have_value("Recife")
