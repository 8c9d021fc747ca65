"""Every page and state, light and dark: no axe violations, console errors or foreign requests."""

from __future__ import annotations

import json
import re
import time

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.visits import (
    CANCELLED,
    CHECKING,
    CONFIRMED,
    DESKTOP,
    EXPIRED,
    NOT_FOUND,
    PHONE,
    REFUSED,
    WAITING,
    enter_bank,
    expect_heading,
    heading,
    in_both_schemes,
    review_path,
)
from tests.support.browser import axe_violations
from tests.support.deadlines import bring_forward

SCHEMES = ["light", "dark"]

# Fields with text below 16 px: Safari on a phone zooms into the page when they are touched.
SMALL_FIELDS = """() => [...document.querySelectorAll(
  "input:not([type=hidden], [type=checkbox], [type=radio], [type=file]), textarea, select",
)].filter((field) => parseFloat(getComputedStyle(field).fontSize) < 16)
  .map((field) => field.outerHTML.slice(0, 80))"""

# The heading of each page; `places` has the paths.
HEADINGS = {
    "shop": "Do sítio para a sua mesa",
    "cart": "Seu carrinho",
    "waiting": WAITING,
    "last minutes": WAITING,
    "checked": WAITING,
    "proof": "Envie o comprovante à loja",
    "confirmed": CONFIRMED,
    "expired": EXPIRED,
    "refused": REFUSED,
    "cancelled": CANCELLED,
    "payment not found": NOT_FOUND,
    "no such page": "Esta página não existe",
    "wrong method": "Este endereço não se abre assim",
    "receipt": "Recibo de pagamento Pix",
    "no receipt": NOT_FOUND,
    "docs": "The developer's path",
    "docs, API": "API by task",
    "docs, errors": "Errors",
    "docs, routes": "Routes",
    "docs, Swagger": "Swagger UI",
    "bank": "Olá, Bia",
    "bank review": "Confira e pague",
    "bank review, test": "Confira e pague",
    "bank receipt": "Pix confirmado",
    "bank receipt, returned": "Pix devolvido",
    "bank, unreadable": "Não conseguimos ler este código",
    "bank, no such page": "Esta página não existe",
}
ERRORS = {  # the status that the browser's console may report
    "payment not found": 404,
    "no such page": 404,
    "wrong method": 405,
    "no receipt": 404,
    "bank, unreadable": 422,
    "bank, no such page": 404,
}


@pytest.fixture(scope="module")
def places(service):
    """The path of each page, with payments in every state."""
    pending = service.create(value="54.90", order_id="every-1042", description="Queijo meia cura")
    short = service.create(value="54.90", expires_in=250)
    expired = [service.create(value="54.90", expires_in=10) for _ in range(2)]
    cancelled = service.create(value="54.90")
    service.request("POST", f"/payments/pix/{cancelled['id']}/cancel")
    paid = service.create(value="54.90", order_id="every-1041", description="Queijo meia cura")
    receipt = _pay_at_the_bank(service, paid, "normal")
    returned = _pay_at_the_bank(service, pending, "pay-less")
    bring_forward(service, 0.2, *expired)
    time.sleep(0.4)
    assert service.tell(expired[1])[0] == 409
    page = "/payments/pix/"
    return {
        "shop": "/",
        "cart": "/shop/cart/queijo",
        "waiting": page + pending["id"],
        "last minutes": page + short["id"],
        "checked": f"{page}{pending['id']}?checked=1",
        "proof": f"{page}{pending['id']}/proof",
        "confirmed": page + paid["id"],
        "expired": page + expired[0]["id"],
        "refused": page + expired[1]["id"],
        "cancelled": page + cancelled["id"],
        "payment not found": page + "0" * 32,
        "no such page": "/nowhere",
        "wrong method": "/shop/orders",
        "receipt": f"{page}{paid['id']}/receipt",
        "no receipt": f"{page}{pending['id']}/receipt",
        "docs": "/docs",
        "docs, API": "/docs/api",
        "docs, errors": "/docs/errors",
        "docs, routes": "/docs/routes",
        "docs, Swagger": "/docs/swagger",
        "bank": "/bank/",
        "bank review": review_path(pending),
        "bank review, test": review_path(pending, "pay-less"),
        "bank receipt": f"/bank/transfers/{receipt}",
        "bank receipt, returned": f"/bank/transfers/{returned}",
        "bank, unreadable": "/bank/pay?code=00020126",
        "bank, no such page": "/bank/nowhere",
    }


def _pay_at_the_bank(service, payment, scenario):
    """Pay by the bank's API; return the transfer's id."""
    body = json.dumps({"code": payment["pix_code"], "pin": "1234", "scenario": scenario}).encode()
    headers = {"Content-Type": "application/json"}
    status, answer, _ = service.request("POST", "/bank/api/pay", body, headers)
    assert status in (200, 201, 202), answer
    return json.loads(answer)["end_to_end_id"]


