"""The portal in Chromium, live: what happens appears at once, and an outage is announced."""

from __future__ import annotations

import time

from playwright.sync_api import expect

from tests.browser.visits import DESKTOP, PHONE, block_sockets
from tests.browser.visits import visitor as new_visitor
from tests.portal.in_browser.opening import open_live
from tests.support.browser import axe_violations
from tests.support.service import ServiceProcess


def test_a_row_turns_paid_without_a_reload(visit, service, payments):
    """When money arrives, the row, the figures and the screen reader's line change at once."""
    payment = service.create(value="77.70", description="Mel silvestre")
    visitor = visit(**DESKTOP)
    page = open_live(visitor, "/portal")
    row = page.locator(f'[data-payment-id="{payment["id"]}"]')
    expect(row).to_contain_text("Aguardando")
    before = page.locator("[data-takings]").inner_text()
    loads = len(visitor.loads)
    page.evaluate("() => { window.isSamePage = true; }")
    started = time.monotonic()
    assert service.tell(payment)[0] == 200
    expect(row).to_contain_text("Pago", timeout=3000)
    seconds = time.monotonic() - started
    expect(page.locator("[data-takings]")).not_to_have_text(before, timeout=4000)
    expect(page.locator("#said")).to_have_text("Pago: R$\u00a077,70")
    assert seconds < 2, seconds
    assert page.evaluate("window.isSamePage") is True
    assert len(visitor.loads) == loads
    assert visitor.complaints == []


def test_a_new_payment_appears_on_top_and_filters_keep_others_out(visit, service, payments):
    """A list without filters shows new payments; a list with filters only matching ones."""
    unfiltered, filtered = visit(**DESKTOP), visit(**DESKTOP)
    page = open_live(unfiltered, "/portal/payments")
    other = open_live(filtered, "/portal/payments?state=cancelled")
    rows = other.locator(".row-item").count()
    payment = service.create(value="31.00", description="Doce de leite")
    assert service.tell(payment)[0] == 200
    expect(page.locator(".row-item").first).to_contain_text("Doce de leite", timeout=4000)
    other.wait_for_timeout(600)
    assert other.locator(".row-item").count() == rows


