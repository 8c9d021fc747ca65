"""The deadline on the page, and the test strip after the payment turned."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from playwright.sync_api import expect

from tests.browser.visits import CONFIRMED, PHONE, WAITING, expect_heading, state_line

COLOR = "element => getComputedStyle(element).color"


def test_the_day_of_the_deadline_is_the_viewers(visit, service):
    """A shopper in Tokyo has another *tomorrow* than the shop."""
    tokyo = ZoneInfo("Asia/Tokyo")
    now = datetime.now(tokyo)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    left = int((midnight - now).total_seconds())
    page = visit(timezone_id="Asia/Tokyo").open(
        f"/payments/pix/{service.create(expires_in=left + 3600)['id']}"
    )
    expect(page.locator("[data-deadline-time]")).to_contain_text("amanhã às 0")
    page = visit(timezone_id="Asia/Tokyo").open(
        f"/payments/pix/{service.create(expires_in=left + 30 * 3600)['id']}"
    )
    expect(page.locator("[data-deadline-time]")).to_contain_text("às 0")
    expect(page.locator("[data-deadline-time]")).not_to_contain_text("amanhã")


def test_the_state_line_turns_red_in_the_last_minute(visit, service):
    """A green line beside ten seconds says that there is time."""
    payment = service.create(expires_in=62)
    page = visit(**PHONE).watch(payment)
    expect_heading(page, WAITING)
    expect(page.locator("[data-deadline]")).to_be_in_viewport()
    expect(page.locator("[data-deadline]")).to_have_class("deadline deadline--near deadline--last")
    red = page.locator("[data-deadline]").evaluate(COLOR)
    assert red == page.evaluate(
        """() => {
          const probe = document.createElement("i");
          probe.style.color = "var(--bad)";
          document.body.append(probe);
          return getComputedStyle(probe).color;
        }"""
    )
    assert state_line(page).evaluate(COLOR) == red


def test_the_tools_go_when_the_payment_turns_and_the_strip_still_says_test(visit, service):
    """The tools covered *Ver recibo* until a reload."""
    payment = service.create()
    page = visit(**PHONE).watch(payment)
    tools = page.locator(".test-strip__tools")
    expect(tools).to_be_visible()
    assert service.tell(payment)[0] == 200
    expect_heading(page, CONFIRMED)
    expect(tools).to_be_hidden()
    for _ in range(2):
        expect(page.locator(".test-strip__label")).to_be_visible()
        page.reload()
