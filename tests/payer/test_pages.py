"""The payer's pages in Chromium: from the sign-in to the confirmed payment, on any screen."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from bank.money.wallets import OPENING_CENTAVOS
from tests.payer.conftest import PASSWORD, sign_up
from tests.support.browser import axe_violations

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}
NARROW = {"viewport": {"width": 320, "height": 640}}
DESKTOP_DARK = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"}
SCREENS: dict[str, dict[str, Any]] = {
    "phone": PHONE,
    "narrow": NARROW,
    "desktop-dark": DESKTOP_DARK,
}


@pytest.fixture
def enter(here, new_context):
    """Open a payment's page and sign in on the way: enter(person, payment, …)."""

    def open_page(person, payment, **options):
        page = new_context(**options).new_page()
        page.goto(f"{here.url}/pay/{payment['id']}")
        assert "/login" in page.url
        page.locator("input[name=username]").fill(person.login)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("form:has(input[name=password]) button[type=submit]").click()
        page.wait_for_url(f"**/pay/{payment['id']}")
        return page

    return open_page


def check(page):
    """Assert that axe finds nothing, and nothing is wider than the screen."""
    assert axe_violations(page) == []
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_payer_signs_in_checks_and_pays(here, bob, enter, screen, scripts):
    """The form shows payee and amount; afterwards the payment's page says that it is paid."""
    payment = here.create(order_id="1042", description="Café em grãos")
    page = enter(bob, payment, java_script_enabled=scripts, **SCREENS[screen])
    expect(page.locator(".merchant__name")).to_have_text("Feira da Vila")
    expect(page.locator(".payer__amount")).to_have_text("R$\N{NO-BREAK SPACE}54,90")
    expect(page.locator(".payer__facts")).to_contain_text(bob.card[-4:])
    expect(page.locator(".payer__facts")).to_contain_text("1.000,00")
    check(page)
    page.locator("form[action*='/api/pay/'] input[name=pin]").fill(bob.pin)
    page.get_by_role("button", name=re.compile("^Pagar")).click()
    page.wait_for_url(f"**/payments/pix/{payment['id']}")
    expect(page.locator("#state-title")).to_have_text("Pagamento confirmado")
    assert here.payment(payment)["status"] == "confirmed"


def test_a_wrong_pin_says_how_many_tries_are_left_and_a_right_one_still_pays(here, bob, enter):
    """The PIN is never sent back, and the error is announced."""
    payment = here.create()
    page = enter(bob, payment, **PHONE)
    wrong = next(pin for pin in ("0000", "0001", "0002") if pin not in (bob.pin, bob.card[-4:]))
    for tries in ("4 tentativas", "3 tentativas", "2 tentativas", "1 tentativa"):
        page.locator("form[action*='/api/pay/'] input[name=pin]").fill(wrong)
        page.get_by_role("button", name=re.compile("^Pagar")).click()
        expect(page.get_by_role("alert")).to_contain_text(f"ainda tem {tries}.")
        assert page.locator("form[action*='/api/pay/'] input[name=pin]").input_value() == ""
    check(page)
    assert not re.search(rf"\b{wrong}\b", page.content())  # an id may contain its digits by chance
    page.locator("form[action*='/api/pay/'] input[name=pin]").fill(bob.pin)
    page.get_by_role("button", name=re.compile("^Pagar")).click()
    page.wait_for_url(f"**/payments/pix/{payment['id']}")


def test_a_locked_card_says_so_and_has_no_field_for_a_pin(here, bob, enter):
    """No PIN can be tried any more."""
    payment = here.create()
    wrong = "0000" if bob.pin != "0000" else "0001"
    assert bob.pay(here.create()).status_code == 200
    for _ in range(5):
        bob.pay(payment, pin=wrong)
    page = enter(bob, payment, **PHONE)
    expect(page.locator(".payer__locked")).to_contain_text("bloqueado")
    assert page.locator("input[name=pin]").count() == 0
    check(page)


