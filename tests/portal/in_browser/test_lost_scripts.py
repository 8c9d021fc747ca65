"""The portal in Chromium without JavaScript, or without one of its scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.visits import DESKTOP, PHONE, expect_no_lost_script
from tests.portal.in_browser.opening import open_live
from tests.support.browser import axe_violations


def test_without_javascript_lists_and_forms_work(visit, payments):
    """Filters, a new payment and its cancellation; the figures, and the static chart."""
    visitor = visit(**PHONE, java_script_enabled=False)
    page = visitor.open("/portal")
    expect(page.locator(".chart__still")).to_be_visible()
    expect(page.locator(".row-item").first).to_be_visible()
    page = visitor.open("/portal/payments")
    page.get_by_label("Situação").select_option("confirmed")
    page.get_by_role("button", name="Filtrar").click()
    expect(page.locator(".row-item .mark").first).to_have_text("Pago")
    page = visitor.open("/portal/payments/new")
    page.get_by_label("Valor").fill("3,21")
    page.get_by_role("button", name="Criar cobrança").click()
    expect(page.locator(".one__amount")).to_have_text("R$\u00a03,21")
    page.get_by_role("button", name="Cancelar cobrança").click()
    expect(page.get_by_role("heading", name="Cancelar a cobrança de R$\u00a03,21?")).to_be_visible()
    assert axe_violations(page) == []
    page.get_by_role("button", name="Sim, cancelar a cobrança").click()
    expect(page.get_by_text("Cobrança cancelada.").first).to_be_visible()
    assert axe_violations(page) == []


def test_the_preview_shows_what_is_saved_without_javascript(visit, service):
    """The server draws it, without the script that follows the fields."""
    page = visit(java_script_enabled=False, **PHONE).open("/portal/settings")
    expect(page.locator("[data-preview-name]")).to_have_text(page.locator("#name").input_value())
    expect(page.locator("[data-preview-button]")).to_have_attribute(
        "fill", page.locator("#brand_color").input_value()
    )


@pytest.mark.parametrize("script", ["forms.js", "zone.js", "chart.js", "copy_code.js"])
def test_a_lost_side_script_of_the_portal_takes_nothing_live_with_it(visit, service, script):
    """A merchant at the counter waits for the word *Pago*, whatever a blocker took."""
    payment = service.create(value="31.00", description="Rapadura")
    alice = visit(viewport=DESKTOP["viewport"])
    alice.page.route(re.compile(rf"/{re.escape(script)}"), lambda route: route.abort())
    page = open_live(alice, "/portal")
    row = page.locator(f"[data-payment-id='{payment['id']}']")
    expect(row).to_be_visible()
    assert service.tell(payment)[0] == 200
    expect(row).to_have_attribute("data-mark", "confirmed")
    expect(page.locator("#lost-script")).to_be_hidden()
    if script != "zone.js":
        expect(row.locator("time[data-time]").first).not_to_contain_text("UTC")


@pytest.mark.parametrize("script", ["portal.js", "live.js", "merchant_socket.js"])
def test_a_portal_without_its_main_script_says_so(visit, script):
    """Figures that stand still look like a day without sales."""
    alice = visit(viewport=DESKTOP["viewport"])
    alice.page.route(re.compile(rf"/{re.escape(script)}"), lambda route: route.abort())
    page = alice.open("/portal")
    expect(page.locator("#lost-script")).to_be_visible()
    expect(page.locator("[data-chart]")).to_have_attribute("data-drawn", "")


@pytest.mark.parametrize(
    ("script", "is_said"), [("counter.js", True), ("live.js", False), ("forms.js", False)]
)
def test_the_counter_says_whether_its_own_script_is_lost(visit, script, is_said):
    """Without it the QR on the counter never turns to *Pago*."""
    alice = visit(viewport=DESKTOP["viewport"])
    alice.page.route(re.compile(rf"/{re.escape(script)}"), lambda route: route.abort())
    page = alice.open("/portal/counter")
    if is_said:
        expect(page.locator("#lost-script")).to_be_visible()
    else:
        expect_no_lost_script(page)
