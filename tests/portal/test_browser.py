"""The portal in Chromium: live, accessible, by keyboard, offline, and without JavaScript."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.visits import (
    DESKTOP,
    NARROW,
    PHONE,
    TRANSITIONS_ENDED,
    Visit,
    block_sockets,
    expect_no_lost_script,
    in_both_schemes,
    scrolls_sideways,
)
from tests.browser.visits import visitor as new_visitor
from tests.support.browser import axe_violations
from tests.support.service import ServiceProcess

PASSWORD = "the password of the demo shop"
SCHEMES = ["light", "dark"]


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """One service for the tests of this file, with the demo merchant."""
    folder = tmp_path_factory.mktemp("portal")
    with ServiceProcess(folder, DEMO_PASSWORD=PASSWORD) as running:
        yield running


@pytest.fixture(scope="module")
def payments(service):
    """Payments in every state, and a webhook whose server is away."""
    by_state = {
        "cancelled": service.create(value="28.90", order_id="FV-1"),
        "refused": service.create(value="62.00", description="Caneca"),
        "paid": service.create(value="54.90", description="Queijo meia cura", order_id="FV-2"),
        "open": service.create(value="18.50", description="Pão de fermentação lenta"),
    }
    header = {"Content-Type": "application/json"}
    webhook = json.dumps({"url": "http://127.0.0.1:9/" + "long-path/" * 20}).encode()
    by_state["webhook"] = json.loads(service.request("POST", "/webhooks", webhook, header)[1])
    service.request("POST", f"/payments/pix/{by_state['cancelled']['id']}/cancel")
    assert service.tell(by_state["refused"], value=1)[0] == 400
    assert service.tell(by_state["paid"])[0] == 200
    return by_state


@pytest.fixture(scope="module")
def cookies(service):
    """The cookies of one sign-in, which each test gives to its own browser."""
    body = json.dumps({"username": "demo", "password": PASSWORD}).encode()
    import urllib.request

    request = urllib.request.Request(
        service.url + "/api/login",
        data=body,
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        set_cookies = answer.headers.get_all("Set-Cookie")
    pairs = [cookie.split(";")[0].partition("=") for cookie in set_cookies]
    return [{"name": n, "value": v, "url": service.url} for n, _, v in pairs if v]


@pytest.fixture
def visit(new_context, service, cookies) -> Callable[..., Visit]:
    """A visit in which the demo merchant is signed in: visit(viewport=…, …) → Visit."""

    def begin(**look: Any) -> Visit:
        visit = new_visitor(new_context, service, **look)
        visit.page.context.add_cookies(cookies)
        return visit

    return begin


def open_live(visitor: Visit, path: str) -> Page:
    """Open a page, and wait until the socket watches the merchant."""
    with visitor.page.expect_websocket() as socket:
        visitor.open(path)
    if not any(frame.startswith("43") for frame in visitor.frames):
        socket.value.wait_for_event(
            "framereceived", predicate=lambda data: str(data).startswith("43")
        )
    assert any('"ok":true' in frame for frame in visitor.frames if frame.startswith("43"))
    return visitor.page


def places(payments) -> dict[str, str]:
    """Every page of the portal, in every state."""
    payment = "/portal/payments/"
    return {
        "home": "/portal",
        "list": "/portal/payments",
        "narrowed list": "/portal/payments?state=confirmed&q=queijo&from=2020-01-01",
        "empty list": "/portal/payments?q=nothing-of-the-kind",
        "open": payment + payments["open"]["id"],
        "paid": payment + payments["paid"]["id"],
        "cancelled": payment + payments["cancelled"]["id"],
        "refused": payment + payments["refused"]["id"],
        "just made": f"{payment}{payments['open']['id']}?done=created",
        "new": "/portal/payments/new",
        "counter": "/portal/counter",
        "poster": "/portal/poster",
        "poster with amount": "/portal/poster?value=25,00",
        "poster, wrong amount": "/portal/poster?value=x",
        "settings": "/portal/settings",
        "accounts at banks": "/portal/provider",
        "new account at a bank": "/portal/provider/new",
        "developers": "/portal/developers",
        "new client": "/portal/developers/clients/new",
        "new webhook": "/portal/developers/webhooks/new",
        "webhook": f"/portal/developers/webhooks/{payments['webhook']['id']}",
    }


def wait_for_text(service: ServiceProcess, path: str, text: str) -> None:
    """Wait until a page contains a text: the process caches a shop's account for two seconds."""
    limit = time.monotonic() + 10
    while text.encode() not in service.get(path, accept="text/html")[1]:
        assert time.monotonic() < limit, f"{text} is not in {path}"
        time.sleep(0.1)


