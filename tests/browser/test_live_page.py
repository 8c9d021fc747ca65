"""The page follows the server's state despite problems of socket, network, tab and clock."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from playwright.sync_api import Route, expect

from core.clock import SystemClock, rfc3339
from tests.browser.visits import (
    CANCELLED,
    CHECKING,
    CONFIRMED,
    EXPIRED,
    REFUSED,
    WAITING,
    Lifeline,
    block_sockets,
    expect_heading,
    state_line,
)
from tests.support.deadlines import bring_forward

RETURN_SECONDS = 1.0
BLOCKED_SECONDS = 6.0
SPARE_SECONDS = 1.0  # for a machine that runs other tests beside this one

NO_SOCKET = "Sem conexão ao vivo; conferimos a cada 5 s"

# The events that a browser dispatches when the shopper comes back.
RETURNS = {
    "visibilitychange": "document.dispatchEvent(new Event('visibilitychange'))",
    "focus": "window.dispatchEvent(new Event('focus'))",
    "pageshow": "window.dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))",
    "online": "window.dispatchEvent(new Event('online'))",
}


@pytest.mark.parametrize("event", RETURNS)
def test_coming_back_with_a_dead_socket_shows_the_payment_at_once(
    visit, service, event, record_property
):
    """The phone suspended the tab while Bob was in his bank's app, and the socket died silently.

    The poller first asks after four seconds, so within one second only the return can.
    """
    payment = service.create()
    bob = visit()
    line = Lifeline().attach(bob.page)
    page = bob.watch(payment)
    line.cut()
    assert service.tell(payment)[0] == 200
    page.wait_for_timeout(300)
    assert bob.diary() == [WAITING], "the socket is dead, so no event arrived"
    returned_at = time.time()
    page.evaluate(RETURNS[event])
    expect_heading(page, CONFIRMED)
    seconds = bob.painted_at(CONFIRMED) - returned_at
    record_property("return_ms", round(seconds * 1000))
    assert seconds < RETURN_SECONDS + SPARE_SECONDS
    assert bob.loads == [page.url]


def test_a_frozen_tab_shows_the_payment_at_once_when_it_thaws(visit, service):
    """A frozen page runs no scripts; then Chromium activates it again."""
    payment = service.create()
    bob = visit()
    line = Lifeline().attach(bob.page)
    page = bob.watch(payment)
    session = page.context.new_cdp_session(page)
    session.send("Page.setWebLifecycleState", {"state": "frozen"})
    line.cut()
    assert service.tell(payment)[0] == 200
    time.sleep(1)
    session.send("Page.setWebLifecycleState", {"state": "active"})
    returned_at = time.time()
    page.evaluate(RETURNS["visibilitychange"])
    expect_heading(page, CONFIRMED)
    assert bob.painted_at(CONFIRMED) - returned_at < RETURN_SECONDS + SPARE_SECONDS


def test_a_dead_socket_is_replaced_after_the_return(visit, service):
    """A later confirmation must arrive by the new socket, not by the poller."""
    payment = service.create()
    bob = visit()
    line = Lifeline().attach(bob.page)
    page = bob.watch(payment)
    line.cut()
    bob.frames.clear()
    # The page gives up the old socket after four seconds without an answer.
    with page.expect_websocket(timeout=10_000):
        page.evaluate(RETURNS["visibilitychange"])
    deadline = time.monotonic() + 5
    while not any(frame.startswith("43") for frame in bob.frames) and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    page.route("**/status", lambda route: route.abort())
    assert service.tell(payment)[0] == 200
    expect_heading(page, CONFIRMED)


def test_with_sockets_blocked_the_page_still_notices_within_six_seconds(
    visit, service, record_property
):
    """Some company networks allow only plain requests."""
    payment = service.create()
    bob = visit()
    block_sockets(bob.page)
    page = bob.open(f"/payments/pix/{payment['id']}")
    expect(state_line(page)).to_have_text(NO_SOCKET, timeout=10_000)
    with page.expect_response("**/status"):
        pass  # the longest wait begins right after an answer
    notified_at = time.time()
    assert service.tell(payment)[0] == 200
    expect_heading(page, CONFIRMED, seconds=10)
    seconds = time.time() - notified_at
    record_property("sockets_blocked_ms", round(seconds * 1000))
    assert seconds < BLOCKED_SECONDS + SPARE_SECONDS
    assert bob.loads == [page.url]


def test_without_the_socket_library_the_page_still_notices(visit, service):
    """A library that did not load must not break the page."""
    payment = service.create()
    bob = visit()
    bob.page.route("**/*.esm.min.js*", lambda route: route.abort())
    page = bob.open(f"/payments/pix/{payment['id']}")
    expect(state_line(page)).to_have_text(NO_SOCKET, timeout=10_000)
    assert service.tell(payment)[0] == 200
    expect_heading(page, CONFIRMED, seconds=10)


@pytest.mark.parametrize("failure", ["500", "no network", "not JSON"])
def test_a_failed_poll_does_not_stop_the_poller(visit, service, failure):
    """A fallback that stops after one failed request would go unnoticed."""
    payment = service.create()
    failed_urls: list[str] = []

    def answer(route: Route) -> None:
        if failed_urls:
            route.continue_()
            return
        failed_urls.append(route.request.url)
        if failure == "500":
            route.fulfill(status=500, body="{}")
        elif failure == "no network":
            route.abort("connectionreset")
        else:
            route.fulfill(status=200, body="<html>a captive portal</html>")

    bob = visit()
    block_sockets(bob.page)
    bob.page.route("**/status", answer)
    page = bob.open(f"/payments/pix/{payment['id']}")
    expect_heading(page, WAITING)
    page.wait_for_timeout(300)
    page.evaluate(RETURNS["focus"])
    deadline = time.monotonic() + 10
    while not failed_urls:
        assert time.monotonic() < deadline, "no request was sent"
        page.wait_for_timeout(50)
    page.wait_for_timeout(300)
    assert service.tell(payment)[0] == 200
    expect_heading(page, CONFIRMED, seconds=6)
    assert [text for text in bob.complaints if text.startswith("threw")] == []


def test_two_failures_in_a_row_are_announced_until_an_answer_comes(visit, service):
    """One lost request is not mentioned; an unreachable service is."""
    payment = service.create()
    outage = [True]
    bob = visit()
    block_sockets(bob.page)
    bob.page.route(
        "**/status", lambda route: route.fulfill(status=503) if outage else route.continue_()
    )
    page = bob.open(f"/payments/pix/{payment['id']}")
    page.wait_for_timeout(300)
    page.evaluate(RETURNS["focus"])
    expect(state_line(page)).to_contain_text("O serviço não respondeu", timeout=10_000)
    outage.clear()
    expect(state_line(page)).to_have_text(NO_SOCKET, timeout=10_000)
    expect_heading(page, WAITING)


def test_offline_is_announced_and_the_return_shows_the_payment(visit, service):
    """Offline, the page says until when the code is valid."""
    payment = service.create()
    bob = visit()
    page = bob.watch(payment)
    until = page.locator("[data-deadline-time]").inner_text()
    page.context.set_offline(True)
    offline = f"Você está sem internet. O código continua válido até {until}."
    expect(state_line(page)).to_have_text(offline)
    assert service.tell(payment)[0] == 200
    page.wait_for_timeout(500)
    assert bob.diary() == [WAITING]
    online_at = time.time()
    page.context.set_offline(False)
    expect_heading(page, CONFIRMED)
    assert bob.painted_at(CONFIRMED) - online_at < RETURN_SECONDS + SPARE_SECONDS
    expect(state_line(page)).to_have_text("Pago")
    assert bob.loads == [page.url]


@pytest.mark.parametrize("hours", [-1, 1], ids=["an-hour-slow", "an-hour-fast"])
def test_a_wrong_clock_in_the_browser_changes_nothing(visit, service, hours):
    """The page counts down from the server's time left, not from the clock."""
    payment = service.create(expires_in=600)
    bob = visit()
    bob.page.add_init_script(f"""{{
      const RealDate = Date;
      window.Date = class extends RealDate {{
        constructor(...args) {{
          super(...(args.length > 0 ? args : [RealDate.now() + {hours * 3_600_000}]));
        }}
        static now() {{ return RealDate.now() + {hours * 3_600_000}; }}
      }};
    }}""")
    page = bob.watch(payment)
    offset = page.evaluate("Date.now()") / 1000 - time.time()
    assert abs(offset - hours * 3600) < 60
    page.wait_for_timeout(1500)
    minutes, seconds = page.locator("[data-countdown]").inner_text().split(":")
    seconds_left = service.payment(payment["id"])["remaining_ms"] / 1000
    assert abs(int(minutes) * 60 + int(seconds) - seconds_left) < 3
    assert bob.diary() == [WAITING]


