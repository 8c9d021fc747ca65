"""The layout on narrow phones, phones and desktops, zoomed, in dark mode, and on paper."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.visits import (
    BOB,
    DESKTOP,
    NARROW,
    PHONE,
    ZOOMED,
    enter_bank,
    heading,
    in_both_schemes,
    pdf_pages,
    review_path,
    scrolls_sideways,
    texts_in,
)
from tests.support.slow_line import SlowLine

LOOKS = {"320px": NARROW, "phone": PHONE, "desktop": DESKTOP}
TARGET_PX = 48
QR_PX = 260
MARK_PX = 96
# The sum of layout shifts since the page began to load.
LAYOUT_SHIFT = """() => new Promise((done) => {
  let shift = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) shift += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(shift), 300);
})"""
A4 = {"paperWidth": 8.27, "paperHeight": 11.69}
TILL_ROLL = {"paperWidth": 3.15, "paperHeight": 11.69, "preferCSSPageSize": False}  # 80 mm wide


@pytest.fixture(scope="module")
def pending(service):
    """A pending payment, just younger than an hour: the countdown loses a digit at the hour."""
    return service.create(
        value="54.90", order_id="1042-look", description="Queijo meia cura, 500 g", expires_in=3590
    )


@pytest.fixture(scope="module")
def long_texts(service):
    """A payment with all texts at their maximum length, without spaces."""
    return service.create(
        value="9999999999.99", order_id="P" * 64, description="Q" * 140, expires_in=2_592_000
    )


@pytest.fixture(scope="module")
def paid(service):
    """A paid payment with long texts."""
    payment = service.create(value="1234567.89", order_id="R" * 64, description="S" * 140)
    assert service.tell(payment, payer=BOB)[0] == 200
    return payment


@pytest.mark.parametrize(
    ("look", "windows"),
    [(PHONE, (PHONE, NARROW)), (DESKTOP, (DESKTOP, ZOOMED))],
    ids=["phone-and-320px", "desktop-and-zoom-200"],
)
def test_nothing_scrolls_sideways(visit, service, pending, long_texts, paid, look, windows):
    """Sideways scrolling hides the amount or the button; a zoomed window is 320 px wide too."""
    bob = visit(**look)
    for path in (
        "/",
        "/shop/cart/queijo",
        f"/payments/pix/{pending['id']}",
        f"/payments/pix/{long_texts['id']}",
        f"/payments/pix/{paid['id']}",
        f"/payments/pix/{paid['id']}/receipt",
        f"/payments/pix/{'0' * 32}",
        "/bank/",
        review_path(pending),
        review_path(long_texts),
        "/docs",
        "/docs/errors",
        "/docs/routes",
    ):
        page = bob.open(path)
        if path.startswith("/bank"):
            enter_bank(page)
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        for window in windows:
            page.set_viewport_size(window["viewport"])
            assert scrolls_sideways(page) == [], (path, window)


def test_large_text_does_not_scroll_sideways(visit, pending):
    """A browser with text set to 200 % (WCAG 1.4.4)."""
    bob = visit(**PHONE)
    page = bob.open(f"/payments/pix/{pending['id']}")
    page.evaluate("document.documentElement.style.fontSize = '200%'; 0")
    assert scrolls_sideways(page) == []
    expect(page.get_by_role("button", name="Copiar código Pix")).to_be_visible()


@pytest.mark.parametrize("look", ["320px", "phone"])
def test_on_a_phone_the_copy_button_comes_first_and_fits_a_thumb(visit, pending, look):
    """A phone cannot scan its own screen, so the QR is folded and copying is one tap."""
    bob = visit(**LOOKS[look])
    page = bob.open(f"/payments/pix/{pending['id']}")
    copy = page.get_by_role("button", name="Copiar código Pix")
    box, window = copy.bounding_box(), page.viewport_size
    assert box["height"] >= TARGET_PX
    assert box["width"] > window["width"] * 0.75
    assert box["y"] + box["height"] < window["height"], "it is visible without scrolling"
    assert page.locator(".qr__image:visible").count() == 0
    focusable = page.locator("#state :is(a, button, input, summary):visible")
    assert focusable.first.inner_text().strip() == "Copiar código Pix"
    page.get_by_text("Pagar com outro aparelho").click()
    assert page.locator(".qr__image:visible").bounding_box()["width"] >= QR_PX


@pytest.mark.parametrize("look", ["320px", "phone"])
def test_on_a_phone_the_closed_fold_shows_a_small_qr(visit, pending, look):
    """A screenshot of the page must contain the code: below the copy button, black on white."""
    page = visit(**LOOKS[look]).open(f"/payments/pix/{pending['id']}")
    mark = page.locator(".fold .qr-mark")
    mark.evaluate("(image) => image.decode()")
    copy = page.get_by_role("button", name="Copiar código Pix").bounding_box()
    box = mark.bounding_box()
    assert (box["width"], box["height"]) == (MARK_PX, MARK_PX)
    assert box["y"] > copy["y"] + copy["height"]
    assert box["y"] + box["height"] < page.viewport_size["height"], "visible without scrolling"
    for scheme in in_both_schemes(page):
        pixels = Image.open(io.BytesIO(mark.screenshot())).convert("L")
        assert pixels.getpixel((4, pixels.height // 2)) == 255, f"a white quiet zone in {scheme}"
        assert texts_in(page.screenshot()) == [pending["pix_code"]], scheme

    page.get_by_text("Pagar com outro aparelho").click()
    expect(mark).to_be_hidden()
    expect(page.locator(".qr__image:visible")).to_have_count(1)


@pytest.mark.parametrize("look", ["320px", "phone", "desktop"])
def test_nothing_moves_while_the_page_loads(visit, pending, paid, look):
    """If a button moves, the finger hits something else."""
    bob = visit(**LOOKS[look])
    for payment in (pending, paid):
        page = bob.open(f"/payments/pix/{payment['id']}", wait_until="networkidle")
        assert page.evaluate(LAYOUT_SHIFT) == 0


@pytest.mark.parametrize("look", ["320px", "phone", "desktop"])
def test_nothing_moves_on_a_slow_line(new_context, service, pending, look):
    """What has come must not move when the rest of the page comes."""
    with SlowLine(service.port) as line:
        page = new_context(**LOOKS[look]).new_page()
        page.goto(f"{line.url}/payments/pix/{pending['id']}")
        assert line.pieces > 100
        expect(page.get_by_role("button", name="Copiar código Pix")).to_be_visible()
        assert page.evaluate(LAYOUT_SHIFT) == 0


@pytest.mark.parametrize("look", ["320px", "phone"])
def test_on_a_phone_every_control_fits_a_thumb(visit, pending, paid, look):
    """Touch targets need 48 px."""
    bob = visit(**LOOKS[look])
    for path in (f"/payments/pix/{pending['id']}", f"/payments/pix/{paid['id']}", "/"):
        page = bob.open(path)
        small = page.evaluate(
            """(min) => [...document.querySelectorAll(
            "a.button, button, summary, .page-footer a, .state__help a, .shop-head a")]
          .filter((control) => control.checkVisibility())
          .filter((control) => control.getBoundingClientRect().height < min - 0.5)
          .map((control) => control.outerHTML)""",
            TARGET_PX,
        )
        assert small == [], path


def test_on_a_desktop_the_qr_comes_first_and_is_large_enough(visit, pending):
    """A phone scans the QR from the screen."""
    page = visit(**DESKTOP).open(f"/payments/pix/{pending['id']}")
    qr = page.locator(".qr__image:visible")
    copy = page.get_by_role("button", name="Copiar código Pix")
    assert qr.count() == 1
    assert qr.bounding_box()["width"] >= QR_PX
    assert qr.bounding_box()["x"] + qr.bounding_box()["width"] < copy.bounding_box()["x"]
    assert qr.bounding_box()["y"] + qr.bounding_box()["height"] < page.viewport_size["height"]
    assert page.get_by_text("Pagar com outro aparelho").is_hidden()


@pytest.mark.parametrize("look", ["320px", "phone", "desktop"])
def test_the_qr_on_the_screen_is_readable_and_black_on_white(visit, pending, look):
    """Most bank apps cannot read a QR in dark-mode colours."""
    page = visit(**LOOKS[look]).open(f"/payments/pix/{pending['id']}")
    fold = page.get_by_text("Pagar com outro aparelho")
    if fold.is_visible():
        fold.click()
    image = page.locator(".qr__image:visible")
    image.evaluate("(image) => image.decode()")
    image.evaluate("(image) => image.scrollIntoView({ block: 'center' })")
    for scheme in in_both_schemes(page):
        picture = image.screenshot()
        pixels = Image.open(io.BytesIO(picture)).convert("L")
        assert pixels.getpixel((4, pixels.height // 2)) == 255, f"a white quiet zone in {scheme}"
        assert pixels.getextrema() == (0, 255), scheme
        assert texts_in(page.screenshot()) == [pending["pix_code"]], scheme


def test_the_receipts_qr_is_readable_on_the_screen(visit, service, paid):
    """The QR links to the receipt, so that a printed receipt can be checked."""
    path = f"/payments/pix/{paid['id']}/receipt"
    page = visit(**PHONE).open(path)
    page.locator(".receipt__qr").scroll_into_view_if_needed()
    for scheme in in_both_schemes(page):
        assert texts_in(page.screenshot(full_page=True)) == [service.url + path], scheme


@pytest.mark.parametrize("sheet", [A4, TILL_ROLL], ids=["A4", "80mm"])
def test_the_receipt_prints_on_one_sheet_without_its_buttons(visit, service, sheet):
    """On A4 and on an 80 mm roll, without buttons."""
    payment = service.create(value="54.90", order_id=f"print-{sheet['paperWidth']}")
    assert service.tell(payment, payer=BOB)[0] == 200
    page = visit(color_scheme="dark").open(f"/payments/pix/{payment['id']}/receipt")
    expect(page.get_by_role("button", name="Imprimir")).to_be_visible()
    assert pdf_pages(page, **sheet) == 1
    page.emulate_media(media="print", color_scheme="dark")
    for selector in (".receipt__actions", ".page-footer"):
        expect(page.locator(selector)).to_be_hidden()
    page.set_viewport_size({"width": round(sheet["paperWidth"] * 96) - 30, "height": 1000})
    assert scrolls_sideways(page) == []
    assert _colours(page) == ("rgb(0, 0, 0)", "rgb(255, 255, 255)")
    assert texts_in(page.screenshot(full_page=True)) == [
        f"{service.url}/payments/pix/{payment['id']}/receipt"
    ]


def test_reduced_motion_stops_animations(visit, pending):
    """The browser's setting `prefers-reduced-motion` applies."""
    page = visit(reduced_motion="reduce").open(f"/payments/pix/{pending['id']}")
    animations = page.evaluate("""document.getAnimations()
      .filter((animation) => animation.effect.getComputedTiming().activeDuration > 50).length""")
    assert animations == 0
    assert heading(page).inner_text() == "Pague com Pix"


def _colours(page: Page) -> tuple[str, str]:
    """The colours of the text and the background."""
    ink: str = page.evaluate("getComputedStyle(document.querySelector('.receipt__amount')).color")
    ground: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return ink, ground
