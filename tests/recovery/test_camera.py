"""The page's camera in a real browser, with a film as the camera, or without permission.

Debian's Chromium has no BarcodeDetector, so the payer takes a picture and the server reads it. Only
the BarcodeDetector, which scans continuously in other browsers, is replaced here.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from payments.qr_image import qr_png
from tests.browser.visits import PHONE, scrolls_sideways
from tests.support.browser import SHOPPER, axe_violations, running_chromium
from tests.support.service import ServiceProcess

PAGE = "/payment/recover-from-qr"
WAITING = "Este pagamento espera por você"
DENIED = "A câmera não foi permitida. Escolha uma imagem ou cole o código."
NONE = "Não há câmera neste aparelho. Escolha uma imagem ou cole o código."
READER = """
window.BarcodeDetector = class {
  static getSupportedFormats() { return Promise.resolve(["qr_code"]); }
  detect(video) {
    const isPlaying = video.videoWidth > 0 && !video.paused;
    return Promise.resolve(isPlaying ? [{ rawValue: window.localStorage.code }] : []);
  }
};
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service for this file."""
    with ServiceProcess(tmp_path_factory.mktemp("camera")) as running:
        yield running


@pytest.fixture(scope="module")
def payment(service: ServiceProcess) -> dict[str, Any]:
    """The payment whose QR is held before the camera."""
    return service.create(value="54.90", order_id="camera")


@pytest.fixture(scope="module")
def camera_browser(
    chromium: Browser, payment: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    """A browser whose camera shows the payment's QR on a table."""
    film = tmp_path_factory.mktemp("film") / "qr.mjpeg"
    film.write_bytes(_film(payment["pix_code"]))
    flags = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}")
    with running_chromium(*flags, has_camera=True) as browser:
        yield browser


def _film(code: str) -> bytes:
    scene = Image.new("RGB", (640, 480), (214, 205, 190))
    with Image.open(io.BytesIO(qr_png(code))) as qr:
        scene.paste(qr.convert("RGB").resize((380, 380), Image.Resampling.LANCZOS), (130, 50))
    frame = io.BytesIO()
    scene.save(frame, "JPEG", quality=90)
    return frame.getvalue() * 10


@contextmanager
def open_page(
    browser: Browser, service: ServiceProcess, script: str = "", **options: Any
) -> Iterator[Page]:
    """The page in its own context, with the camera button visible."""
    look: dict[str, Any] = {**SHOPPER, **options}
    context = browser.new_context(**look)
    try:
        if script:
            context.add_init_script(script)
        page = context.new_page()
        page.goto(service.url + PAGE)
        expect(page.get_by_role("button", name="Usar a câmera")).to_be_visible()
        yield page
    finally:
        context.close()


def expect_camera_off(page: Page) -> None:
    """Check that the camera is off and its picture is hidden."""
    expect(page.locator("[data-camera]")).to_be_hidden()
    expect(page.locator(".camera__video")).to_have_js_property("srcObject", None)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_taken_by_the_camera_finds_the_payment(camera_browser, service, payment, scheme):
    """After the answer the camera is off."""
    look = {"color_scheme": scheme, "viewport": PHONE["viewport"]}
    with open_page(camera_browser, service, permissions=["camera"], **look) as page:
        page.get_by_role("button", name="Usar a câmera").click()
        expect(page.locator("[data-status]")).to_have_text("Aponte para o QR.")
        expect(page.locator(".camera__video")).to_have_js_property("videoWidth", 640)
        assert axe_violations(page) == []
        assert scrolls_sideways(page) == []
        page.get_by_role("button", name="Ler esta imagem").click()

        expect(page.locator("#result-title")).to_have_text(WAITING)
        expect(page.locator("[data-result]")).to_contain_text(payment["order_id"])
        expect_camera_off(page)


def test_a_reader_in_the_browser_finds_it_without_a_tap(camera_browser, service, payment):
    """With the replaced reader, no picture leaves the device."""
    with open_page(camera_browser, service, READER, permissions=["camera"]) as page:
        bodies: list[bytes] = []
        page.on("request", lambda request: bodies.append(request.post_data_buffer or b""))
        page.evaluate("(code) => { window.localStorage.code = code; }", payment["pix_code"])
        page.get_by_role("button", name="Usar a câmera").click()

        expect(page.locator("#result-title")).to_have_text(WAITING)
        expect_camera_off(page)
        assert not any(b"JFIF" in body for body in bodies)
        assert any(payment["watch_code"].encode() in body for body in bodies)


def test_a_closed_camera_is_off_and_opens_again(camera_browser, service):
    """The camera button is visible again and has the focus."""
    with open_page(camera_browser, service, permissions=["camera"]) as page:
        opener = page.get_by_role("button", name="Usar a câmera")
        for _ in range(2):
            opener.click()
            expect(page.locator(".camera__video")).to_have_js_property("videoWidth", 640)
            page.get_by_role("button", name="Fechar a câmera").click()
            expect_camera_off(page)
            expect(opener).to_be_focused()
        expect(page.locator("[data-status]")).to_be_empty()


def test_a_refused_camera_names_the_alternatives(camera_browser, service):
    """The context has another permission, so the browser refuses the camera."""
    with open_page(camera_browser, service, permissions=["geolocation"]) as page:
        page.get_by_role("button", name="Usar a câmera").click()

        expect(page.locator("[data-status]")).to_have_text(DENIED)
        expect_camera_off(page)
        expect(page.locator("#file")).to_be_enabled()
        assert axe_violations(page) == []


def test_a_device_without_a_camera_says_so(chromium, service):
    """The camera is permitted, but does not exist."""
    with open_page(chromium, service, permissions=["camera"]) as page:
        page.get_by_role("button", name="Usar a câmera").click()

        expect(page.locator("[data-status]")).to_have_text(NONE)
        expect_camera_off(page)
