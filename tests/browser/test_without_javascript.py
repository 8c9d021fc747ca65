"""Without JavaScript, the server's page alone is enough to pay."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from tests.browser.visits import (
    CONFIRMED,
    DESKTOP,
    PHONE,
    WAITING,
    expect_heading,
    heading,
    pay_at_the_bank,
    state_line,
    texts_in,
)
from tests.support.browser import axe_violations
from tests.support.deadlines import bring_forward

OFF = {"java_script_enabled": False}
REFRESH_SECONDS = 10


@pytest.mark.parametrize("look", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_state_amount_code_and_qr_are_on_the_first_paint(visit, service, look):
    """The server renders the state; scripts only update it."""
    payment = service.create(value="54.90", order_id=f"nojs-{look['viewport']['width']}")
    bob = visit(**OFF, **look)
    page = bob.open(f"/payments/pix/{payment['id']}")
    expect_heading(page, WAITING)
    expect(state_line(page)).to_have_text("Aguardando pagamento")
    expect(page.locator(".checkout__amount")).to_have_text("R$\u00a054,90")
    expect(page.get_by_label("Código Pix (Copia e Cola)")).to_have_value(payment["pix_code"])
    expect(page.get_by_role("timer")).to_contain_text(re.compile(r"faltam (30:00|29:5\d)"))
    fold = page.get_by_text("Pagar com outro aparelho")
    if fold.is_visible():
        fold.click()
    image = page.locator(".qr__image:visible")
    image.scroll_into_view_if_needed()
    assert texts_in(image.screenshot()) == [payment["pix_code"]]
    assert not [url for url in bob.requests if url.split("?")[0].endswith(".js")]
    # axe forbids a meta refresh, but here it replaces the scripts and interrupts nothing.
    assert axe_violations(page, rules={"meta-refresh": {"enabled": False}}) == []


@pytest.mark.slow
def test_the_page_reloads_by_itself_and_shows_the_payment(visit, service):
    """A meta refresh replaces the poller."""
    payment = service.create(value="8.00")
    page = visit(**OFF).open(f"/payments/pix/{payment['id']}")
    assert service.tell(payment)[0] == 200
    expect_heading(page, CONFIRMED, seconds=REFRESH_SECONDS + 5)
    expect(page).to_have_title("✓ Pago · Feira da Vila")
    assert page.locator("noscript meta[http-equiv=refresh]").count() == 0, "a final state stays"


def test_i_have_paid_is_a_form_that_answers_with_the_state(visit, service):
    """The button asks the bank through the service, without a script."""
    payment = service.create()
    page = visit(**OFF).open(f"/payments/pix/{payment['id']}")
    page.get_by_role("button", name="Já paguei").click()
    expect_heading(page, WAITING)
    note = page.get_by_text("Ainda não chegou, costuma levar menos de 10 s.")
    expect(note).to_be_visible()


def test_an_expired_page_keeps_reloading_and_its_new_code_is_a_form(visit, service):
    """A notice of money paid in time may come late, so the page keeps reloading.

    The form keeps the language.
    """
    payment = service.create(expires_in=600, order_id="nojs-renew")
    bring_forward(service, 0.2, payment)
    time.sleep(0.4)
    page = visit(**OFF).open(f"/payments/pix/{payment['id']}?lang=en")
    expect_heading(page, "This code has expired")
    refresh = page.locator("noscript meta[http-equiv=refresh]")
    expect(refresh).to_have_attribute("content", str(REFRESH_SECONDS))
    page.get_by_role("button", name="Get a new code").click()
    expect_heading(page, "Pay with Pix")
    renewal = service.payment(page.url.split("?")[0].rsplit("/", 1)[-1])
    assert renewal["id"] != payment["id"]
    assert renewal["order_id"] == "nojs-renew"
    assert page.url.endswith("?lang=en")


def test_shop_and_bank_work_too(visit):
    """Choose, order, pay at the bank, see the confirmation."""
    bob = visit(**OFF)
    page = bob.open("/shop/cart/mel")
    page.get_by_role("button", name="Pagar com Pix").click()
    expect_heading(page, WAITING)
    with page.context.expect_page() as new_page:
        page.get_by_role("link", name="Pagar agora").click()
    bank = new_page.value
    pay_at_the_bank(bank)
    expect(heading(bank)).to_have_text("Pix confirmado", timeout=15_000)
    page.reload()
    expect_heading(page, CONFIRMED)
    page.get_by_role("link", name="Ver recibo").click()
    expect_heading(page, "Recibo de pagamento Pix")
    expect(page.get_by_role("button", name="Imprimir")).to_be_hidden()
