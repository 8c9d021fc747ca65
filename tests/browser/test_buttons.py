"""The shopper's buttons: copy, share, enlarge, *Já paguei*, and the test strip's tools."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from tests.browser.visits import (
    CHECKING,
    CONFIRMED,
    PHONE,
    WAITING,
    block_sockets,
    enter_bank,
    expect_heading,
    heading,
    pay_at_the_bank,
    review_path,
    state_line,
    texts_in,
)

COPY = "Copiar código Pix"
CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}
NO_CLIPBOARD = "navigator.clipboard.writeText = () => Promise.reject(new Error('denied')); 0"
NO_COMMAND = "document.execCommand = () => false; 0"

# A device with a share sheet, which records the shared data.
SHARE_SHEET = """
  window.shared = [];
  navigator.canShare = (data) => data.files === undefined || data.files.length > 0;
  navigator.share = async (data) => {
    window.shared.push({ title: data.title, text: data.text, files: data.files?.map(
      (file) => [file.name, file.type, file.size]) });
  };
"""


def test_copying_puts_the_code_on_the_clipboard_and_says_so(visit, service):
    """Most shoppers pay on the phone that shows the page, so this button matters most."""
    payment = service.create()
    bob = visit(**PHONE, **CLIPBOARD)
    page = bob.watch(payment)
    page.get_by_role("button", name=COPY).click()
    expect(page.get_by_role("button", name="Código copiado")).to_be_focused()
    expect(page.locator("[data-copy-said]")).to_have_text("Código copiado")
    assert page.evaluate("navigator.clipboard.readText()") == payment["pix_code"]
    expect(page.get_by_role("button", name=COPY)).to_be_visible(timeout=5_000)


def test_a_paid_page_copies_its_id_and_shares_its_receipt(visit, service):
    """The merchant's timeline must not say that the paid code was copied."""
    payment = service.create()
    assert service.tell(payment)[0] == 200
    bob = visit(**PHONE, **CLIPBOARD)
    bob.page.add_init_script(
        "navigator.canShare = (data) => 'url' in data;"
        "navigator.share = async (data) => { window.shared = data; };"
    )
    for path in ("", "/receipt"):
        page = bob.open(f"/payments/pix/{payment['id']}{path}")
        bob.requests.clear()
        page.get_by_role("button", name="Copiar ID").click()
        expect(page.get_by_role("button", name="Copiado")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == page.locator("#transaction-id").inner_text()
        page.get_by_role("button", name="Compartilhar").click()
        receipt = f"{service.url}/payments/pix/{payment['id']}/receipt"
        assert page.evaluate("window.shared.url") == receipt
        assert not [url for url in bob.requests if url.endswith("/trace")]


def test_without_clipboard_permission_exec_command_copies(visit, service):
    """An app's built-in browser often has no clipboard permission."""
    payment = service.create()
    bob = visit(**CLIPBOARD)
    page = bob.watch(payment)
    page.evaluate(NO_CLIPBOARD)
    page.get_by_role("button", name=COPY).click()
    expect(page.locator("[data-copy-said]")).to_have_text("Código copiado")
    assert page.evaluate("navigator.clipboard.readText()") == payment["pix_code"]


def test_if_copying_fails_the_code_is_selected_and_the_page_says_how_to_copy(visit, service):
    """If the page said copied, the payer would paste an older code at the bank."""
    payment = service.create()
    bob = visit(**PHONE)
    page = bob.watch(payment)
    page.evaluate(NO_CLIPBOARD)
    page.evaluate(NO_COMMAND)
    page.get_by_role("button", name=COPY).click()
    expect(page.locator("[data-copy-said]")).to_have_text("Segure o código e toque em Copiar")
    expect(page.locator("[data-copy-said]")).to_be_visible()
    expect(page.get_by_role("button", name=COPY)).to_be_focused()
    selection = page.locator("#pix-code").evaluate(
        "(field) => field.value.slice(field.selectionStart, field.selectionEnd)"
    )
    assert selection == payment["pix_code"]


def test_the_code_is_in_a_labelled_field_and_selected_on_focus(visit, service):
    """Screen readers get the label, and nobody must drag over 150 characters."""
    payment = service.create()
    page = visit().watch(payment)
    field = page.get_by_label("Código Pix (Copia e Cola)")
    field.focus()
    expect(field).to_have_value(payment["pix_code"])
    assert field.get_attribute("readonly") is not None
    assert field.evaluate("(input) => input.selectionEnd - input.selectionStart") == len(
        payment["pix_code"]
    )


def test_sharing_is_offered_only_where_the_device_can(visit, service):
    """A button that does nothing costs trust."""
    payment = service.create()
    page_without_sharing = visit().watch(payment)
    page_without_sharing.evaluate("navigator.canShare = undefined; 0")
    expect(page_without_sharing.get_by_role("button", name="Compartilhar")).to_be_hidden()

    bob = visit(**PHONE)
    bob.page.add_init_script(SHARE_SHEET)
    page = bob.watch(payment)
    page.get_by_role("button", name="Compartilhar").click()
    page.wait_for_timeout(300)
    (share,) = page.evaluate("window.shared")
    assert share["text"] == payment["pix_code"]
    assert "Feira da Vila" in share["title"]
    ((name, kind, size),) = share["files"]
    assert (name, kind) == ("pix.png", "image/png")
    assert size > 300


def test_the_qr_is_enlarged_by_a_tap_and_closed_by_escape(visit, service):
    """For the neighbour's phone across the counter."""
    payment = service.create()
    page = visit().watch(payment)
    link = page.locator("[data-enlarge-qr]:visible")
    link.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("img")).to_be_visible()
    assert dialog.get_by_role("img").bounding_box()["width"] > 400
    assert payment["pix_code"] in texts_in(dialog.screenshot())
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(link).to_be_focused()