def test_every_place_has_a_heading(places):
    """A page without a heading here would not be visited."""
    assert places.keys() == HEADINGS.keys()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_page_is_accessible_and_quiet_and_requests_no_other_host(visit, places, scheme):
    """No rule of axe broken, no console error, no policy violated, no request to another host."""
    look = PHONE if scheme == "dark" else DESKTOP
    visitor = visit(**look, color_scheme=scheme)
    for name, path in places.items():
        visitor.complaints.clear()
        page = visitor.open(path)
        if name.startswith("bank"):
            enter_bank(page)
        expect(heading(page).first).to_have_text(HEADINGS[name])
        page.wait_for_timeout(200)  # for the socket, and late errors of scripts
        assert axe_violations(page) == [], name
        assert page.evaluate(SMALL_FIELDS) == [], name
        _unfold(page)
        assert visitor.foreign_requests == [], name
        expected = f"the server responded with a status of {ERRORS.get(name)} "
        assert [text for text in visitor.complaints if expected not in text] == [], name


def _unfold(page: Page) -> None:
    """Open the first fold, and check the page again."""
    fold = page.locator("details > summary:visible")
    if fold.count() > 0:
        fold.first.click()
        assert axe_violations(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_enlarged_qr_and_the_checking_view_are_accessible(visit, places, scheme):
    """Both appear only after a click."""
    visitor = visit(color_scheme=scheme)
    page = visitor.open(places["waiting"])
    page.locator("[data-enlarge-qr]:visible").click()
    expect(page.get_by_role("dialog").get_by_role("img")).to_be_visible()
    assert axe_violations(page) == []
    page.keyboard.press("Escape")
    unanswered: list[Route] = []
    page.route("**/check", lambda route: unanswered.append(route))
    page.get_by_role("button", name="Já paguei").click()
    expect_heading(page, CHECKING)
    assert axe_violations(page) == []
    assert visitor.complaints == []
    unanswered[0].abort()


def test_the_api_reader_is_quiet_and_our_part_is_accessible(visit):
    """We check the page around Swagger UI, not the library itself.

    The page must work without requests to other hosts.
    """
    visitor = visit()
    page = visitor.open("/docs/swagger")
    page.get_by_role("button", name="Load Swagger UI").click()
    expect(page.locator("#swagger .opblock").first).to_be_visible(timeout=20_000)
    for scheme in in_both_schemes(page):
        assert axe_violations(page, exclude="#swagger > *") == [], scheme
    assert visitor.foreign_requests == []
    assert visitor.complaints == []


@pytest.mark.parametrize(
    ("languages", "query", "title"),
    [
        ("pt-BR", "", "Pague com Pix"),
        ("pt-PT", "", "Pague com Pix"),
        ("en-US", "", "Pay with Pix"),
        ("fr-FR", "", "Pague com Pix"),
        ("pt-BR", "?lang=en", "Pay with Pix"),
        ("en-US", "?lang=pt-BR", "Pague com Pix"),
    ],
)
def test_the_language_follows_the_browser_and_the_address(visit, service, languages, query, title):
    """Portuguese unless the browser or the URL asks for English; also after live changes."""
    payment = service.create(value="54.90")
    bob = visit(locale=languages)
    page = bob.watch(payment, query)
    expect_heading(page, title)
    is_english = title == "Pay with Pix"
    assert page.locator("html").get_attribute("lang") == ("en" if is_english else "pt-BR")
    expect(page.locator(".checkout__amount")).to_have_text(
        "R$54.90" if is_english else "R$\u00a054,90"
    )
    assert service.tell(payment)[0] == 200
    expect_heading(page, "Payment confirmed" if is_english else CONFIRMED)
    expect(page).to_have_title(f"✓ {'Paid' if is_english else 'Pago'} · Feira da Vila")
    assert bob.complaints == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_english_pages_are_accessible_and_have_no_portuguese_words(visit, places, scheme):
    """Screen readers would read Portuguese words with an English voice."""
    visitor = visit(locale="en-US", color_scheme=scheme)
    titles = {
        "waiting": "Pay with Pix",
        "confirmed": "Payment confirmed",
        "expired": "This code has expired",
        "cancelled": "The shop cancelled this payment",
        "receipt": "Pix payment receipt",
        "payment not found": "We couldn’t find this payment",
    }
    for name, title in titles.items():
        page = visitor.open(places[name])
        expect(heading(page)).to_have_text(title)
        assert axe_violations(page) == [], name
        words = page.locator("main").inner_text().split()
        foreign = {"Pedido", "Valor", "Para", "Quando", "Copiar", "Pagar", "recibo", "código"}
        assert foreign.isdisjoint(words), name


def test_the_receipt_is_a_page_and_json_at_one_url(visit, service, places):
    """The JSON has the facts of the page."""
    page = visit().open(places["receipt"])
    status, body = service.get(places["receipt"])
    assert status == 200
    receipt = json.loads(body)["receipt"]
    text = page.locator("main").inner_text()
    for fact in ("payment_id", "end_to_end_id", "payee", "payer", "order_id", "description"):
        assert receipt[fact] in text, fact
    assert receipt["amount_centavos"] == 5490
    assert "R$\u00a054,90" in text
    assert re.search(r"\d\d/\d\d/\d{4} às \d\d:\d\d\n", text)


def test_the_receipts_times_are_in_the_viewers_zone(visit, places):
    """Away from Brasília the time has its offset, so that it stays unambiguous."""
    page = visit(timezone_id="Asia/Tokyo").open(places["receipt"])
    expect(page.locator("time").first).to_contain_text("(UTC+09:00)")


def test_the_service_logged_no_errors(service, places):
    """After all these pages, the service's log has no errors."""
    assert "Traceback" not in service.log()
    assert '"level": "error"' not in service.log()
