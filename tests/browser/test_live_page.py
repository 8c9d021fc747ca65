"""The page keeps to the server's state, whatever happens to socket, network, tab and clock."""

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
    shows,
    state_line,
)

RETURN_SECONDS = 1.0
BLOCKED_SECONDS = 6.0
SPARE_SECONDS = 1.0  # for a machine that runs other tests beside this one

NO_SOCKET = "Sem conexão ao vivo; conferimos a cada 5 s"

# What a browser does when the shopper comes back; each is dispatched as the browser would.
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
    """The phone suspended the tab while Bob was in his bank's app, and the socket died in silence.

    The poller's first turn comes after four seconds, so within one only the return can do it.
    """
    payment = service.create()
    bob = visit()
    line = Lifeline().attach(bob.page)
    page = bob.watch(payment)
    line.cut()
    assert service.tell(payment)[0] == 200
    page.wait_for_timeout(300)
    assert bob.diary() == [WAITING], "the socket is dead, so nothing was heard"
    returned = time.time()
    page.evaluate(RETURNS[event])
    shows(page, CONFIRMED)
    took = bob.painted_at(CONFIRMED) - returned
    record_property("return_ms", round(took * 1000))
    assert took < RETURN_SECONDS + SPARE_SECONDS
    assert bob.loads == [page.url]


def test_a_frozen_tab_shows_the_payment_at_once_when_it_thaws(visit, service):
    """Chromium's own page life cycle: frozen, no script runs; then active again."""
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
    returned = time.time()
    page.evaluate(RETURNS["visibilitychange"])
    shows(page, CONFIRMED)
    assert bob.painted_at(CONFIRMED) - returned < RETURN_SECONDS + SPARE_SECONDS


def test_a_dead_socket_is_replaced_after_the_return(visit, service):
    """A confirmation that comes later must be heard again at once, not by the poller."""
    payment = service.create()
    bob = visit()
    line = Lifeline().attach(bob.page)
    page = bob.watch(payment)
    line.cut()
    bob.heard.clear()
    # Unanswered for four seconds, the old socket is given up.
    with page.expect_websocket(timeout=10_000):
        page.evaluate(RETURNS["visibilitychange"])
    until = time.monotonic() + 5
    while not any(frame.startswith("43") for frame in bob.heard) and time.monotonic() < until:
        page.wait_for_timeout(50)
    page.route("**/status", lambda route: route.abort())
    assert service.tell(payment)[0] == 200
    shows(page, CONFIRMED)


def test_with_sockets_blocked_the_page_still_notices_within_six_seconds(
    visit, service, record_property
):
    """A company's network lets plain requests through and nothing else."""
    payment = service.create()
    bob = visit()
    block_sockets(bob.page)
    page = bob.open(f"/payments/pix/{payment['id']}")
    expect(state_line(page)).to_have_text(NO_SOCKET, timeout=10_000)
    with page.expect_response("**/status"):
        pass  # the longest wait begins when a question was just answered
    told = time.time()
    assert service.tell(payment)[0] == 200
    shows(page, CONFIRMED, seconds=10)
    took = time.time() - told
    record_property("sockets_blocked_ms", round(took * 1000))
    assert took < BLOCKED_SECONDS + SPARE_SECONDS
    assert bob.loads == [page.url]


def test_without_the_socket_library_the_page_still_notices(visit, service):
    """A script that did not load must not take the page with it."""
    payment = service.create()
    bob = visit()
    bob.page.route("**/*.esm.min.js*", lambda route: route.abort())
    page = bob.open(f"/payments/pix/{payment['id']}")
    expect(state_line(page)).to_have_text(NO_SOCKET, timeout=10_000)
    assert service.tell(payment)[0] == 200
    shows(page, CONFIRMED, seconds=10)


@pytest.mark.parametrize("failure", ["500", "no network", "not JSON"])
def test_a_failed_poll_does_not_stop_the_poller(visit, service, failure):
    """Elsewhere the fallback stops for ever after one failed request, and nobody notices."""
    payment = service.create()
    failed: list[str] = []

    def answer(route: Route) -> None:
        if failed:
            route.continue_()
            return
        failed.append(route.request.url)
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
    shows(page, WAITING)
    page.wait_for_timeout(300)
    page.evaluate(RETURNS["focus"])
    page.wait_for_timeout(300)
    assert failed, "the first question was asked, and failed"
    assert service.tell(payment)[0] == 200
    shows(page, CONFIRMED, seconds=6)
    assert [text for text in bob.complaints if text.startswith("threw")] == []


