"""At 00:00 the page first checks, and only then says that the payment has expired."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from tests.browser.visits import (
    CHECKING,
    CONFIRMED,
    EXPIRED,
    WAITING,
    block_sockets,
    expect_heading,
    heading,
    state_line,
)
from tests.support.service import ServiceProcess


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service that sweeps late, so that at zero the page gets no event."""
    folder = tmp_path_factory.mktemp("unswept")
    with ServiceProcess(folder, SWEEP_INTERVAL_SECONDS=50) as running:
        yield running


def test_at_zero_the_page_checks_then_says_expired_and_offers_a_new_code(visit, service):
    """The page must not say expired before the server does.

    Then one button leads to a new payment for the same order.
    """
    payment = service.create(expires_in=10, order_id="renew-1", value="31.40")
    bob = visit()
    page = bob.watch(payment)
    deadline = time.time() + service.payment(payment["id"])["remaining_ms"] / 1000
    expect_heading(page, EXPIRED, seconds=15)
    assert bob.diary() == [WAITING, CHECKING, EXPIRED]
    delay = bob.painted_at(EXPIRED) - deadline
    assert 0 <= delay < 3
    expect(state_line(page)).to_have_text("Prazo encerrado")
    expect(heading(page)).to_be_focused()
    expect(page).to_have_title(f"{EXPIRED} · Feira da Vila")
    state = page.locator("#state")
    expect(state).to_contain_text("Nada foi cobrado até agora. Se você já pagou, não pague de novo")
    for name in ("Gerar novo código", "Já paguei"):
        expect(state.get_by_role("button", name=name)).to_be_visible()
    expect(state.get_by_role("link", name="Falar com a loja")).to_be_visible()
    expect(page.locator("#pix-code")).to_have_count(0)
    assert bob.loads == [page.url]

    state.get_by_role("button", name="Gerar novo código").click()
    expect_heading(page, WAITING)
    renewal = service.payment(page.url.rsplit("/", 1)[-1])
    assert renewal["id"] != payment["id"]
    assert (renewal["order_id"], renewal["amount_centavos"]) == ("renew-1", 3140)
    expect(page.locator("#pix-code")).to_have_value(renewal["pix_code"])
    assert bob.complaints == []


def test_without_an_answer_at_zero_the_page_only_checks(visit, service):
    """Offline at the deadline, the page cannot know the payment's state."""
    payment = service.create(expires_in=10)
    bob = visit()
    block_sockets(bob.page)
    page = bob.open(f"/payments/pix/{payment['id']}")
    page.wait_for_timeout(300)
    bob.page.route("**/status", lambda route: route.abort())
    expect_heading(page, CHECKING, seconds=15)
    page.wait_for_timeout(2500)
    assert heading(page).inner_text() == CHECKING
    page.unroute("**/status")
    expect_heading(page, EXPIRED, seconds=10)


def test_paid_in_the_last_second_the_page_never_says_expired(visit, service):
    """The confirmation arrives after the deadline; a page that said expired would be paid twice."""
    payment = service.create(expires_in=10)
    bob = visit()
    page = bob.watch(payment)
    seconds_left = service.payment(payment["id"])["remaining_ms"] / 1000
    time.sleep(max(seconds_left - 0.2, 0))
    assert service.tell(payment)[0] == 200
    expect_heading(page, CONFIRMED)
    page.wait_for_timeout(1000)
    assert EXPIRED not in bob.diary()
    expect_heading(page, CONFIRMED)
