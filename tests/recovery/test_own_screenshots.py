"""A screenshot of our page, taken by a browser and sent unchanged, finds its payment.

A screenshot shows the window and not the whole page, as on a phone. A phone has two or three device
pixels per CSS pixel, a cheap one has one.
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
"""The visible part of a page on a small phone."""
QUALITY = 75


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service for this file, without limits per address."""
    folder = tmp_path_factory.mktemp("screenshots")
    limits: dict[str, Any] = {
        "RECOVERY_TRIES_PER_MINUTE": 10_000,
        "RECOVERY_PICTURES_PER_MINUTE": 10_000,
    }
    with ServiceProcess(folder, **limits) as running:
        yield running


def open_page(new_context: NewContext, service: ServiceProcess, path: str, **look: Any) -> Page:
    """Open the page and wait for its pictures."""
    page = new_context(**look).new_page()
    page.goto(service.url + path)
    for image in page.locator("img:visible").all():
        image.evaluate("(image) => image.decode()")
    return page


def upload(service: ServiceProcess, data: bytes) -> tuple[int, dict[str, Any]]:
    """Upload a picture; return the status and the JSON."""
    body, content_type = multipart(data)
    headers = {"Content-Type": content_type, "Accept-Language": "pt-BR"}
    status, answer, _ = service.request(
        "POST", "/api/payment/upload-screenshot-with-qr", body, headers
    )
    return status, json.loads(answer)


def found_payment_id(service: ServiceProcess, data: bytes) -> str:
    """Upload a picture; return the id of the payment that was found."""
    status, answer_json = upload(service, data)
    assert status == 200, answer_json
    return str(answer_json["payment_id"])


def forwarded(picture: bytes) -> bytes:
    """The picture as a messenger forwards it: fitted into 1280 px and compressed twice."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for quality in (70, 60):
        out = io.BytesIO()
        image.thumbnail((1280, 1280))
        image.save(out, "JPEG", quality=quality)
        image = Image.open(out)
    return out.getvalue()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device_scale", [1, 2, 3])
def test_a_phones_screenshot_of_the_waiting_page_finds_the_payment(
    new_context, service, device_scale, scheme
):
    """A phone's page folds the large QR away; the small picture beside the fold is read."""
    payment = service.create(value="54.90", order_id=f"A{device_scale}{scheme}")
    look = {**PHONE, "device_scale_factor": device_scale, "color_scheme": scheme}
    page = open_page(new_context, service, f"/payments/pix/{payment['id']}", **look)
    expect(page.locator("details.fold")).not_to_have_attribute("open", "")

    for picture in (page.screenshot(), page.screenshot(type="jpeg", quality=QUALITY)):
        assert found_payment_id(service, picture) == payment["id"]


@pytest.mark.parametrize("look", [NARROW, SMALL, DESKTOP], ids=["320px", "small", "desktop"])
def test_a_screenshot_without_scrolling_is_enough_on_every_screen(new_context, service, look):
    """Payers do not scroll before a screenshot."""
    payment = service.create(value="9999999999.99", order_id=f"B{look['viewport']['width']}")
    page = open_page(new_context, service, f"/payments/pix/{payment['id']}", **look)

    assert found_payment_id(service, page.screenshot()) == payment["id"]


@pytest.mark.parametrize("device_scale", [2, 3])
def test_a_forwarded_screenshot_finds_the_payment(new_context, service, device_scale):
    """A messenger makes the picture smaller and coarser."""
    payment = service.create(order_id=f"C{device_scale}")
    look = {**PHONE, "device_scale_factor": device_scale}
    page = open_page(new_context, service, f"/payments/pix/{payment['id']}", **look)

    assert found_payment_id(service, forwarded(page.screenshot())) == payment["id"]


def test_a_screenshot_of_the_page_leads_back_to_the_page(new_context, service):
    """Bob has only a screenshot, and returns to the payment's page."""
    payment = service.create(value="54.90", order_id="D1")
    page = open_page(new_context, service, f"/payments/pix/{payment['id']}", **PHONE)
    picture = page.screenshot()

    page.goto(service.url + RECOVERY)
    page.set_input_files("#file", {"name": "print.png", "mimeType": "image/png", "buffer": picture})
    expect(page.locator("#result-title")).to_have_text("Este pagamento espera por você")
    expect(page.locator("[data-result]")).to_contain_text("D1")
    page.get_by_role("link", name="Abrir e pagar").click()
    expect(page).to_have_url(f"{service.url}/payments/pix/{payment['id']}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screenshot_of_the_confirmation_leads_to_the_receipt(new_context, service, scheme):
    """Payers keep this screenshot; it leads to the receipt."""
    payment = service.create(value="54.90", order_id=f"E{scheme}")
    assert service.tell(payment, payer=BOB)[0] == 200
    path = f"/payments/pix/{payment['id']}"
    page = open_page(new_context, service, path, **PHONE, color_scheme=scheme)
    assert axe_violations(page) == []

    for picture in (page.screenshot(), page.screenshot(type="jpeg", quality=QUALITY)):
        status, answer_json = upload(service, picture)
        assert (status, answer_json["payment_id"], answer_json["state"]) == (
            200,
            payment["id"],
            "paid",
        )
        assert answer_json["action"]["url"] == f"{service.url}{path}/receipt"

    receipt = open_page(new_context, service, f"{path}/receipt", **PHONE, color_scheme=scheme)
    assert found_payment_id(service, receipt.screenshot(full_page=True)) == payment["id"]


def test_a_screenshot_without_a_code_gets_instructions(new_context, service):
    """The answer says where the code is, and that the payer can paste its text."""
    payment = service.create(order_id="F1")
    page = open_page(new_context, service, f"/payments/pix/{payment['id']}", **PHONE)
    page.locator(".fold .qr-mark").evaluate("(mark) => { mark.style.visibility = 'hidden'; }")
    picture = page.screenshot()

    status, answer_json = upload(service, picture)
    assert (status, answer_json["code"]) == (422, "no-code-in-picture")
    page.goto(service.url + RECOVERY)
    page.set_input_files("#file", {"name": "print.png", "mimeType": "image/png", "buffer": picture})
    result = page.locator("[data-result]")
    expect(result).to_contain_text("Não achamos um código nesta imagem")
    expect(result).to_contain_text("Pagar com outro aparelho")
    expect(result).to_contain_text("cole o código")
