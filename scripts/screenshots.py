"""Photograph the running pages for the README, into docs/screenshots/.

It starts the service by itself, on a free port and in a temporary folder: first as `make run` does,
for the shop and the bank, then with the same database in the production profile, so that the
shopper's pages are shown as shoppers see them, without the test strip.
"""

from __future__ import annotations

import io
import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from payments.qr_image import qr_png
from tests.browser.visits import enter_bank
from tests.support.browser import SHOPPER, running_chromium
from tests.support.parts import MissingPart
from tests.support.service import ServiceProcess

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
COLOURS = 256  # what drawn pages need; a quarter of the bytes
BYTES_MAX = 200_000

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}}
CARD: dict[str, Any] = {"viewport": {"width": 800, "height": 640}}
DARK: dict[str, Any] = {"color_scheme": "dark"}

PRODUCT = {"value": "54.90", "description": "Queijo meia cura, 500 g"}
HOUR = 3600
PASSWORD = "a-password-for-pictures"  # noqa: S105 - of a service that lives for seconds


@dataclass
class Camera:
    """Takes pictures of the service at `url`; `taken` names what it wrote, with the bytes."""

    browser: Browser
    url: str
    taken: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def at(self, path: str, *looks: dict[str, Any]) -> Iterator[Page]:
        """A page in a browser of its own, without movement; the later of two looks prevails."""
        chosen: dict[str, Any] = {"reduced_motion": "reduce"}
        for look in (SHOPPER, *looks):
            chosen |= look
        context = self.browser.new_context(**chosen)
        try:
            page = context.new_page()
            page.goto(self.url + path, wait_until="networkidle")
            yield page
        finally:
            context.close()

    def take(self, page: Page, name: str, whole: bool = True) -> None:
        """Write the page, or what is in its window, as docs/screenshots/<name>.png.

        Raises ValueError when the picture is too heavy for a README.
        """
        raw = Image.open(io.BytesIO(page.screenshot(full_page=whole, animations="disabled")))
        output = io.BytesIO()
        small = raw.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(output, format="PNG", optimize=True)
        if output.tell() > BYTES_MAX:
            raise ValueError(f"{name}.png has {output.tell()} bytes, {BYTES_MAX} at most")
        (FOLDER / f"{name}.png").write_bytes(output.getvalue())
        self.taken[name] = output.tell()


def pay(camera: Camera, payment: dict[str, Any]) -> None:
    """Pay at the bank's counter on a phone, photographing what the payer is shown."""
    with camera.at(f"/bank/pay?{urlencode({'code': payment['pix_code']})}", PHONE) as page:
        enter_bank(page)
        page.wait_for_load_state("networkidle")
        camera.take(page, "bank-review")
        page.get_by_label("Senha do cartão").fill("1234")
        page.get_by_role("button", name="Pagar").click()
        expect(page.get_by_role("heading", name="Pix confirmado")).to_be_visible(timeout=15_000)
        page.wait_for_load_state("networkidle")
        camera.take(page, "bank-receipt")