def test_money_alarms_in_the_title_until_the_tab_is_looked_at(visit, service, payments):
    """A shopkeeper in another tab sees that money came; a sound only if it was asked for."""
    visitor = visit(**DESKTOP)
    page = open_live(visitor, "/portal")
    title = page.title()
    page.evaluate("""() => {
        window.state = "hidden"; window.tones = 0;
        Object.defineProperty(document, "visibilityState", { get: () => window.state });
        AudioContext.prototype.createOscillator = new Proxy(
            AudioContext.prototype.createOscillator,
            { apply: (f, self) => { window.tones += 1; return Reflect.apply(f, self, []); } });
    }""")
    assert service.tell(service.create(value="8.80", description="Pão"))[0] == 200
    expect(page).to_have_title(f"(1) Pago: R$\u00a08,80 · {title}", timeout=4000)
    assert page.evaluate("window.tones") == 0
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page).to_have_title(f"(1) Pago: R$\u00a08,80 · {title}")

    page.get_by_role("button", name="Som: desligado").click()
    expect(page.get_by_role("button", name="Som: ligado")).to_have_attribute("aria-pressed", "true")
    before = page.evaluate("window.tones")
    assert service.tell(service.create(value="9.90", description="Pão"))[0] == 200
    expect(page).to_have_title(f"(2) Pago: R$\u00a09,90 · {title}", timeout=4000)
    assert page.evaluate("window.tones") > before

    page.evaluate("window.state = 'visible'; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page).to_have_title(title)
    assert visitor.complaints == []


def test_created_is_taken_back_when_the_payment_is_paid(visit, service):
    """*Cobrança criada, mostre o QR* stood above *Pago*."""
    payment = service.create(value="12.00")
    page = open_live(visit(**PHONE), f"/portal/payments/{payment['id']}?done=created")
    expect(page.get_by_text("Cobrança criada. Mostre o QR")).to_be_visible()
    assert service.tell(payment)[0] == 200
    expect(page.locator(".one__head .mark")).to_have_text("Pago", timeout=4000)
    expect(page.get_by_text("Cobrança criada. Mostre o QR")).to_have_count(0)


def test_one_payments_page_turns_paid_while_it_is_open(visit, service):
    """The QR disappears and the timeline grows, without a reload."""
    payment = service.create(value="12.00", description="Café")
    visitor = visit(**PHONE)
    page = open_live(visitor, f"/portal/payments/{payment['id']}")
    expect(page.get_by_text("Mostre ou envie ao pagador")).to_be_visible()
    assert service.tell(payment)[0] == 200
    expect(page.locator(".one__head .mark")).to_have_text("Pago", timeout=4000)
    expect(page.get_by_text("Pagamento confirmado")).to_be_visible()
    expect(page.get_by_text("Mostre ou envie ao pagador")).to_have_count(0)
    assert visitor.complaints == []


def test_another_merchants_portal_hears_nothing(new_context, service, payments):
    """Charlie's socket gets no events of the demo merchant."""
    charlie = new_visitor(new_context, service, **DESKTOP)
    page = charlie.open("/signup")
    page.locator("input[name=username]").fill("charlie")
    page.locator("input[name=password]").fill("charlie's long password")
    page.locator("form button[type=submit]").last.click()
    page.wait_for_url(service.url + "/portal**")
    expect(page.locator("[data-live]")).to_be_visible()
    charlie.frames.clear()
    page = open_live(charlie, "/portal/payments")
    charlie.frames.clear()
    payment = service.create(value="9.00")
    assert service.tell(payment)[0] == 200
    page.wait_for_timeout(700)
    assert [frame for frame in charlie.frames if "payment" in frame] == []
    expect(page.locator(".row-item")).to_have_count(0)


def test_offline_is_announced_and_changes_appear_afterwards(visit, service, payments):
    """A banner while there is no network; then the changes appear."""
    payment = service.create(value="45.00", description="Enquanto offline")
    visitor = visit(**PHONE)
    page = open_live(visitor, "/portal/payments")
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_be_visible()
    expect(page.locator("#connection")).to_contain_text("Você está sem internet")
    assert axe_violations(page) == []
    assert service.tell(payment)[0] == 200
    page.context.set_offline(False)
    row = page.locator(f'[data-payment-id="{payment["id"]}"]')
    expect(row).to_contain_text("Pago", timeout=8000)
    expect(page.locator("#connection")).to_be_hidden()


def test_without_sockets_the_list_polls_every_ten_seconds(visit, service, payments):
    """A firewall that blocks sockets only delays a row."""
    payment = service.create(value="46.00")
    visitor = visit(**DESKTOP)
    visitor.page.clock.install()
    block_sockets(visitor.page)
    page = visitor.open("/portal/payments")
    row = page.locator(f'[data-payment-id="{payment["id"]}"]')
    expect(row).to_contain_text("Aguardando")
    assert service.tell(payment)[0] == 200
    page.clock.fast_forward(11_000)  # ten seconds, and at most a tenth more
    expect(row).to_contain_text("Pago")


def test_an_ended_session_is_announced(visit, service, payments):
    """An open page says that the session ended."""
    visitor = visit(**DESKTOP)
    page = open_live(visitor, "/portal/payments")
    page.context.clear_cookies()
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(page.locator("#connection")).to_contain_text("Sua sessão terminou")


def test_the_payment_page_reports_its_traces(visit, new_context, service):
    """When a shopper opens the page and copies the code, the timeline shows both."""
    payment = service.create(value="5.00")
    shopper = new_visitor(new_context, service, **DESKTOP)
    shopper.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = shopper.open(f"/payments/pix/{payment['id']}")
    with page.expect_request("**/trace"):
        page.locator("[data-copy]:visible").first.click()
    page.wait_for_timeout(300)
    assert shopper.complaints == []
    page = visit(**DESKTOP).open(f"/portal/payments/{payment['id']}")
    expect(page.locator(".timeline")).to_contain_text("Página de pagamento aberta")
    expect(page.locator(".timeline")).to_contain_text("Código Pix copiado")


def test_the_service_logged_no_traceback(service: ServiceProcess):
    """After all these pages, the service's log has no traceback."""
    assert "Traceback" not in service.log()
