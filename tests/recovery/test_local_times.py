"""Times on the recovery page are those of whoever looks, as on the payment page."""

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
    """The service, without the limits that belong to one address."""
    return serve(RECOVERY_TRIES_PER_MINUTE=10_000, RECOVERY_PICTURES_PER_MINUTE=10_000)


def test_the_deadline_is_told_in_the_viewers_zone(service, new_context):
    """Half a world away the same instant has another name."""
    payment = service.create()
    deadline = datetime.fromisoformat(payment["expiration_date"]).astimezone(ZoneInfo(TOKYO))
    page = new_context(timezone_id=TOKYO).new_page()
    page.goto(service.url + PAGE)
    picture = {"name": "print.png", "mimeType": "image/png", "buffer": qr_png(payment["pix_code"])}
    page.set_input_files("#file", picture)
    told = page.locator("[data-result] time").last
    expect(told).to_have_text(f"{deadline:%H:%M}")
    page.goto(f"{service.url}/payments/pix/{payment['id']}")
    expect(page.locator("[data-local-clock] time")).to_have_text(f"{deadline:%H:%M}")


def test_when_it_was_paid_is_told_in_the_viewers_zone(service, new_context):
    """With its offset: a receipt may be shown to somebody elsewhere."""
    payment = service.create()
    assert service.tell(payment)[0] == 200
    page = new_context(timezone_id=TOKYO).new_page()
    page.goto(service.url + PAGE)
    page.locator("[name=qr_data]").fill(payment["pix_code"])
    page.get_by_role("button", name="Procurar pagamento").click()
    expect(page.locator("[data-result] time").first).to_contain_text("(UTC+09:00)")