def test_i_have_paid_checks_and_reports_the_result(visit, service):
    """No money arrived: the page says so, and how long it usually takes."""
    payment = service.create()
    bob = visit()
    page = bob.watch(payment)
    page.get_by_role("button", name="Já paguei").click()
    expect_heading(page, CHECKING)
    expect(state_line(page)).to_have_text("Conferindo…")
    expect_heading(page, WAITING)
    sentence = "Ainda não chegou, costuma levar menos de 10 s."
    expect(state_line(page)).to_have_text(sentence)
    expect(page.locator("[data-check-note]")).to_have_text(sentence)
    expect(page.get_by_role("button", name="Já paguei")).to_be_focused()
    assert bob.diary() == [WAITING, CHECKING, WAITING]
    assert bob.loads == [page.url]
    assert bob.complaints == []


def test_after_i_have_paid_the_page_polls_faster(visit, service):
    """Even without sockets the answer comes within about two seconds, not five."""
    payment = service.create()
    bob = visit()
    block_sockets(bob.page)
    page = bob.open(f"/payments/pix/{payment['id']}")
    page.get_by_role("button", name="Já paguei").click()
    expect(state_line(page)).to_contain_text("Ainda não chegou")
    notified_at = time.time()
    assert service.tell(payment)[0] == 200
    expect_heading(page, CONFIRMED)
    assert time.time() - notified_at < 4


def test_i_have_paid_confirms_money_whose_notice_is_delayed(visit, service):
    """The bank delays the notice for ten seconds, but answers a query at once."""
    payment = service.create()
    bob = visit()
    page = bob.watch(payment)
    bank = visit().open(review_path(payment, "late"))
    pay_at_the_bank(bank)
    expect(heading(bank)).to_have_text("Pix enviado", timeout=15_000)
    assert bob.diary() == [WAITING]
    page.get_by_role("button", name="Já paguei").click()
    expect_heading(page, CONFIRMED)
    assert service.payment(payment["id"])["status"] == "confirmed"


def test_the_strip_pays_less_and_the_money_goes_back(visit, service):
    """*Pagar menos*: the service refuses the money, and the shopper's page keeps waiting."""
    payment = service.create(value="15.00")
    bob = visit()
    page = bob.watch(payment)
    bank = _tool(page, "Pagar menos")
    enter_bank(bank)
    expect(bank.locator(".is-test:visible")).to_contain_text("um centavo a menos")
    pay_at_the_bank(bank)
    expect(heading(bank)).to_have_text("Pix devolvido", timeout=15_000)
    expect(bank.locator("main")).to_contain_text("O valor pago não era o da cobrança.")
    expect(bank.locator("main")).to_contain_text("amount-mismatch (400)")
    assert heading(page).inner_text() == WAITING
    assert service.payment(payment["id"])["status"] == "pending"


def test_the_strip_sends_two_notices_and_the_payment_is_confirmed_once(visit, service):
    """*Duplicar aviso*: one settlement, one change of the page."""
    payment = service.create(value="16.00")
    bob = visit()
    page = bob.watch(payment)
    bank = _tool(page, "Duplicar aviso")
    pay_at_the_bank(bank)
    expect(heading(bank)).to_have_text("Pix confirmado", timeout=15_000)
    expect_heading(page, CONFIRMED)
    page.wait_for_timeout(300)
    assert bob.diary() == [WAITING, CONFIRMED]
    assert service.payment(payment["id"])["sequence"] == 2


@pytest.mark.slow
def test_the_strip_delays_the_notice_and_it_still_arrives(visit, service):
    """*Atrasar*: the bank's notice comes ten seconds later; then the page changes by itself."""
    payment = service.create(value="17.00")
    bob = visit()
    page = bob.watch(payment)
    bank = _tool(page, "Atrasar")
    pay_at_the_bank(bank)
    expect(heading(bank)).to_have_text("Pix enviado", timeout=15_000)
    assert heading(page).inner_text() == WAITING
    expect_heading(page, CONFIRMED, seconds=20)
    expect(heading(bank)).to_have_text("Pix confirmado", timeout=10_000)
    assert bob.diary() == [WAITING, CONFIRMED]


def test_the_strip_expires_the_payment_in_ten_seconds(visit, service):
    """*Expirar em 10 s*: the countdown changes without a reload."""
    payment = service.create()
    bob = visit()
    page = bob.watch(payment)
    page.get_by_role("button", name="Expirar em 10 s").click()
    figure = page.locator("[data-countdown]")
    expect(figure).to_have_text("00:09", timeout=5_000)
    expect(page.locator("[data-deadline]")).to_have_class("deadline deadline--near deadline--last")
    assert bob.loads == [page.url]


def _tool(page, name):
    """Press a tool of the strip; return the bank's page, which opens in a new tab."""
    strip = page.get_by_role("complementary", name="Ambiente de teste")
    expect(strip).to_contain_text("Ambiente de teste: nenhum dinheiro real")
    with page.context.expect_page() as new_page:
        strip.get_by_role("link", name=name).click()
    return new_page.value
