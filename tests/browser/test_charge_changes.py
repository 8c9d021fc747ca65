"""An open payment page follows a charge of API Pix: amount, code, no code, and a code again."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.browser.visits import DESKTOP, PHONE, visitor
from tests.support.service import PIX_KEY, ServiceProcess

CLIENT, SECRET = "c" * 32, "s" * 43
TXID = "e" * 30
CHARGE = {
    "calendario": {"expiracao": 3600},
    "valor": {"original": "10.00", "modalidadeAlteracao": 1},
    "chave": PIX_KEY,
    "infoAdicionais": [
        {"nome": "Mesa", "valor": "4, na varanda"},
        {"nome": "n" * 50, "valor": "v" * 200},
    ],
}
LIVE_MS = 15_000


class Caller:
    """Calls API Pix with a token of the demo client."""

    def __init__(self, service: ServiceProcess) -> None:
        """Ask for the token."""
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        form = "application/x-www-form-urlencoded"
        self._service = service
        status, body, _ = service.request(
            "POST",
            "/api-pix/oauth/token",
            b"grant_type=client_credentials",
            {"Authorization": f"Basic {basic}", "Content-Type": form},
        )
        assert status == 200, body
        self._bearer = {"Authorization": f"Bearer {json.loads(body)['access_token']}"}

    def __call__(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Send a request that must succeed; return its answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **self._bearer}
        status, answer, _ = self._service.request(
            method, f"/api-pix/v2{path}", data, headers if data else self._bearer
        )
        assert status < 300, answer
        return dict(json.loads(answer))


def put_charge(service: ServiceProcess, call: Caller) -> tuple[dict[str, Any], str]:
    """A charge, and the path of its page."""
    charge = call("PUT", f"/cob/{TXID}", CHARGE)
    [payment] = json.loads(service.get("/payments/pix")[1])["data"]
    return charge, f"/payments/pix/{payment['id']}"


def keep_picture(page: Page, name: str) -> None:
    """Store a screenshot where CHARGE_PICTURES says, to be looked at."""
    folder = os.environ.get("CHARGE_PICTURES")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_an_open_page_follows_the_charge(new_context, tmp_path):
    """A payer who waits must not copy a dead code or pay yesterday's amount."""
    environment: dict[str, Any] = {"DEMO_CLIENT_ID": CLIENT, "DEMO_CLIENT_SECRET": SECRET}
    with ServiceProcess(tmp_path / "service", **environment) as service:
        call = Caller(service)
        charge, path = put_charge(service, call)
        page = visitor(new_context, service, **PHONE).open(path)
        amount, code = page.locator(".checkout__amount"), page.locator("#pix-code")
        expect(amount).to_contain_text("10,00")
        expect(code).to_have_value(charge["pixCopiaECola"])
        page.evaluate("window.isTheSamePage = true")

        call("PATCH", f"/cob/{TXID}", {"valor": {"original": "12.34", "modalidadeAlteracao": 1}})
        expect(amount).to_contain_text("12,34", timeout=LIVE_MS)

        location = call("POST", "/loc", {"tipoCob": "cob"})
        moved = call("PATCH", f"/cob/{TXID}", {"loc": {"id": location["id"]}})
        assert moved["pixCopiaECola"] != charge["pixCopiaECola"]
        expect(code).to_have_value(moved["pixCopiaECola"], timeout=LIVE_MS)
        picture = page.locator(".fold .qr-mark").get_attribute("src") or ""
        assert "?v=" in picture

        call("DELETE", f"/loc/{location['id']}/txid")
        title = page.locator("#state-title")
        expect(title).to_have_text("Sem código Pix agora", timeout=LIVE_MS)
        expect(code).to_have_count(0)
        expect(page.locator(".qr, .qr-mark")).to_have_count(0)

        call("PATCH", f"/cob/{TXID}", {"loc": {"id": charge["loc"]["id"]}})
        expect(code).to_have_value(charge["pixCopiaECola"], timeout=LIVE_MS)
        expect(title).to_have_text("Pague com Pix")
        assert page.evaluate("window.isTheSamePage")


def test_long_lines_for_the_payer_wrap_on_a_narrow_phone(new_context, tmp_path):
    """A line of 200 letters without a space must not widen the page."""
    environment: dict[str, Any] = {"DEMO_CLIENT_ID": CLIENT, "DEMO_CLIENT_SECRET": SECRET}
    narrow = {**PHONE, "viewport": {"width": 360, "height": 740}}
    with ServiceProcess(tmp_path / "service", **environment) as service:
        call = Caller(service)
        charge, path = put_charge(service, call)
        for name, look in (("narrow", narrow), ("desktop", DESKTOP)):
            for scheme in ("light", "dark"):
                page = visitor(new_context, service, color_scheme=scheme, **look).open(path)
                expect(page.locator(".state__info")).to_contain_text("4, na varanda")
                width = page.evaluate("document.documentElement.scrollWidth")
                assert width == look["viewport"]["width"]
                keep_picture(page, f"lines-{name}-{scheme}")
        call("PATCH", f"/cob/{TXID}", {"valor": {"original": "0.00", "modalidadeAlteracao": 1}})
        page = visitor(new_context, service, color_scheme="dark", **narrow).open(path)
        expect(page.locator(".checkout__amount")).to_have_text("valor livre")
        keep_picture(page, "open-narrow-dark")
        no_choice = {"original": "5.00", "modalidadeAlteracao": 0}
        cash = {
            "valor": "20.00",
            "modalidadeAlteracao": 1,
            "modalidadeAgente": "AGTEC",
            "prestadorDoServicoDeSaque": "12345678",
        }
        call("PATCH", f"/cob/{TXID}", {"valor": {**no_choice, "retirada": {"troco": cash}}})
        page = visitor(new_context, service, **narrow).open(path)
        expect(page.locator(".state__sums").first).to_contain_text("Troco em dinheiro")
        keep_picture(page, "cash-narrow-light")
        call("DELETE", f"/loc/{charge['loc']['id']}/txid")
        page = visitor(new_context, service, **DESKTOP).open(path)
        expect(page.locator("#state-title")).to_have_text("Sem código Pix agora")
        keep_picture(page, "no-code-desktop-light")