def test_the_last_minutes_are_announced_and_the_figure_does_not_move(visit, service):
    """Screen readers say 10, 5 and 1 minutes, not every second."""
    payment = service.create(expires_in=66)  # enough for a busy machine to open the page
    bob = visit()
    page = bob.watch(payment)
    timer = page.get_by_role("timer")
    width = timer.bounding_box()["width"]
    announcement = page.locator("#time-said")
    expect(announcement).to_have_text("")
    expect(announcement).to_have_text("Falta 1 minuto para pagar.", timeout=9_000)
    assert abs(timer.bounding_box()["width"] - width) < 1, "tabular figures keep their width"
    assert timer.get_attribute("aria-live") is None, "a timer is not read out second by second"


def test_the_shop_cancels_and_the_page_says_so(visit, service):
    """The shopper must not pay a cancelled payment."""
    payment = service.create()
    bob = visit()
    page = bob.watch(payment)
    status, _, _ = service.request("POST", f"/payments/pix/{payment['id']}/cancel")
    assert status == 200
    expect_heading(page, CANCELLED)
    expect(page.locator("#state")).to_contain_text("Se você pagou, o valor volta para a sua conta.")
    expect(page.locator("#pix-code")).to_have_count(0)
    assert bob.complaints == []


def test_the_expired_page_says_that_money_came_too_late(visit, service):
    """The money goes back; the page must not invite a second payment of this code."""
    payment = service.create()
    bring_forward(service, 4, payment)
    bob = visit()
    page = bob.watch(payment)
    expect_heading(page, EXPIRED, seconds=15)
    status, answer = service.tell(payment)
    assert (status, answer["code"]) == (409, "paid-too-late")
    expect_heading(page, REFUSED, seconds=10)
    expect(page.locator("#state")).to_contain_text("Não pague este código de novo.")
    expect(page.get_by_role("button", name="Gerar novo código")).to_be_visible()
    assert bob.loads == [page.url]


def test_a_late_notice_of_a_timely_payment_turns_expired_into_confirmed(visit, service):
    """The bank's notice came after the deadline, but the money was paid in time."""
    payment = service.create(expires_in=10)
    paid_at = rfc3339(SystemClock().now() + timedelta(seconds=1))
    bob = visit()
    page = bob.watch(payment)
    expect_heading(page, EXPIRED, seconds=15)
    assert service.tell(payment, paid_at=paid_at)[0] == 200
    expect_heading(page, CONFIRMED)
    texts = bob.diary()
    assert texts[0] == WAITING
    assert texts[-2:] == [EXPIRED, CONFIRMED]
    assert set(texts) <= {WAITING, CHECKING, EXPIRED, CONFIRMED}
    assert bob.loads == [page.url]