def test_every_page_is_accessible_quiet_and_fits(visit, payments):
    """axe finds nothing: light on a desktop, dark on the narrowest phone, all folds open."""
    for scheme, look in zip(SCHEMES, (DESKTOP, NARROW), strict=True):
        visitor = visit(**look, color_scheme=scheme)
        for name, path in places(payments).items():
            page = visitor.open(path)
            expect(page.locator("h1")).to_be_visible()
            page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
            page.evaluate(TRANSITIONS_ENDED)
            assert axe_violations(page) == [], (name, scheme)
            if scheme == "dark":
                assert scrolls_sideways(page) == [], name
        assert visitor.foreign_requests == []
        complaints = [text for text in visitor.complaints if "status of 400" not in text]
        assert complaints == []


def test_forms_that_were_refused_are_accessible(visit, payments):
    """Each error belongs to its field; the fields keep their values."""
    visitor = visit(**PHONE)
    page = visitor.open("/portal/payments/new")
    page.get_by_label("Valor").fill("0")
    page.get_by_label("Descrição").fill("Queijo")
    page.get_by_role("button", name="Criar cobrança").click()
    expect(page.get_by_label("Valor")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Descrição")).to_have_value("Queijo")
    for scheme in in_both_schemes(page):
        assert axe_violations(page) == [], scheme
    page = visitor.open("/portal/settings")
    page.locator("#label").fill("Caixa")
    page.get_by_role("button", name="Criar chave").click()
    expect(page.get_by_text("Copie agora")).to_be_visible()
    for scheme in in_both_schemes(page):
        assert axe_violations(page) == [], scheme
    page.locator("#pix_key").fill("529.982.247-25")
    expect(page.locator("#key-kind")).to_have_text("É uma chave do tipo CPF: 529.982.247-25")
    page.locator("#pix_key").fill("529.982.247-24")
    expect(page.locator("#key-kind")).to_contain_text("confira os dígitos")
    for scheme in in_both_schemes(page):
        assert axe_violations(page) == [], scheme


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


def test_a_phone_shows_the_test_environment_the_counter_and_the_poster(visit, payments):
    """The foot of the side bar is hidden there, and the bar of a phone has room for six."""
    page = visit(**NARROW).open("/portal")
    expect(page.get_by_text("Ambiente de teste").locator("visible=true")).to_have_count(1)
    bar = page.get_by_role("navigation", name="Portal")
    expect(bar.get_by_role("link").locator("visible=true")).to_have_count(6)
    expect(page.get_by_role("main").get_by_role("link", name="Cartaz")).to_be_visible()
    menu = visit(**NARROW).open("/portal/payments")
    menu.get_by_text("Exportar").click()
    assert not scrolls_sideways(menu)
    box = menu.locator(".menu__list").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 320
    bar = menu.get_by_role("navigation", name="Portal")
    bar.get_by_role("link", name="Balcão").click()
    expect(bar.get_by_role("link", name="Balcão")).to_have_attribute("aria-current", "page")


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


def test_the_chart_is_drawn_and_says_its_days(visit, payments):
    """A day under the pointer shows its sum; a table has the same numbers."""
    visitor = visit(**DESKTOP)
    page = visitor.open("/portal")
    expect(page.locator("[data-chart][data-drawn] canvas")).to_be_visible()
    inked = page.evaluate("""() => {
      const canvas = document.querySelector("[data-chart] canvas");
      const { data } = canvas.getContext("2d")
        .getImageData(0, 0, canvas.width, canvas.height);
      let inked = 0;
      for (let i = 3; i < data.length; i += 4) if (data[i] > 200) inked += 1;
      return inked;
    }""")
    assert inked > 500
    box = page.locator("[data-chart] .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 12, box["y"] + 60)
    expect(page.locator(".chart__tip")).to_be_visible()
    total = page.locator("[data-takings]").inner_text()
    expect(page.locator(".chart__tip strong")).to_contain_text(total)
    page.get_by_text("Ver em tabela").click()
    expect(page.locator(".table tbody tr")).to_have_count(30)
    expect(page.locator(".table tbody tr").first).to_contain_text(total)
    assert visitor.complaints == []


def test_days_and_times_are_those_of_the_viewers_zone(visit, payments):
    """The page reloads for Tokyo's zone once, and not in a loop."""
    visitor = visit(**DESKTOP, timezone_id="Asia/Tokyo")
    page = visitor.open(f"/portal/payments/{payments['paid']['id']}")
    expect(page.locator(".portal")).to_have_attribute("data-zone", "Asia/Tokyo")
    expect(page.locator(".timeline time").first).to_contain_text("(UTC+09:00)")
    page.wait_for_timeout(500)
    assert len([url for url in visitor.loads if "/portal/" in url]) <= 2


def test_the_portal_works_by_keyboard(visit, payments):
    """From the skip link to a new payment, without a mouse and with a visible focus."""
    visitor = visit(**DESKTOP)
    page = visitor.open("/portal")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Nova cobrança")).to_be_focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_label("Valor")).to_be_focused()
    page.keyboard.type("12,34")
    page.keyboard.press("Enter")
    expect(page.locator(".one__amount")).to_have_text("R$\u00a012,34")
    page = visitor.open("/portal/payments")
    menu = page.get_by_text("Exportar")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="CSV", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="CSV", exact=True)).to_be_hidden()


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


