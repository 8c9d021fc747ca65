"""Every page and state, light and dark: axe finds nothing; console and network are quiet."""

from __future__ import annotations

import json
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
    heading,
    review_path,
    shows,
)
from tests.support.browser import axe_violations
from tests.support.deadlines import bring_forward

SCHEMES = ["light", "dark"]

# page → its heading. The addresses are made by `places`.
HEADINGS = {
    "shop": "Do sítio para a sua mesa",
    "cart": "Seu carrinho",
    "waiting": WAITING,
    "last minutes": WAITING,
    "asked": WAITING,
    "confirmed": CONFIRMED,
    "expired": EXPIRED,
    "refused": REFUSED,
    "cancelled": CANCELLED,
    "payment not found": NOT_FOUND,
    "no such page": "Esta página não existe",
    "not so": "Este endereço não se abre assim",
    "receipt": "Recibo de pagamento Pix",
    "no receipt": NOT_FOUND,
    "error codes": "Error codes",
    "bank": "Olá, Bia",
    "bank review": "Confira e pague",
    "bank review, test": "Confira e pague",
    "bank receipt": "Pix confirmado",
    "bank receipt, returned": "Pix devolvido",
    "bank, unreadable": "Não conseguimos ler este código",
    "bank, no such page": "Esta página não existe",
}
ERRORS = {  # the status the browser's console is right to mention
    "payment not found": 404,
    "no such page": 404,
    "not so": 405,
    "no receipt": 404,
    "bank, unreadable": 422,
    "bank, no such page": 404,
}


@pytest.fixture(scope="module")
def places(service):
    """The address of each page, with payments in every state."""
    waiting = service.create(value="54.90", order_id="every-1042", description="Queijo meia cura")
    short = service.create(value="54.90", expires_in=250)
    gone = [service.create(value="54.90", expires_in=10) for _ in range(2)]
    cancelled = service.create(value="54.90")
    service.request("POST", f"/payments/pix/{cancelled['id']}/cancel")
    paid = service.create(value="54.90", order_id="every-1041", description="Queijo meia cura")
    receipt = _paid_at_the_bank(service, paid, "normal")
    returned = _paid_at_the_bank(service, waiting, "pay-less")
    bring_forward(service, 0.2, *gone)
    time.sleep(0.4)
    assert service.tell(gone[1])[0] == 409
    page = "/payments/pix/"
    return {
        "shop": "/",
        "cart": "/shop/cart/queijo",
        "waiting": page + waiting["id"],
        "last minutes": page + short["id"],
        "asked": f"{page}{waiting['id']}?checked=1",
        "confirmed": page + paid["id"],
        "expired": page + gone[0]["id"],
        "refused": page + gone[1]["id"],
        "cancelled": page + cancelled["id"],
        "payment not found": page + "0" * 32,
        "no such page": "/nowhere",
        "not so": "/shop/orders",
        "receipt": f"{page}{paid['id']}/receipt",
        "no receipt": f"{page}{waiting['id']}/receipt",
        "error codes": "/docs/errors",
        "bank": "/bank/",
        "bank review": review_path(waiting),
        "bank review, test": review_path(waiting, "pay-less"),
        "bank receipt": f"/bank/transfers/{receipt}",
        "bank receipt, returned": f"/bank/transfers/{returned}",
        "bank, unreadable": "/bank/pay?code=00020126",
        "bank, no such page": "/bank/nowhere",
    }


def _paid_at_the_bank(service, payment, scenario):
    """Pay by the bank's API; gives the transfer's id once the shop has answered."""
    body = json.dumps({"code": payment["pix_code"], "pin": "1234", "scenario": scenario}).encode()
    headers = {"Content-Type": "application/json"}
    status, answer, _ = service.request("POST", "/bank/api/pay", body, headers)
    assert status in (200, 201, 202), answer
    return json.loads(answer)["end_to_end_id"]