def test_a_double_click_pays_once(here, bob, enter):
    """Two quick clicks make one payment, and the page redirects to it."""
    payment = here.create()
    page = enter(bob, payment, **PHONE)
    page.locator("form[action*='/api/pay/'] input[name=pin]").fill(bob.pin)
    page.get_by_role("button", name=re.compile("^Pagar")).dblclick(no_wait_after=True)
    page.wait_for_url(f"**/payments/pix/{payment['id']}")
    assert bob.wallet().get_json()["balance_centavos"] == OPENING_CENTAVOS - 5490


def test_a_payer_without_a_wallet_chooses_a_pin_and_pays_with_it(here, enter):
    """The bank was unreachable at the sign-up, so the payer opens the wallet later."""
    here.close_bank()
    carla = sign_up(here, "carla", name="Carla Dias")
    here.open_bank()
    payment = here.create()
    page = enter(carla, payment, **PHONE)
    check(page)
    page.locator("input[name=pin]").fill("2468")
    page.get_by_role("button", name="Abrir minha carteira").click()
    card = page.locator(".payer__card").inner_text().replace("\n", "").replace(" ", "")
    assert re.fullmatch(r"999001\d{10}", card)
    check(page)
    page.get_by_role("link", name="Continuar").click()
    page.wait_for_url(f"**/pay/{payment['id']}")
    expect(page.locator(".payer__facts")).to_contain_text(card[-4:])
    assert card not in page.content()
    page.locator("form[action*='/api/pay/'] input[name=pin]").fill("2468")
    page.get_by_role("button", name=re.compile("^Pagar")).click()
    page.wait_for_url(f"**/payments/pix/{payment['id']}")


def test_a_payment_that_cannot_be_paid_has_no_form(here, bob, enter):
    """The page says whether the payment is paid, expired or cancelled."""
    paid, expired, cancelled = here.paid(), here.create(expires_in=10), here.create()
    here.client().post(f"/payments/pix/{cancelled['id']}/cancel")
    here.clock.advance(seconds=11)
    titles = {
        "Este pagamento já foi feito": paid,
        "O prazo deste código acabou": expired,
        "A loja cancelou este pagamento": cancelled,
    }
    page = enter(bob, paid, **PHONE)
    for title, payment in titles.items():
        page.goto(f"{here.url}/pay/{payment['id']}")
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        assert page.locator("form").count() == 0
        check(page)


def test_while_the_bank_is_unreachable_the_page_says_so(here, bob, enter):
    """The page has no PIN field, because nobody could check the PIN."""
    payment = here.create()
    page = enter(bob, payment, **PHONE)
    page.locator("form[action*='/api/pay/'] input[name=pin]").fill(bob.pin)
    here.close_bank()
    page.get_by_role("button", name=re.compile("^Pagar")).click()
    expect(page.get_by_role("alert")).to_contain_text("não é feito duas vezes")
    assert page.locator("input[name=pin]").count() == 0
    check(page)
    here.open_bank()
    page.goto(f"{here.url}/pay/{payment['id']}")
    expect(page.locator("form[action*='/api/pay/'] input[name=pin]")).to_be_visible()


def test_the_wallet_has_a_page_of_its_own_in_both_languages(here, bob, enter):
    """Card, balance and limit, and a link to the bank's application."""
    page = enter(bob, here.create(), **PHONE)
    for lang, title in (("pt-BR", "Sua carteira"), ("en", "Your wallet")):
        page.goto(f"{here.url}/pay?lang={lang}")
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        expect(page.locator(".payer__facts")).to_contain_text(bob.card[-4:])
        bank = page.locator(f"a[href='{here.bank_url}/']")
        expect(bank).to_be_visible()
        check(page)


def test_a_merchant_cannot_open_the_payers_page(here, new_context):
    """A merchant has no wallet."""
    sign_up(here, "alice", "merchant")
    payment = here.create()
    page = new_context().new_page()
    page.goto(f"{here.url}/login?next=/pay/{payment['id']}")
    page.locator("input[name=username]").fill("alice")
    page.locator("input[name=password]").fill(PASSWORD)
    with page.expect_response(f"{here.url}/pay/{payment['id']}") as response:
        page.locator("form:has(input[name=password]) button[type=submit]").click()
    assert response.value.status == 403