def test_filters_survive_reload_and_back(visit, payments):
    """The URL carries the filters: reload, one payment, and back to the same list."""
    visitor = visit(**DESKTOP)
    page = visitor.open("/portal/payments")
    page.get_by_label("Procurar").fill("queijo")
    page.get_by_label("Situação").select_option("confirmed")
    page.get_by_role("button", name="Filtrar").click()
    expect(page.locator(".row-item").first).to_contain_text("Queijo meia cura")
    page.reload()
    expect(page.get_by_label("Procurar")).to_have_value("queijo")
    page.locator(".row").first.click()
    expect(page.locator(".one__title")).to_have_text("Queijo meia cura")
    page.go_back()
    expect(page.get_by_label("Situação")).to_have_value("confirmed")
    page.get_by_role("link", name="Limpar", exact=True).click()
    expect(page.get_by_label("Procurar")).to_have_value("")


def test_without_javascript_lists_and_forms_work(visit, payments):
    """Filters, a new payment and its cancellation; the figures, and the static chart."""
    visitor = visit(**PHONE, java_script_enabled=False)
    page = visitor.open("/portal")
    expect(page.locator(".chart__still")).to_be_visible()
    expect(page.locator(".row-item").first).to_be_visible()
    page = visitor.open("/portal/payments")
    page.get_by_label("Situação").select_option("confirmed")
    page.get_by_role("button", name="Filtrar").click()
    expect(page.locator(".row-item .mark").first).to_have_text("Pago")
    page = visitor.open("/portal/payments/new")
    page.get_by_label("Valor").fill("3,21")
    page.get_by_role("button", name="Criar cobrança").click()
    expect(page.locator(".one__amount")).to_have_text("R$\u00a03,21")
    page.get_by_role("button", name="Cancelar cobrança").click()
    expect(page.get_by_role("heading", name="Cancelar a cobrança de R$\u00a03,21?")).to_be_visible()
    assert axe_violations(page) == []
    page.get_by_role("button", name="Sim, cancelar a cobrança").click()
    expect(page.get_by_text("Cobrança cancelada.").first).to_be_visible()
    assert axe_violations(page) == []


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


@pytest.mark.parametrize("color", ["ffd400", "000000", "ffffff"])
def test_a_shops_colour_keeps_the_payment_page_readable(visit, new_context, service, color):
    """axe finds nothing with yellow, black or white, light or dark, and the button has it."""
    visitor = visit(**DESKTOP)
    page = visitor.open("/portal/settings")
    page.locator("#brand_color").fill(f"#{color}")
    page.get_by_role("button", name="Salvar").click()
    expect(page.get_by_text("Salvo.")).to_be_visible()
    path = f"/payments/pix/{service.create(value='5.00')['id']}"
    wait_for_text(service, path, f'href="/brand/{color}.css"')
    page = new_visitor(new_context, service, **PHONE).open(path)
    assert page.locator(f'link[href="/brand/{color}.css"]').count() == 1
    own = "rgb({}, {}, {})".format(*bytes.fromhex(color))
    for scheme in in_both_schemes(page):
        assert axe_violations(page) == [], scheme
        expect(page.locator(".button--primary:visible").first).to_have_css("background-color", own)
    assert axe_violations(visitor.open("/portal")) == []


