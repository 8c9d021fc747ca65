"""A screenshot of a page of ours finds its payment: photographed by a browser, sent as it is.

What is photographed is what a phone photographs: the window, and not the whole page. The pictures
go through the real door; a phone's screen has two or three points to a CSS pixel, a cheap one one.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.visits import BOB, DESKTOP, NARROW, PHONE
from tests.recovery.conftest import multipart
from tests.support.browser import NewContext, axe_violations
from tests.support.service import ServiceProcess

RECOVERY = "/payment/recover-from-qr"
SMALL: dict[str, Any] = {**PHONE, "viewport": {"width": 375, "height": 553}}
"""What a small phone shows of a page between its browser's bars."""
QUALITY = 75


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The service, one for this file, without the limits that belong to one address."""
    folder = tmp_path_factory.mktemp("screenshots")
    limits: dict[str, Any] = {
        "RECOVERY_TRIES_PER_MINUTE": 10_000,
        "RECOVERY_PICTURES_PER_MINUTE": 10_000,
    }
    with ServiceProcess(folder, **limits) as running:
        yield running


def shown(new_context: NewContext, service: ServiceProcess, path: str, **look: Any) -> Page:
    """The page, its pictures drawn."""
    page = new_context(**look).new_page()
    page.goto(service.url + path)
    for image in page.locator("img:visible").all():
        image.evaluate("(one) => one.decode()")
    return page


def sent(service: ServiceProcess, data: bytes) -> tuple[int, dict[str, Any]]:
    """What the door for pictures answers."""
    body, content_type = multipart(data)
    headers = {"Content-Type": content_type, "Accept-Language": "pt-BR"}
    status, answer, _ = service.request(
        "POST", "/api/payment/upload-screenshot-with-qr", body, headers
    )
    return status, json.loads(answer)


def found(service: ServiceProcess, data: bytes) -> str:
    """The id of the payment that the picture led to."""
    status, told = sent(service, data)
    assert status == 200, told
    return str(told["payment_id"])


def passed_on(picture: bytes) -> bytes:
    """The picture as a messenger hands it over: fitted into 1280 px, compressed twice."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for quality in (70, 60):
        out = io.BytesIO()
        image.thumbnail((1280, 1280))
        image.save(out, "JPEG", quality=quality)
        image = Image.open(out)
    return out.getvalue()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("points", [1, 2, 3])
def test_a_phones_screenshot_of_the_waiting_page_finds_the_payment(
    new_context, service, points, scheme
):
    """The QR to scan is folded away on a phone; its small picture beside the fold is read."""
    payment = service.create(value="54.90", order_id=f"A{points}{scheme}")
    look = {**PHONE, "device_scale_factor": points, "color_scheme": scheme}
    page = shown(new_context, service, f"/payments/pix/{payment['id']}", **look)
    expect(page.locator("details.fold")).not_to_have_attribute("open", "")

    for picture in (page.screenshot(), page.screenshot(type="jpeg", quality=QUALITY)):
        assert found(service, picture) == payment["id"]


@pytest.mark.parametrize("look", [NARROW, SMALL, DESKTOP], ids=["320px", "small", "desktop"])
def test_on_every_screen_the_first_sight_of_the_page_is_enough(new_context, service, look):
    """Nobody scrolls before a screenshot."""
    payment = service.create(value="9999999999.99", order_id=f"B{look['viewport']['width']}")
    page = shown(new_context, service, f"/payments/pix/{payment['id']}", **look)

    assert found(service, page.screenshot()) == payment["id"]


@pytest.mark.parametrize("points", [2, 3])
def test_a_screenshot_that_was_passed_on_finds_the_payment(new_context, service, points):
    """The payer asks somebody else to pay: the messenger makes it smaller and coarser."""
    payment = service.create(order_id=f"C{points}")
    look = {**PHONE, "device_scale_factor": points}
    page = shown(new_context, service, f"/payments/pix/{payment['id']}", **look)

    assert found(service, passed_on(page.screenshot())) == payment["id"]


def test_from_the_page_to_the_picture_and_back(new_context, service):
    """Bob keeps a screenshot, comes back with nothing else, and is on the page again."""
    payment = service.create(value="54.90", order_id="D1")
    page = shown(new_context, service, f"/payments/pix/{payment['id']}", **PHONE)
    picture = page.screenshot()

    page.goto(service.url + RECOVERY)
    page.set_input_files("#file", {"name": "print.png", "mimeType": "image/png", "buffer": picture})
    expect(page.locator("#result-title")).to_have_text("Este pagamento espera por você")
    expect(page.locator("[data-result]")).to_contain_text("D1")
    page.get_by_role("link", name="Abrir e pagar").click()
    expect(page).to_have_url(f"{service.url}/payments/pix/{payment['id']}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screenshot_of_the_confirmation_leads_to_the_receipt(new_context, service, scheme):
    """It is the one that payers keep: *paid*, with the way to the receipt in it."""
    payment = service.create(value="54.90", order_id=f"E{scheme}")
    assert service.tell(payment, payer=BOB)[0] == 200
    path = f"/payments/pix/{payment['id']}"
    page = shown(new_context, service, path, **PHONE, color_scheme=scheme)
    assert axe_violations(page) == []

    for picture in (page.screenshot(), page.screenshot(type="jpeg", quality=QUALITY)):
        status, told = sent(service, picture)
        assert (status, told["payment_id"], told["state"]) == (200, payment["id"], "paid")
        assert told["action"]["url"] == f"{service.url}{path}/receipt"

    receipt = shown(new_context, service, f"{path}/receipt", **PHONE, color_scheme=scheme)
    assert found(service, receipt.screenshot(full_page=True)) == payment["id"]


def test_a_screenshot_without_a_code_gets_the_way_to_one(new_context, service):
    """Scrolled past the code: the answer says where it stands, and that the text is as good."""
    payment = service.create(order_id="F1")
    page = shown(new_context, service, f"/payments/pix/{payment['id']}", **PHONE)
    page.locator(".fold .qr-mark").evaluate("(one) => { one.style.visibility = 'hidden'; }")
    picture = page.screenshot()

    status, told = sent(service, picture)
    assert (status, told["code"]) == (422, "no-code-in-picture")
    page.goto(service.url + RECOVERY)
    page.set_input_files("#file", {"name": "print.png", "mimeType": "image/png", "buffer": picture})
    result = page.locator("[data-result]")
    expect(result).to_contain_text("Não achamos um código nesta imagem")
    expect(result).to_contain_text("Pagar com outro aparelho")
    expect(result).to_contain_text("cole o código")
