"""The page of a charge with a due date: what it costs today, and from midnight on."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from core.pix.business_days import brasilia_day, end_of_day, roll
from tests.browser.visits import PHONE, visitor
from tests.support.service import PIX_KEY, ServiceProcess

CLIENT, SECRET = "c" * 32, "s" * 43
TXID = "d" * 30


def put_due_charge(service: ServiceProcess, due_date: str) -> str:
    """A charge of 100.00 with a fine and interest; return the id of its payment."""
    basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
    status, body, _ = service.request(
        "POST",
        "/api-pix/oauth/token",
        b"grant_type=client_credentials",
        {
            "Authorization": f"Basic {basic}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    assert status == 200, body
    charge = {
        "calendario": {"dataDeVencimento": due_date},
        "devedor": {"cpf": "12345678909", "nome": "Bia Lima"},
        "valor": {
            "original": "100.00",
            "multa": {"modalidade": 2, "valorPerc": "2.00"},
            "juros": {"modalidade": 1, "valorPerc": "0.50"},
        },
        "chave": PIX_KEY,
    }
    bearer = {"Authorization": f"Bearer {json.loads(body)['access_token']}"}
    status, body, _ = service.request(
        "PUT",
        f"/api-pix/v2/cobv/{TXID}",
        json.dumps(charge).encode(),
        {"Content-Type": "application/json", **bearer},
    )
    assert status == 201, body
    payments = json.loads(service.get("/payments/pix")[1])["data"]
    return str(payments[0]["id"])


def test_the_amount_changes_at_midnight_without_a_reload(new_context, tmp_path):
    """A payer who waits on the page must not pay yesterday's amount, which would be refused."""
    due_date = roll(brasilia_day(datetime.now(UTC)) + timedelta(days=1))
    midnight = end_of_day(due_date)
    clock_file = tmp_path / "clock"

    def leave(seconds: float) -> None:
        """Set the service's clock to so many seconds before midnight."""
        lead = (midnight - datetime.now(UTC)).total_seconds() - seconds
        clock_file.write_text(f"{lead:.3f}", encoding="ascii")

    leave(3_000)
    environment = {
        "CLOCK_FILE": clock_file,
        "DEMO_CLIENT_ID": CLIENT,
        "DEMO_CLIENT_SECRET": SECRET,
    }
    with ServiceProcess(tmp_path / "service", **environment) as service:
        payment_id = put_due_charge(service, str(due_date))
        leave(6)
        page = visitor(new_context, service, **PHONE).open(f"/payments/pix/{payment_id}")
        amount = page.locator(".checkout__amount")
        expect(amount).to_contain_text("100,00")
        expect(page.locator(".state__sums")).not_to_contain_text("Multa")
        page.evaluate("window.isTheSamePage = true")

        expect(amount).to_contain_text("102,50", timeout=15_000)

        expect(page.locator(".state__check")).to_contain_text("102,50")
        expect(page.locator(".state__sums")).to_contain_text("Multa")
        assert page.evaluate("window.isTheSamePage")
