"""The page's weight as shoppers load it: in the production profile, everything counted."""

from __future__ import annotations

import pytest
from playwright.sync_api import Response, expect

from tests.browser.visits import DESKTOP, PHONE, WAITING, Visit, shows, visitor
from tests.support.service import ServiceProcess

BYTES_MAX = 100_000


@pytest.fixture(scope="module")
def production(tmp_path_factory):
    """The production profile, and a payment that the demo shop made in the same database."""
    folder = tmp_path_factory.mktemp("production")
    with ServiceProcess(folder) as house:
        payment = house.create(
            value="54.90", order_id="1042", description="Queijo meia cura, 500 g"
        )
        house.stop()
    with ServiceProcess(folder, PORT=house.port, APP_ENV="production") as running:
        yield running, payment


@pytest.fixture(scope="module")
def service(production):
    """The service in production."""
    return production[0]


@pytest.fixture(scope="module")
def waiting(production):
    """A payment of a real shop."""
    return production[1]


@pytest.mark.parametrize("look", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_first_visit_loads_less_than_100_kb(new_context, service, waiting, record_property, look):
    """A shopper on the last megabytes of a prepaid plan still sees the code at once.

    Counted without compression: page, styles, scripts, pictures and the library.
    """
    bob = visitor(new_context, service, **look)
    weights = _weigh(bob)
    page = bob.watch(waiting)
    shows(page, WAITING)
    expect(page.locator(".test-strip")).to_have_count(0)
    fold = page.get_by_text("Pagar com outro aparelho")
    if fold.is_visible():
        fold.click()
    expect(page.locator(".qr__image:visible")).to_be_visible()
    page.wait_for_timeout(500)
    # What the page tells is answered with nothing, and a browser has no body to show for it.
    bodies = [response for response in weights if response.status != 204]
    loaded = {response.url.split("?")[0]: len(response.body()) for response in bodies}
    total = sum(loaded.values())
    record_property("page_bytes", total)
    kinds = {url.rsplit(".", 1)[-1] for url in loaded}
    assert {"css", "js", "svg"} <= kinds, "styles, scripts and pictures were counted"
    assert any(url.endswith("socket.io.esm.min.js") for url in loaded)
    assert total < BYTES_MAX, sorted(loaded.items(), key=lambda one: -one[1])
    assert bob.strangers == []
    assert bob.complaints == []


def test_production_has_no_test_strip_and_no_shop(new_context, service, waiting):
    """Nothing that pays for free may be reachable where money is real."""
    bob = visitor(new_context, service)
    page = bob.open(f"/payments/pix/{waiting['id']}")
    expect(page.get_by_text("Ambiente de teste")).to_have_count(0)
    for path in ("/", "/bank/", "/shop/cart/queijo"):
        assert service.get(path)[0] == 404
    expire_soon = f"/payments/pix/{waiting['id']}/expire-soon"
    assert service.request("POST", expire_soon)[0] == 404


def _weigh(bob: Visit) -> list[Response]:
    """Collect what the page loads from now on; the socket's own traffic is not the page."""
    answers: list[Response] = []

    def keep(response: Response) -> None:
        if "/socket.io/" not in response.url.split("?")[0] or "/static/" in response.url:
            answers.append(response)

    bob.page.on("response", keep)
    return answers