@pytest.mark.parametrize(("sent", "ratio"), [((400, 100), 4), ((300, 300), 1)])
def test_a_logo_is_drawn_whole(visit, new_context, service, payments, sent, ratio):
    """A wide logo is wide and at most 160 px, a square one square; nothing of either is cut."""
    picture = io.BytesIO()
    Image.new("RGB", sent, "#c80000").save(picture, format="PNG")
    visitor = visit(**DESKTOP)
    page = visitor.open("/portal/settings")
    upload = {"name": "logo.png", "mimeType": "image/png", "buffer": picture.getvalue()}
    page.locator("#logo-file").set_input_files([upload])
    page.get_by_role("button", name="Enviar logo").click()
    expect(page.get_by_text("Salvo.")).to_be_visible()
    open_payment, paid = (f"/payments/pix/{payments[one]['id']}" for one in ("open", "paid"))
    wait_for_text(service, open_payment, 'src="/logos/')
    shopper = new_visitor(new_context, service, **PHONE)
    try:
        for visited, path, logo in (
            (shopper, open_payment, ".merchant__logo"),
            (shopper, f"{paid}/receipt", ".merchant__logo"),
            (visitor, "/portal/settings", ".side__logo"),
            (visitor, "/portal/settings", ".logo-room__now"),
            (visitor, "/portal/poster", ".poster__logo"),
            (visitor, "/portal/counter", ".side__logo"),
        ):
            image = visited.open(path).locator(logo)
            image.evaluate("image => image.decode()")
            expect(image).to_have_css("object-fit", "contain")
            width, height = image.evaluate("image => [image.offsetWidth, image.offsetHeight]")
            assert width == min(160, height * ratio), (path, logo)
            assert not scrolls_sideways(visited.page), path
    finally:
        page = visitor.open("/portal/settings")
        page.get_by_role("button", name="Tirar a logo").click()
        page.get_by_role("button", name="Sim, tirar a logo").click()
        expect(page.get_by_text("Salvo.")).to_be_visible()


def test_a_new_key_is_what_a_phone_shows_first(visit, service):
    """The key is shown once: on the first screen, with the focus, and a tap copies it."""
    visitor = visit(**PHONE)
    page = visitor.open("/portal/settings")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#label").fill("Site")
    page.get_by_role("button", name="Criar chave").click()
    field = page.get_by_label("Chave de API", exact=True)
    expect(field).to_be_focused()
    expect(field).to_be_in_viewport(ratio=1)
    copy = page.locator('[data-copy="made-key"]')
    expect(copy).to_be_in_viewport(ratio=1)
    copy.click()
    expect(copy).to_contain_text("Copiado")
    assert page.evaluate("navigator.clipboard.readText()") == field.input_value() != ""
    assert axe_violations(page) == []
    assert visitor.complaints == []