def photograph_house(camera: Camera, service: ServiceProcess) -> tuple[str, str, str]:
    """The shop and the bank; gives the ids of a waiting, a paid and an expired payment."""
    with camera.at("/", DESKTOP) as page:
        camera.take(page, "shop")
    expiring = service.create(**PRODUCT, order_id="1040", expires_in=10)
    paid = service.create(**PRODUCT, order_id="1041", expires_in=HOUR)
    pay(camera, paid)
    with camera.at(f"/payments/pix/{expiring['id']}", DESKTOP) as page:
        expired = page.get_by_role("heading", name="O prazo deste código acabou")
        expect(expired).to_be_visible(timeout=20_000)
    waiting = service.create(**PRODUCT, order_id="1042", expires_in=HOUR // 4)
    return waiting["id"], paid["id"], expiring["id"]


def photograph_recovery(camera: Camera, service: ServiceProcess) -> None:
    """The three scenarios of recovery, as the payer sees them on a phone."""
    lost, later, first = (
        service.create(**PRODUCT, order_id=order, expires_in=seconds)
        for order, seconds in (("1050", HOUR), ("1051", HOUR), ("1052", 10))
    )
    order = {"code": lost["pix_code"], "pin": "1234", "scenario": "lost"}
    headers = {"Content-Type": "application/json"}
    status, _, _ = service.request("POST", "/bank/api/pay", json.dumps(order).encode(), headers)
    if status != 200:
        raise ValueError(f"the bank answered {status}")
    with camera.at(f"/payments/pix/{first['id']}", DESKTOP) as page:
        expired = page.get_by_role("heading", name="O prazo deste código acabou")
        expect(expired).to_be_visible(timeout=20_000)
    for name, payment, heading in (
        ("recover-lost", lost, "Este pagamento está pago"),
        ("recover-later", later, "Este pagamento espera por você"),
        ("recover-again", first, "O prazo deste código acabou"),
    ):
        with camera.at("/payment/recover-from-qr", PHONE) as page:
            if name == "recover-lost":
                camera.take(page, "recover")
            code = qr_png(payment["pix_code"])
            page.set_input_files(
                "#file", {"name": "print.png", "mimeType": "image/png", "buffer": code}
            )
            expect(page.get_by_role("heading", name=heading)).to_be_visible()
            page.evaluate("window.scrollTo(0, 0)")
            camera.take(page, name, whole=False)


def photograph_portal(camera: Camera, service: ServiceProcess) -> None:
    """The merchant's portal, and the page where a picture finds its payment."""
    for number in range(4):
        service.create(value=f"{38 + 7 * number}.90", description="Cesta da semana",
                       order_id=f"{1100 + number}", expires_in=HOUR)  # fmt: skip
    for name, look in (("portal", DESKTOP), ("portal-phone", PHONE)):
        with camera.at("/login?next=/portal", look) as page:
            page.get_by_label("Usuário").fill("demo")
            page.get_by_label("Senha", exact=True).fill(PASSWORD)
            page.get_by_role("button", name="Entrar").click()
            page.wait_for_url(camera.url + "/portal")
            page.wait_for_timeout(1000)  # the chart is drawn, the socket has said hello
            camera.take(page, name, whole=False)
    with camera.at("/payment/recover-from-qr", PHONE) as page:
        camera.take(page, "recover", whole=False)


def photograph_checkout(camera: Camera, waiting: str, paid: str, expired: str) -> None:
    """The shopper's pages."""
    checkout = f"/payments/pix/{waiting}"
    for name, looks in (
        ("checkout-phone", (PHONE,)),
        ("checkout-desktop", (DESKTOP,)),
        ("checkout-dark", (PHONE, DARK)),
    ):
        with camera.at(checkout, *looks) as page:
            camera.take(page, name)
    with camera.at(f"/payments/pix/{paid}", CARD) as page:
        camera.take(page, "confirmed")
    with camera.at(f"/payments/pix/{expired}", CARD) as page:
        camera.take(page, "expired")
    with camera.at(f"/payments/pix/{paid}/receipt", CARD) as page:
        camera.take(page, "receipt")


def main() -> int:
    """Run the command; 0 when every picture is written."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="balcao-") as folder, running_chromium() as browser:
            with ServiceProcess(Path(folder), DEMO_PASSWORD=PASSWORD) as house:
                camera = Camera(browser, house.url)
                payments = photograph_house(camera, house)
                photograph_portal(camera, house)
                photograph_recovery(camera, house)
                house.stop()
            shoppers = ServiceProcess(Path(folder), PORT=house.port, APP_ENV="production")
            with shoppers:
                photograph_checkout(camera, *payments)
                shoppers.stop()
    except MissingPart as missing:
        print(f"Not here: {missing}", file=sys.stderr)
        return 1
    for name, size in camera.taken.items():
        print(f"{size // 1000:>5} kB  docs/screenshots/{name}.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