def test_the_pages_visited_here_are_all_there_are(places):
    """A page without a heading to look for would be visited by nobody."""
    assert places.keys() == HEADINGS.keys()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_page_is_accessible_quiet_and_reaches_nowhere_else(visit, places, scheme):
    """No rule of axe broken, no console error, no policy violated, no request to another host."""
    look = PHONE if scheme == "dark" else DESKTOP
    visitor = visit(**look, color_scheme=scheme)
    for name, path in places.items():
        visitor.complaints.clear()
        page = visitor.open(path)
        if name.startswith("bank"):
            enter_bank(page)
        expect(heading(page).first).to_have_text(HEADINGS[name])
        page.wait_for_timeout(200)  # the socket, and what a script may still complain of
        assert axe_violations(page) == [], name
        _unfold(page)
        assert visitor.strangers == [], name
        expected = f"the server responded with a status of {ERRORS.get(name)} "
        assert [text for text in visitor.complaints if expected not in text] == [], name


def _unfold(page: Page) -> None:
    """Open what is folded away, and look at that as well."""
    fold = page.locator("details > summary:visible")
    if fold.count() > 0:
        fold.first.click()
        assert axe_violations(page) == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_opens_over_the_page_is_accessible(visit, places, scheme):
    """The enlarged QR, and the page while it checks."""
    visitor = visit(color_scheme=scheme)
    page = visitor.open(places["waiting"])
    page.locator("[data-enlarge-qr]:visible").click()
    expect(page.get_by_role("dialog").get_by_role("img")).to_be_visible()
    assert axe_violations(page) == []
    page.keyboard.press("Escape")
    unanswered: list[Route] = []
    page.route("**/check", lambda route: unanswered.append(route))
    page.get_by_role("button", name="Já paguei").click()
    shows(page, CHECKING)
    assert axe_violations(page) == []
    assert visitor.complaints == []
    unanswered[0].abort()


def test_the_api_reader_is_quiet_and_our_part_of_it_accessible(visit):
    """/docs is Swagger UI, a library: what is inside its root is its authors' to mend.

    Everything around it is ours, and it must work with no host but this one.
    """
    visitor = visit()
    page = visitor.open("/docs")
    expect(page.locator("#swagger .opblock").first).to_be_visible(timeout=20_000)
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)  # to load it costs more than to look at it
        page.wait_for_function("document.getAnimations().length === 0")
        assert axe_violations(page, exclude="#swagger > *") == [], scheme
    assert visitor.strangers == []
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
    """Portuguese unless the browser or the address asks for English; live changes keep to it."""
    payment = service.create(value="54.90")
    bob = visit(locale=languages)
    page = bob.watch(payment, query)
    shows(page, title)
    english = title == "Pay with Pix"
    assert page.locator("html").get_attribute("lang") == ("en" if english else "pt-BR")
    expect(page.locator(".checkout__amount")).to_have_text(
        "R$54.90" if english else "R$\u00a054,90"
    )
    assert service.tell(payment)[0] == 200
    shows(page, "Payment confirmed" if english else CONFIRMED)
    expect(page).to_have_title(f"✓ {'Paid' if english else 'Pago'} · Feira da Vila")
    assert bob.complaints == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_english_pages_are_accessible_and_leave_no_word_in_portuguese(visit, places, scheme):
    """A page half translated is read out in the wrong voice."""
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


def test_the_receipt_is_a_page_and_json_at_one_address(visit, service, places):
    """An accountant's script reads what the shopper sees."""
    page = visit().open(places["receipt"])
    status, body = service.get(places["receipt"])
    assert status == 200
    receipt = json.loads(body)["receipt"]
    shown = page.locator("main").inner_text()
    for fact in ("payment_id", "end_to_end_id", "payee", "payer", "order_id", "description"):
        assert receipt[fact] in shown, fact
    assert receipt["amount_centavos"] == 5490
    assert "R$\u00a054,90" in shown
    assert "(UTC-03:00)" in shown


def test_the_receipts_times_are_in_the_readers_zone(visit, places):
    """Whoever travels reads the hour of the place, with its offset."""
    page = visit(timezone_id="Asia/Tokyo").open(places["receipt"])
    expect(page.locator("time").first).to_contain_text("(UTC+09:00)")


def test_nothing_went_wrong_inside_meanwhile(service, places):
    """All these pages, and not one error in the service's own log."""
    assert "Traceback" not in service.log()
    assert '"level": "error"' not in service.log()
