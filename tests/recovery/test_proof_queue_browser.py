"""The merchant's queue of proofs in a browser: view, judge with a note, delete."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Locator, Page, expect

from db_models.recovery_upload import NOTE_MAX
from tests.browser.visits import DESKTOP, NARROW, PHONE, Visit, scrolls_sideways, visitor
from tests.recovery.conftest import multipart
from tests.support.browser import axe_violations
from tests.support.service import ServiceProcess

PASSWORD = "the password of the demo shop"
QUEUE = "/portal/proofs"
LOOKS = {
    "phone, dark": {**PHONE, "color_scheme": "dark"},
    "320 px": {**NARROW, "color_scheme": "light"},
    "desktop": {**DESKTOP, "color_scheme": "light"},
    "desktop, dark": {**DESKTOP, "color_scheme": "dark"},
}
NOTE = "Conferi no extrato: não entrou. " * 6


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service for this file; the demo merchant sells here."""
    folder = tmp_path_factory.mktemp("proofs")
    with ServiceProcess(folder, DEMO_PASSWORD=PASSWORD) as running:
        yield running


@pytest.fixture(scope="module")
def cookies(service: ServiceProcess) -> list[dict[str, Any]]:
    """The cookies of the demo merchant's sign-in."""
    body = json.dumps({"username": "demo", "password": PASSWORD}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    request = urllib.request.Request(service.url + "/api/login", data=body, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        cookies = answer.headers.get_all("Set-Cookie")
        pairs = [cookie.split(";")[0].partition("=") for cookie in cookies]
    return [{"name": n, "value": v, "url": service.url} for n, _, v in pairs if v]


@pytest.fixture
def alice(new_context, service, cookies) -> Callable[..., Visit]:
    """The demo merchant's browser: alice(viewport=…) → Visit."""

    def begin(**look: Any) -> Visit:
        visit = visitor(new_context, service, **look)
        visit.page.context.add_cookies(cookies)
        return visit

    return begin


def bank_app(amount: str) -> bytes:
    """A screenshot of the bank's app, which anybody could fake."""
    screen = Image.new("RGB", (540, 1170), "#f4f0fa")
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, 0, 540, 170), fill="#6b1fb3")
    draw.text((36, 80), "Comprovante", "#fff", ImageFont.load_default(40))
    for line, text in enumerate(("Pix enviado", amount, "Loja de demonstração", "20/11 14:32")):
        draw.text((36, 240 + 90 * line), text, "#241038", ImageFont.load_default(32))
    out = io.BytesIO()
    screen.save(out, "PNG")
    return out.getvalue()


def payment_with_proof(
    service: ServiceProcess, order: str, amount: str = "54.90"
) -> dict[str, Any]:
    """Create a payment and send a proof for it."""
    payment = service.create(value=amount, order_id=order)
    body, content_type = multipart(bank_app(f"R$ {amount}"), session_id=payment["id"])
    status, answer, _ = service.request(
        "POST", "/api/payment/upload-screenshot", body, {"Content-Type": content_type}
    )
    assert status == 201, answer
    return payment


def entry(page: Page, order: str) -> Locator:
    """One proof of the list."""
    return page.locator(".proof").filter(has_text=f"Pedido {order}")


def judge(page: Page, order: str, button: str, note: str = "") -> None:
    """Judge one proof of the queue with a button and a note."""
    proof = entry(page, order)
    proof.get_by_label("Nota").fill(note)
    proof.get_by_role("button", name=button, exact=True).click()
    expect(page.locator(".notice[role=status]")).to_be_visible()
    expect(entry(page, order)).to_have_count(0)


def test_a_proof_is_viewed_judged_and_deleted(alice, service):
    """Each verdict is shown with its note; no payment changes."""
    good, bad = payment_with_proof(service, "Q-1"), payment_with_proof(service, "Q-2")
    here = alice(**DESKTOP)
    page = here.open(QUEUE)
    for order in ("Q-1", "Q-2"):
        picture = entry(page, order).locator("img")
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("(image) => image.naturalWidth") == 540

    judge(page, "Q-1", "Conferido")
    expect(page.locator(".notice")).to_have_text("Comprovante marcado como conferido.")
    judge(page, "Q-2", "Recusar", NOTE[:NOTE_MAX].strip())
    expect(page.locator(".notice")).to_have_text("Comprovante recusado.")

    page.get_by_role("link", name="Já conferidos").click()
    expect(entry(page, "Q-1")).to_contain_text("Conferido")
    expect(entry(page, "Q-2")).to_contain_text("Recusado")
    expect(entry(page, "Q-2")).to_contain_text(NOTE[:NOTE_MAX].strip())
    entry(page, "Q-2").get_by_role("button", name="Apagar a imagem").click()
    page.get_by_role("button", name="Sim, apagar a imagem").click()
    expect(page.locator(".notice")).to_have_text("Imagem apagada.")
    expect(entry(page, "Q-2")).to_have_count(0)
    expect(entry(page, "Q-1")).to_have_count(1)

    assert [service.payment(payment["id"])["status"] for payment in (good, bad)] == ["pending"] * 2
    assert (here.complaints, here.foreign_requests) == ([], [])


@pytest.mark.parametrize("look", LOOKS)
def test_the_queue_is_accessible_and_fits_everywhere(alice, service, look):
    """axe finds nothing with pending and judged proofs, a long note, a long order, or none."""
    here = alice(**LOOKS[look])
    mark = f"L{list(LOOKS).index(look)}"
    long_order = f"{mark}-" + "P" * 60
    payment_with_proof(service, long_order)
    payment_with_proof(service, f"{mark}-2", amount="9999999999.99")
    page = here.open(QUEUE)
    expect(entry(page, long_order)).to_be_visible()
    assert axe_violations(page) == []
    assert scrolls_sideways(page) == []

    for order in (long_order, f"{mark}-2"):
        judge(page, order, "Recusar", NOTE[:NOTE_MAX].strip())
    assert axe_violations(page) == []
    page = here.open(f"{QUEUE}?judged=1")
    expect(entry(page, long_order)).to_be_visible()
    assert axe_violations(page) == []
    assert scrolls_sideways(page) == []
    small = page.locator(".proof :is(button, .button):visible").evaluate_all(
        "(all) => all.map((el) => el.getBoundingClientRect().height).filter((px) => px < 43.5)"
    )
    assert small == []


def test_another_merchant_sees_no_proof(new_context, service, cookies):
    """Charlie signs up; his queue is empty, and Alice's pictures are not found."""
    payment_with_proof(service, "S-1")
    alice = visitor(new_context, service, **DESKTOP)
    alice.page.context.add_cookies(cookies)
    picture = entry(alice.open(QUEUE), "S-1").locator("a.proof__picture").get_attribute("href")

    charlie = visitor(new_context, service, **PHONE)
    page = charlie.open("/signup")
    page.locator("input[name=username]").fill("charlie")
    page.locator("input[name=password]").fill("charlie's long password")
    page.locator("form button[type=submit]").last.click()
    page.wait_for_url("**/portal**")
    page = charlie.open(QUEUE)
    expect(page.get_by_text("Nenhum comprovante espera por você.")).to_be_visible()
    expect(page.locator(".proof")).to_have_count(0)
    assert axe_violations(page) == []

    for visit, status in ((charlie, 404), (alice, 200)):
        answer = visit.page.request.get(service.url + str(picture))
        assert answer.status == status
    assert "no-store" in answer.headers["cache-control"]
    stranger = new_context().request.get(service.url + str(picture), max_redirects=0)
    assert stranger.status in (302, 303, 401)
