"""At 00:00: the page checks first, and only then says that the time is over."""

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
    heading,
    shows,
    state_line,
)
from tests.support.service import ServiceProcess


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A service whose sweep comes long after: at zero the page has nobody's hint but its own."""
    folder = tmp_path_factory.mktemp("unswept")
    with ServiceProcess(folder, SWEEP_INTERVAL_SECONDS=50) as running:
        yield running


def test_at_zero_the_page_checks_then_says_expired_and_offers_a_new_code(visit, service):
    """Never a failure that a later message can contradict: first the question, then the answer.

    Then one press leads to a new page for the same order, and what was not paid can be paid.
    """
    payment = service.create(expires_in=10, order_id="renew-1", value="31.40")
    bob = visit()
    page = bob.watch(payment)
    deadline = time.time() + service.payment(payment["id"])["remaining_ms"] / 1000
    shows(page, EXPIRED, seconds=15)
    assert bob.diary() == [WAITING, CHECKING, EXPIRED]
    late = bob.painted_at(EXPIRED) - deadline
    assert 0 <= late < 3
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
    shows(page, WAITING)
    renewed = service.payment(page.url.rsplit("/", 1)[-1])
    assert renewed["id"] != payment["id"]
    assert (renewed["order_id"], renewed["amount_centavos"]) == ("renew-1", 3140)
    expect(page.locator("#pix-code")).to_have_value(renewed["pix_code"])
    assert bob.complaints == []


def test_while_the_question_is_unanswered_at_zero_the_page_only_checks(visit, service):
    """Offline at the deadline, the page knows nothing, and must not pretend to."""
    payment = service.create(expires_in=10)
    bob = visit()
    block_sockets(bob.page)
    page = bob.open(f"/payments/pix/{payment['id']}")
    page.wait_for_timeout(300)
    bob.page.route("**/status", lambda route: route.abort())
    shows(page, CHECKING, seconds=15)
    page.wait_for_timeout(2500)
    assert heading(page).inner_text() == CHECKING
    page.unroute("**/status")
    shows(page, EXPIRED, seconds=10)


def test_paid_in_the_last_second_the_page_never_says_expired(visit, service):
    """The confirmation crosses the deadline on its way; elsewhere people then paid twice."""
    payment = service.create(expires_in=10)
    bob = visit()
    page = bob.watch(payment)
    left = service.payment(payment["id"])["remaining_ms"] / 1000
    time.sleep(max(left - 0.2, 0))
    assert service.tell(payment)[0] == 200
    shows(page, CONFIRMED)
    page.wait_for_timeout(1000)
    assert EXPIRED not in bob.diary()
    shows(page, CONFIRMED)
