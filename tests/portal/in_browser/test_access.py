"""The portal's pages in Chromium: for every eye, size, keyboard, time zone, and on paper."""

from __future__ import annotations

import base64
import re

from playwright.sync_api import expect

from tests.browser.visits import (
    DESKTOP,
    END_TRANSITIONS,
    NARROW,
    PHONE,
    in_both_schemes,
    scrolls_sideways,
)
from tests.portal.in_browser.opening import places
from tests.support.browser import axe_violations

SCHEMES = ["light", "dark"]


def test_every_page_is_accessible_quiet_and_fits(visit, payments):
    """axe finds nothing: light on a desktop, dark on the narrowest phone, all folds open."""
    for scheme, look in zip(SCHEMES, (DESKTOP, NARROW), strict=True):
        visitor = visit(**look, color_scheme=scheme)
        for name, path in places(payments).items():
            page = visitor.open(path)
            expect(page.locator("h1")).to_be_visible()
            page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
            page.evaluate(END_TRANSITIONS)
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


def test_the_poster_prints_on_one_a5(visit, payments):
    """One sheet of paper, exactly A5."""
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
