"""The weight of the payment page in production, with everything it loads."""

from __future__ import annotations

import pytest
from playwright.sync_api import Response, expect

from tests.browser.visits import DESKTOP, PHONE, WAITING, Visit, expect_heading, visitor
from tests.support.service import ServiceProcess

BYTES_MAX = 100_000


@pytest.fixture(scope="module")
def production(tmp_path_factory):
    """The production profile, and a payment that the demo shop made in the same database."""
    folder = tmp_path_factory.mktemp("production")
    with ServiceProcess(folder) as development:
        payment = development.create(
            value="54.90", order_id="1042", description="Queijo meia cura, 500 g"
        )
        development.stop()
    with ServiceProcess(folder, PORT=development.port, APP_ENV="production") as running:
        yield running, payment


@pytest.fixture(scope="module")
def service(production):
    """The service in production."""
    return production[0]


@pytest.fixture(scope="module")
def payment(production):
    """The payment in production's database."""
    return production[1]


@pytest.mark.parametrize("look", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_first_visit_loads_less_than_100_kb(new_context, service, payment, record_property, look):
    """Shoppers with little data left must see the code at once.

    Counted without compression: page, styles, scripts, pictures and the socket library.
    """
    bob = visitor(new_context, service, **look)
    weights = _weigh(bob)
    page = bob.watch(payment)
    expect_heading(page, WAITING)
    expect(page.locator(".test-strip")).to_have_count(0)
    fold = page.get_by_text("Pagar com outro aparelho")
    if fold.is_visible():
        fold.click()
    expect(page.locator(".qr__image:visible")).to_be_visible()
    page.wait_for_timeout(500)
    # An answer of 204 has no body to count.
    answers = [response for response in weights if response.status != 204]
    loaded = {response.url.split("?")[0]: len(response.body()) for response in answers}
    total = sum(loaded.values())
    record_property("page_bytes", total)
    kinds = {url.rsplit(".", 1)[-1] for url in loaded}
    assert {"css", "js", "svg"} <= kinds, "styles, scripts and pictures were counted"
    assert any(url.endswith("socket.io.esm.min.js") for url in loaded)
    assert total < BYTES_MAX, sorted(loaded.items(), key=lambda item: -item[1])
    assert bob.foreign_requests == []
    assert bob.complaints == []


def test_production_has_no_test_strip_and_no_shop(new_context, service, payment):
    """Tools of the simulated bank must not exist in production."""
    bob = visitor(new_context, service)
    page = bob.open(f"/payments/pix/{payment['id']}")
    expect(page.get_by_text("Ambiente de teste")).to_have_count(0)
    for path in ("/bank/", "/shop/cart/queijo"):
        assert service.get(path)[0] == 404
    start_page = service.get("/", accept="text/html")[1].decode()
    assert 'type="password"' in start_page  # the sign-in, to which `/` leads
    assert "/shop/" not in start_page
    expire_soon = f"/payments/pix/{payment['id']}/expire-soon"
    assert service.request("POST", expire_soon)[0] == 404


def _weigh(bob: Visit) -> list[Response]:
    """Collect the page's responses from now on, without the socket's traffic."""
    answers: list[Response] = []

    def collect(response: Response) -> None:
        if "/socket.io/" not in response.url.split("?")[0] or "/static/" in response.url:
            answers.append(response)

    bob.page.on("response", collect)
    return answers
