"""The counter page in Chromium: on a phone and on a tablet, with sound, live."""

from __future__ import annotations

import json
import urllib.request

import pytest
from playwright.sync_api import expect

from tests.browser.visits import NARROW, PHONE, scrolls_sideways
from tests.browser.visits import visitor as new_visitor
from tests.support.browser import axe_violations
from tests.support.service import PIX_KEY, ServiceProcess

PASSWORD = "the password of the demo shop"
TABLET = {"viewport": {"width": 1024, "height": 768}}
COUNT_TONES = """
window.tones = 0;
const make = AudioContext.prototype.createOscillator;
AudioContext.prototype.createOscillator = function () {
  window.tones += 1;
  return make.call(this);
};
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One service for the tests of this file, with the demo merchant."""
    with ServiceProcess(tmp_path_factory.mktemp("counter"), DEMO_PASSWORD=PASSWORD) as running:
        yield running


@pytest.fixture(scope="module")
def cookies(service):
    """The cookies of one sign-in."""
    body = json.dumps({"username": "demo", "password": PASSWORD}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    request = urllib.request.Request(service.url + "/api/login", data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        set_cookies = answer.headers.get_all("Set-Cookie")
    pairs = [cookie.split(";")[0].partition("=") for cookie in set_cookies]
    return [{"name": n, "value": v, "url": service.url} for n, _, v in pairs if v]


@pytest.fixture
def open_counter(new_context, service, cookies):
    """Open the counter page: open_counter(**PHONE) → Page."""

    def begin(path="/portal/counter", **look):
        visit = new_visitor(new_context, service, **look)
        visit.page.context.add_cookies(cookies)
        visit.page.add_init_script(COUNT_TONES)
        visit.open(path)
        return visit.page

    return begin


def tap(page, digits):
    """Tap keys of the keypad."""
    for digit in digits:
        page.locator(f'[data-key="{digit}"]').click()


def pay_shown(service, page):
    """Confirm the payment whose code the page shows."""
    source = page.locator(".counter__qr").get_attribute("src")
    txid = source.partition("qr_code_payment_")[2].removesuffix(".svg")
    assert service.tell(service.payment(txid))[0] == 200


@pytest.mark.parametrize("look", [PHONE, TABLET], ids=["phone", "tablet"])
def test_amount_code_paid_next_customer_on_one_page(open_counter, service, look):
    """One tap per step, nothing loads anew, and the next amount begins empty."""
    page = open_counter(**look)
    page.evaluate("window.isSamePage = true")
    tap(page, ["1", "2", "3", "4", "5", "back"])
    expect(page.locator("[data-amount]")).to_have_value("12,34")
    page.get_by_role("button", name="Mostrar QR").click()
    qr = page.locator(".counter__qr")
    expect(qr).to_be_visible()
    box = qr.bounding_box()
    assert min(box["width"], box["height"]) >= 260
    assert not scrolls_sideways(page)
    pay_shown(service, page)
    expect(page.get_by_role("heading", name="Pago")).to_be_visible(timeout=10_000)
    expect(page.get_by_role("heading", name="Pago")).to_be_focused()
    page.get_by_role("link", name="Próximo cliente").click()
    expect(page.locator("[data-amount]")).to_have_value("")
    assert page.evaluate("window.isSamePage") is True


def test_the_sound_is_off_until_turned_on_and_then_remembered(open_counter, service):
    """A quiet shop stays quiet; a loud one need not choose again."""
    page = open_counter(**TABLET)
    sound = page.locator("[data-sound]")
    expect(sound).to_contain_text("Som: desligado")
    tap(page, ["7", "00"])
    page.get_by_role("button", name="Mostrar QR").click()
    pay_shown(service, page)
    expect(page.get_by_role("heading", name="Pago")).to_be_visible(timeout=10_000)
    assert page.evaluate("window.tones") == 0
    page.get_by_role("link", name="Próximo cliente").click()
    sound.click()
    expect(sound).to_contain_text("Som: ligado")
    page.reload()
    expect(sound).to_contain_text("Som: ligado")
    tap(page, ["7", "00"])
    page.get_by_role("button", name="Mostrar QR").click()
    expect(page.locator(".counter__qr")).to_be_visible()
    before = page.evaluate("window.tones")
    pay_shown(service, page)
    expect(page.get_by_role("heading", name="Pago")).to_be_visible(timeout=10_000)
    assert page.evaluate("window.tones") > before


def test_a_static_code_turns_green_when_its_till_is_paid(open_counter, service):
    """Money without a payment is live at the counter too."""
    page = open_counter(**PHONE)
    page.get_by_role("button", name="QR fixo do caixa").click()
    expect(page.locator(".counter__qr")).to_be_visible()
    txid = page.url.partition("/tills/")[2].partition("?")[0]
    money = {"id": None, "value": 8.5}
    payer = {"name": "Bia Andrade"}
    assert service.tell(money, pix_key=PIX_KEY, reference=txid, payer=payer)[0] == 200
    expect(page.get_by_role("heading", name="Pago")).to_be_visible(timeout=10_000)
    expect(page.locator("[data-stage]")).to_contain_text("R$\xa08,50")
    expect(page.locator("[data-stage]")).to_contain_text("Bia Andrade")
    page.get_by_role("link", name="Próximo cliente").click()
    expect(page.locator(".counter__qr")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_stage_is_accessible_and_its_code_stands_on_white(open_counter, service, scheme):
    """A code is read from white also in the dark; and nothing is cut at 320 px."""
    page = open_counter(**NARROW, color_scheme=scheme)
    assert axe_violations(page) == []
    assert not scrolls_sideways(page)
    tap(page, ["9", "9"])
    page.get_by_role("button", name="Mostrar QR").click()
    waiting = page.locator('[data-stage="waiting"]')
    expect(waiting).to_have_css("background-color", "rgb(255, 255, 255)")
    assert axe_violations(page) == []
    assert not scrolls_sideways(page)
    pay_shown(service, page)
    expect(page.get_by_role("heading", name="Pago")).to_be_visible(timeout=10_000)
    assert axe_violations(page) == []
    assert not scrolls_sideways(page)


def test_the_counter_works_without_scripts(open_counter, service):
    """The amount is typed, and the page asks again by itself."""
    page = open_counter(**PHONE, java_script_enabled=False)
    expect(page.locator("[data-keypad]")).to_be_hidden()
    page.locator("[data-amount]").fill("3,50")
    page.get_by_role("button", name="Mostrar QR").click()
    expect(page.locator(".counter__qr")).to_be_visible()
    pay_shown(service, page)
    expect(page.get_by_role("heading", name="Pago")).to_be_visible(timeout=15_000)