def test_the_poster_prints_on_one_a5(visit, payments):
    """One sheet of paper, exactly A5."""
    import base64

    visitor = visit(**DESKTOP)
    page = visitor.open("/portal/poster?value=25,00")
    session = page.context.new_cdp_session(page)
    answer = session.send("Page.printToPDF", {"preferCSSPageSize": True})
    paper = base64.b64decode(answer["data"])
    assert paper.count(b"/Type /Page\n") == 1
    box = re.search(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", paper)
    assert box is not None
    width, height = float(box[1]), float(box[2])
    assert (round(width), round(height)) == (420, 595)  # points: 148 × 210 mm


def test_the_library_of_the_chart_waits_until_the_page_has_loaded(visit, payments):
    """On a phone its 51 kB held the page; until it has come, the static chart shows the days."""
    visitor = visit(**PHONE)
    page = visitor.page
    page.route(re.compile(r"/uPlot\.iife"), lambda route: route.abort())
    visitor.open("/portal")
    expect(page.locator(".chart__still")).to_be_visible()
    expect(page.locator("#lost-script")).to_be_hidden()
    page.unroute_all()
    page.reload()
    expect(page.locator("[data-chart][data-drawn] canvas")).to_be_visible()
    requested_at, loaded_at = page.evaluate("""() => {
      const files = performance.getEntriesByType("resource");
      const library = files.find((file) => file.name.includes("uPlot.iife"));
      const [visit] = performance.getEntriesByType("navigation");
      return [library.startTime, visit.loadEventStart];
    }""")
    assert requested_at >= loaded_at > 0


def test_the_service_logged_no_traceback(service: ServiceProcess):
    """After all these pages, the service's log has no traceback."""
    assert "Traceback" not in service.log()


@pytest.mark.parametrize("script", ["forms.js", "zone.js", "chart.js", "copy_code.js"])
def test_a_lost_side_script_of_the_portal_takes_nothing_live_with_it(visit, service, script):
    """A merchant at the counter waits for the word *Pago*, whatever a blocker took."""
    payment = service.create(value="31.00", description="Rapadura")
    alice = visit(viewport=DESKTOP["viewport"])
    alice.page.route(re.compile(rf"/{re.escape(script)}"), lambda route: route.abort())
    page = open_live(alice, "/portal")
    row = page.locator(f"[data-payment-id='{payment['id']}']")
    expect(row).to_be_visible()
    assert service.tell(payment)[0] == 200
    expect(row).to_have_attribute("data-mark", "confirmed")
    expect(page.locator("#lost-script")).to_be_hidden()
    if script != "zone.js":
        expect(row.locator("time[data-time]").first).not_to_contain_text("UTC")


@pytest.mark.parametrize("script", ["portal.js", "live.js", "merchant_socket.js"])
def test_a_portal_without_its_main_script_says_so(visit, script):
    """Figures that stand still look like a day without sales."""
    alice = visit(viewport=DESKTOP["viewport"])
    alice.page.route(re.compile(rf"/{re.escape(script)}"), lambda route: route.abort())
    page = alice.open("/portal")
    expect(page.locator("#lost-script")).to_be_visible()
    expect(page.locator("[data-chart]")).to_have_attribute("data-drawn", "")


@pytest.mark.parametrize(
    ("script", "is_said"), [("counter.js", True), ("live.js", False), ("forms.js", False)]
)
def test_the_counter_says_whether_its_own_script_is_lost(visit, script, is_said):
    """Without it the QR on the counter never turns to *Pago*."""
    alice = visit(viewport=DESKTOP["viewport"])
    alice.page.route(re.compile(rf"/{re.escape(script)}"), lambda route: route.abort())
    page = alice.open("/portal/counter")
    if is_said:
        expect(page.locator("#lost-script")).to_be_visible()
    else:
        expect_no_lost_script(page)


def test_the_preview_follows_name_colour_and_logo(visit):
    """A merchant sees the look before it is saved; on the narrowest phone nothing sticks out."""
    alice = visit(**NARROW)
    page = alice.open("/portal/settings")
    preview = page.locator("[data-preview]")
    button = preview.locator("[data-preview-button]")
    ink = preview.locator("[data-preview-ink]")
    for color, text in (("#ffee00", "#000000"), ("#330066", "#ffffff")):
        page.locator("#brand_color").fill(color)
        expect(button).to_have_attribute("fill", color)
        expect(ink).to_have_attribute("fill", text)
    page.locator("#name").fill("Queijaria-da-Alice-e-dos-seus-sete-filhos")
    expect(preview).to_contain_text("Queijaria-da-Alice-e-dos-seus-sete-filhos")
    page.locator("#logo-file").set_input_files(
        {"name": "logo.png", "mimeType": "image/png", "buffer": page.screenshot()}
    )
    expect(preview.locator("img")).to_have_attribute("src", re.compile("^data:image/png"))
    expect(preview.locator("img")).to_be_visible()
    assert scrolls_sideways(page) == []
    page.get_by_role("navigation", name="Seções").get_by_role("link", name="Aparência").click()
    link = page.locator(".jump a[href='#look']")
    assert link.evaluate("link => getComputedStyle(link).fontWeight") == "650"
    assert alice.complaints == []


def test_the_preview_shows_what_is_saved_without_javascript(visit, service):
    """The server draws it, without the script that follows the fields."""
    page = visit(java_script_enabled=False, **PHONE).open("/portal/settings")
    expect(page.locator("[data-preview-name]")).to_have_text(page.locator("#name").input_value())
    expect(page.locator("[data-preview-button]")).to_have_attribute(
        "fill", page.locator("#brand_color").input_value()
    )
