"""Write the README's screenshots into docs/screenshots/.

The command starts the service on a free port in a temporary folder: first as `make run` does, for
the shop and the bank; then in the production profile with the same database, so that the shopper's
pages appear without the test strip. The pages ask for the font of the device, so the command needs
Roboto, which Android phones have.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
from tests.support.servers import find_program
from tests.support.service import ROOT, ServiceProcess

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "screenshots"
COLOURS = 256  # enough for pages without photographs, with a quarter of the bytes
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
PASSWORD = "a-password-for-pictures"  # noqa: S105 - of a temporary service


FONT = "Roboto"
FONTS = (
    '<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
    "<include>/etc/fonts/fonts.conf</include>"
    + "".join(
        f'<match><test name="family"><string>{family}</string></test><edit name="family" '
        f'mode="prepend" binding="strong"><string>{FONT}</string></edit></match>'
        for family in ("system-ui", "sans", "Sans", "sans-serif")
    )
    + "</fontconfig>"
)


def use_phone_font(folder: Path) -> None:
    """Let programs that start from now on draw pages with a phone's font. Raises MissingPart."""
    file = folder / "fonts.conf"
    file.write_text(FONTS, encoding="utf-8")
    os.environ["FONTCONFIG_FILE"] = str(file)
    program = find_program("fc-match")
    if program is None:
        raise MissingPart("fc-match (Debian: apt install fontconfig)")
    # A plain hyphen would begin a size.
    question = [program, "-f", "%{family}", r"system\-ui"]
    match = subprocess.run(question, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    if not match.stdout.startswith(FONT):
        raise MissingPart("Roboto, a phone's font (Debian: apt install fonts-roboto-unhinted)")


@dataclass
class Camera:
    """Takes screenshots of the service at `url`; `sizes` has the bytes of each file by name."""

    browser: Browser
    url: str
    sizes: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def at(self, path: str, *looks: dict[str, Any]) -> Iterator[Page]:
        """A page in a new browser context without animations; later looks override earlier ones."""
        options: dict[str, Any] = {"reduced_motion": "reduce"}
        for look in (SHOPPER, *looks):
            options |= look
        context = self.browser.new_context(**options)
        try:
            page = context.new_page()
            page.goto(self.url + path, wait_until="networkidle")
            yield page
        finally:
            context.close()

    def take(self, page: Page, name: str, whole: bool = True) -> None:
        """Write the whole page, or only its viewport, as docs/screenshots/<name>.png.

        Raises ValueError if the file is larger than BYTES_MAX.
        """
        image = Image.open(io.BytesIO(page.screenshot(full_page=whole, animations="disabled")))
        output = io.BytesIO()
        small = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(output, format="PNG", optimize=True)
        if output.tell() > BYTES_MAX:
            raise ValueError(f"{name}.png has {output.tell()} bytes, {BYTES_MAX} at most")
        (FOLDER / f"{name}.png").write_bytes(output.getvalue())
        self.sizes[name] = output.tell()


def pay(camera: Camera, payment: dict[str, Any]) -> None:
    """Pay at the bank's counter on a phone; take screenshots of the bank's pages."""
    with camera.at(f"/bank/pay?{urlencode({'code': payment['pix_code']})}", PHONE) as page:
        enter_bank(page)
        page.wait_for_load_state("networkidle")
        camera.take(page, "bank-review")
        page.get_by_label("Senha do cartão").fill("1234")
        page.get_by_role("button", name="Pagar").click()
        expect(page.get_by_role("heading", name="Pix confirmado")).to_be_visible(timeout=15_000)
        page.wait_for_load_state("networkidle")
        camera.take(page, "bank-receipt")


def photograph_shop_and_bank(camera: Camera, service: ServiceProcess) -> tuple[str, str, str]:
    """The shop and the bank; return the ids of a pending, a paid and an expired payment."""
    with camera.at("/", DESKTOP) as page:
        camera.take(page, "shop")
    expiring = service.create(**PRODUCT, order_id="1040", expires_in=10)
    paid = service.create(**PRODUCT, order_id="1041", expires_in=HOUR)
    pay(camera, paid)
    with camera.at(f"/payments/pix/{expiring['id']}", DESKTOP) as page:
        expired = page.get_by_role("heading", name="O prazo deste código acabou")
        expect(expired).to_be_visible(timeout=20_000)
    pending = service.create(**PRODUCT, order_id="1042", expires_in=HOUR // 4)
    return pending["id"], paid["id"], expiring["id"]


def photograph_recovery(camera: Camera, service: ServiceProcess) -> None:
    """The three scenarios of recovery on a phone."""
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
        ("recover-lost", lost, "Pagamento confirmado"),
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
    """The merchant's portal and the recovery page."""
    seed = [sys.executable, "-m", "flask", "--app", "app", "seed"]
    subprocess.run(seed, cwd=ROOT, env=service.environment, check=True, capture_output=True)  # noqa: S603 - ours
    for name, look in (("portal", DESKTOP), ("portal-phone", PHONE)):
        with camera.at("/login?next=/portal", look) as page:
            page.get_by_label("Usuário").fill("demo")
            page.get_by_label("Senha", exact=True).fill(PASSWORD)
            page.get_by_role("button", name="Entrar").click()
            page.wait_for_url(camera.url + "/portal")
            page.wait_for_timeout(1000)  # until the chart is drawn and the socket is connected
            camera.take(page, name, whole=False)
    with camera.at("/payment/recover-from-qr", PHONE) as page:
        camera.take(page, "recover", whole=False)


def photograph_checkout(camera: Camera, pending: str, paid: str, expired: str) -> None:
    """The shopper's pages."""
    checkout = f"/payments/pix/{pending}"
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
    """Run the command; exit status 0 if every screenshot was written."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="balcao-") as folder, ExitStack() as closing:
            use_phone_font(Path(folder))
            browser = closing.enter_context(running_chromium())
            with ServiceProcess(Path(folder), DEMO_PASSWORD=PASSWORD) as service:
                camera = Camera(browser, service.url)
                payments = photograph_shop_and_bank(camera, service)
                photograph_portal(camera, service)
                photograph_recovery(camera, service)
                service.stop()
            production = ServiceProcess(Path(folder), PORT=service.port, APP_ENV="production")
            with production:
                photograph_checkout(camera, *payments)
                production.stop()
    except MissingPart as error:
        print(f"Something is not installed: {error}", file=sys.stderr)
        return 1
    for name, size in camera.sizes.items():
        print(f"{size // 1000:>5} kB  docs/screenshots/{name}.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
