"""The recovery page shows times in the viewer's zone, as the payment page does."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from payments.qr_image import qr_png

PAGE = "/payment/recover-from-qr"
TOKYO = "Asia/Tokyo"


@pytest.fixture
def service(serve):
    """The service, without limits per address."""
    return serve(RECOVERY_TRIES_PER_MINUTE=10_000, RECOVERY_PICTURES_PER_MINUTE=10_000)


def test_the_deadline_is_in_the_viewers_zone(service, new_context):
    """The same instant has another local time in Tokyo."""
    payment = service.create()
    deadline = datetime.fromisoformat(payment["expiration_date"]).astimezone(ZoneInfo(TOKYO))
    page = new_context(timezone_id=TOKYO).new_page()
    page.goto(service.url + PAGE)
    picture = {"name": "print.png", "mimeType": "image/png", "buffer": qr_png(payment["pix_code"])}
    page.set_input_files("#file", picture)
    deadline_time = page.locator("[data-result] time").last
    expect(deadline_time).to_have_text(f"{deadline:%H:%M}")
    page.goto(f"{service.url}/payments/pix/{payment['id']}")
    expect(page.locator("[data-local-clock] time")).to_have_text(f"{deadline:%H:%M}")


def test_the_time_of_payment_is_in_the_viewers_zone(service, new_context):
    """The time has its offset, because a receipt may be shown to a person in another zone."""
    payment = service.create()
    assert service.tell(payment)[0] == 200
    page = new_context(timezone_id=TOKYO).new_page()
    page.goto(service.url + PAGE)
    page.locator("[name=qr_data]").fill(payment["pix_code"])
    page.get_by_role("button", name="Procurar pagamento").click()
    expect(page.locator("[data-result] time").first).to_contain_text("(UTC+09:00)")
