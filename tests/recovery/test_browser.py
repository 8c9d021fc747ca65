"""The page in a browser: choose, paste or drop a picture, type a code, or use no scripts."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import expect

from payments.qr_image import qr_png
from tests.support.browser import axe_violations
from tests.support.service import ServiceProcess

PAGE = "/payment/recover-from-qr"
PHONE = {"width": 320, "height": 700}

READS_CODES = """
window.BarcodeDetector = class {
  static getSupportedFormats() { return Promise.resolve(["qr_code"]); }
  detect() { return Promise.resolve([{ rawValue: window.localStorage.code }]); }
};
"""
PASTE_OR_DROP = """
([name, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "print.png", { type: "image/png" }));
  const options = { bubbles: true, cancelable: true };
  const event = name === "paste"
    ? new ClipboardEvent("paste", { ...options, clipboardData: transfer })
    : new DragEvent("drop", { ...options, dataTransfer: transfer });
  document.body.dispatchEvent(event);
}
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One service for this file, without limits per address."""
    limits: dict[str, Any] = {
        "RECOVERY_TRIES_PER_MINUTE": 10_000,
        "RECOVERY_PICTURES_PER_MINUTE": 10_000,
    }
    with ServiceProcess(tmp_path_factory.mktemp("recovery"), **limits) as running:
        yield running


def upload_of(text):
    """The QR of a text as a file for the file input."""
    return {"name": "print.png", "mimeType": "image/png", "buffer": qr_png(text)}


def end_animations(page):
    """Bring animations to their end, because axe would measure colours in transition.

    An animation that the browser has not begun never ends by itself.
    """
    page.evaluate("document.getAnimations().forEach((animation) => animation.finish())")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["pt-BR", "en"])
def test_a_file_gets_one_answer_and_one_button_accessibly(service, new_context, scheme, lang):
    """axe finds nothing before and after, the answer's heading has the focus, nothing overflows."""
    payment = service.create(value="54.90", order_id=f"A1-{scheme}-{lang}")
    page = new_context(locale=lang, color_scheme=scheme, viewport=PHONE).new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page.goto(service.url + PAGE)
    assert axe_violations(page) == []

    page.set_input_files("#file", upload_of(payment["pix_code"]))

    heading = page.locator("#result-title")
    expect(heading).to_be_focused()
    assert page.locator("[data-result] .button").count() == 1
    end_animations(page)
    assert axe_violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert errors == []
    page.locator("[data-result] .button").click()
    expect(page).to_have_url(f"{service.url}/payments/pix/{payment['id']}")


@pytest.mark.parametrize("way", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped_anywhere_on_the_page(service, page, way):
    """Payers press Ctrl+V after a screenshot, or drag a file from the desktop."""
    payment = service.create()
    page.goto(service.url + PAGE)
    expect(page.locator("[data-ways]")).to_be_visible()

    data = base64.b64encode(qr_png(payment["pix_code"])).decode()
    page.evaluate(PASTE_OR_DROP, [way, data])

    expect(page.locator("#result-title")).to_have_text("Este pagamento espera por você")


def test_a_typed_code_is_looked_up_and_a_foreign_one_is_named(service, page):
    """The second answer replaces the first."""
    payment = service.create()
    page.goto(service.url + PAGE)
    page.fill("#qr_data", "https://example.org/x")
    page.get_by_role("button", name="Procurar pagamento").click()
    expect(page.locator(".result__body")).to_contain_text("endereço da web")

    page.fill("#qr_data", payment["pix_code"])
    page.get_by_role("button", name="Procurar pagamento").click()

    expect(page.locator("#result-title")).to_have_text("Este pagamento espera por você")
    assert page.locator("[data-result]").count() == 1


def test_a_picture_that_the_browser_reads_stays_on_the_device(service, new_context):
    """The page says so, and no request contains the picture."""
    payment = service.create()
    context = new_context()
    context.add_init_script(READS_CODES)
    page = context.new_page()
    bodies: list[bytes] = []
    page.on("request", lambda request: bodies.append(request.post_data_buffer or b""))
    page.goto(service.url + PAGE)
    page.evaluate("(code) => { window.localStorage.code = code; }", payment["pix_code"])
    expect(page.locator('[data-privacy="browser"]')).to_be_visible()
    expect(page.locator('[data-privacy="server"]')).to_be_hidden()

    page.set_input_files("#file", upload_of(payment["pix_code"]))

    expect(page.locator("#result-title")).to_have_text("Este pagamento espera por você")
    assert all(b"PNG" not in body for body in bodies)
    assert any(payment["watch_code"].encode() in body for body in bodies)


def test_the_server_looks_for_our_code_if_the_browser_reads_only_a_foreign_one(
    service, new_context
):
    """On a poster the browser may read only a larger code beside ours."""
    payment = service.create()
    context = new_context()
    context.add_init_script(READS_CODES)
    page = context.new_page()
    page.goto(service.url + PAGE)
    page.evaluate("() => { window.localStorage.code = 'https://example.org/menu'; }")

    page.set_input_files("#file", upload_of(payment["pix_code"]))

    expect(page.locator("#result-title")).to_have_text("Este pagamento espera por você")


def test_the_server_reads_what_the_browser_cannot(service, new_context):
    """Without a reader in the browser, the page says that the picture is uploaded and deleted."""
    payment = service.create()
    page = new_context().new_page()
    page.add_init_script("delete window.BarcodeDetector;")
    page.goto(service.url + PAGE)
    expect(page.locator('[data-privacy="server"]')).to_be_visible()

    page.set_input_files("#file", upload_of(payment["pix_code"]))

    expect(page.locator("#result-title")).to_have_text("Este pagamento espera por você")


def test_a_format_that_only_the_browser_reads_is_converted(service, page):
    """Phones make HEIC and AVIF; a browser that shows such a picture can send it as a JPEG."""
    payment = service.create()
    avif = io.BytesIO()
    with Image.open(io.BytesIO(qr_png(payment["pix_code"]))) as qr:
        qr.convert("RGB").save(avif, "AVIF")
    page.goto(service.url + PAGE)

    upload = {"name": "print.avif", "mimeType": "image/avif", "buffer": avif.getvalue()}
    page.set_input_files("#file", upload)

    expect(page.locator("#result-title")).to_have_text("Este pagamento espera por você")


def test_without_scripts_the_form_does_the_same(service, new_context):
    """The answer is on the same page."""
    payment = service.create()
    page = new_context(java_script_enabled=False, viewport=PHONE).new_page()
    page.goto(service.url + PAGE)
    expect(page.locator("[data-camera-open]")).to_be_hidden()
    page.set_input_files("#file", upload_of(payment["pix_code"]))
    page.get_by_role("button", name="Procurar pagamento").click()

    expect(page.locator("#result-title")).to_have_text("Este pagamento espera por você")
    assert axe_violations(page) == []


def test_the_page_reports_a_lost_connection_and_a_retry_works(service, page):
    """The page keeps the chosen picture."""
    payment = service.create()
    page.goto(service.url + PAGE)
    page.route("**/payment/recover-from-qr?*", lambda route: route.abort())
    page.set_input_files("#file", upload_of(payment["pix_code"]))
    expect(page.locator("[data-status]")).to_contain_text("Não conseguimos falar com o serviço")

    page.unroute("**/payment/recover-from-qr?*")
    page.get_by_role("button", name="Procurar pagamento").click()

    expect(page.locator("#result-title")).to_have_text("Este pagamento espera por você")