def test_two_failures_in_a_row_are_said_and_taken_back(visit, service):
    """One lost request is nobody's business; a service that is away is told as it is."""
    payment = service.create()
    away = [True]
    bob = visit()
    block_sockets(bob.page)
    bob.page.route(
        "**/status", lambda route: route.fulfill(status=503) if away else route.continue_()
    )
    page = bob.open(f"/payments/pix/{payment['id']}")
    page.wait_for_timeout(300)
    page.evaluate(RETURNS["focus"])
    expect(state_line(page)).to_contain_text("O serviço não respondeu", timeout=10_000)
    away.clear()
    expect(state_line(page)).to_have_text(NO_SOCKET, timeout=10_000)
    shows(page, WAITING)


def test_offline_is_said_and_the_return_shows_the_payment(visit, service):
    """In a lift: the code stays valid, and the page says until when."""
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
    back = time.time()
    page.context.set_offline(False)
    shows(page, CONFIRMED)
    assert bob.painted_at(CONFIRMED) - back < RETURN_SECONDS + SPARE_SECONDS
    expect(state_line(page)).to_have_text("Pago")
    assert bob.loads == [page.url]


@pytest.mark.parametrize("hours", [-1, 1], ids=["an-hour-slow", "an-hour-fast"])
def test_a_wrong_clock_in_the_browser_changes_nothing(visit, service, hours):
    """The server counts the time left; the page only goes on counting."""
    payment = service.create(expires_in=600)
    bob = visit()
    bob.page.add_init_script(f"""{{
      const Right = Date;
      window.Date = class extends Right {{
        constructor(...given) {{
          super(...(given.length > 0 ? given : [Right.now() + {hours * 3_600_000}]));
        }}
        static now() {{ return Right.now() + {hours * 3_600_000}; }}
      }};
    }}""")
    page = bob.watch(payment)
    wrong = page.evaluate("Date.now()") / 1000 - time.time()
    assert abs(wrong - hours * 3600) < 60
    page.wait_for_timeout(1500)
    minutes, seconds = page.locator("[data-countdown]").inner_text().split(":")
    left = service.payment(payment["id"])["remaining_ms"] / 1000
    assert abs(int(minutes) * 60 + int(seconds) - left) < 3
    assert bob.diary() == [WAITING]


def test_the_last_minutes_are_spoken_and_the_figure_does_not_jump(visit, service):
    """Whoever listens hears 10, 5 and 1 minutes, not every second."""
    payment = service.create(expires_in=66)  # a busy machine opens the page in time
    bob = visit()
    page = bob.watch(payment)
    timer = page.get_by_role("timer")
    width = timer.bounding_box()["width"]
    said = page.locator("#time-said")
    expect(said).to_have_text("")
    expect(said).to_have_text("Falta 1 minuto para pagar.", timeout=9_000)
    assert abs(timer.bounding_box()["width"] - width) < 1, "tabular figures keep their width"
    assert timer.get_attribute("aria-live") is None, "a timer is not read out second by second"


def test_the_shop_cancels_and_the_page_says_so(visit, service):
    """The shopper must not pay what the shop took back."""
    payment = service.create()
    bob = visit()
    page = bob.watch(payment)
    status, _, _ = service.request("POST", f"/payments/pix/{payment['id']}/cancel")
    assert status == 200
    shows(page, CANCELLED)
    expect(page.locator("#state")).to_contain_text("Se você pagou, o valor volta para a sua conta.")
    expect(page.locator("#pix-code")).to_have_count(0)
    assert bob.complaints == []


def test_money_that_came_too_late_is_said_on_the_expired_page(visit, service):
    """It goes back; nobody may be invited to pay the same code again."""
    payment = service.create(expires_in=10)
    bob = visit()
    page = bob.watch(payment)
    shows(page, EXPIRED, seconds=15)
    status, answer = service.tell(payment)
    assert (status, answer["code"]) == (409, "paid-too-late")
    shows(page, REFUSED, seconds=10)
    expect(page.locator("#state")).to_contain_text("Não pague este código de novo.")
    expect(page.get_by_role("button", name="Gerar novo código")).to_be_visible()
    assert bob.loads == [page.url]


def test_paid_in_time_and_told_late_turns_expired_into_confirmed(visit, service):
    """The bank could not reach us until after the deadline: the money was in time, so it counts."""
    payment = service.create(expires_in=10)
    paid_at = rfc3339(SystemClock().now() + timedelta(seconds=1))
    bob = visit()
    page = bob.watch(payment)
    shows(page, EXPIRED, seconds=15)
    assert service.tell(payment, paid_at=paid_at)[0] == 200
    shows(page, CONFIRMED)
    texts = bob.diary()
    assert texts[0] == WAITING
    assert texts[-2:] == [EXPIRED, CONFIRMED]
    assert set(texts) <= {WAITING, CHECKING, EXPIRED, CONFIRMED}
    assert bob.loads == [page.url]
