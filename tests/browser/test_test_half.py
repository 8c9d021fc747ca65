"""A payment of a test half in production: the strip of its page pays it at the test bank."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.visits import (
    CONFIRMED,
    DESKTOP,
    PHONE,
    WAITING,
    enter_bank,
    expect_heading,
    heading,
    in_both_schemes,
    pay_at_the_bank,
    scrolls_sideways,
    visitor,
)
from tests.support.browser import axe_violations
from tests.support.two_halves import shop_in_production

STRIP = "Ambiente de teste: nenhum dinheiro real"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The service in production, and the keys of Alice's two halves."""
    with shop_in_production(tmp_path_factory.mktemp("production")) as (service, keys):
        yield service, keys
        assert "Traceback" not in service.log()


def create(shop, half, path="/payments/pix", **fields):
    """Create a payment of a half; the answer."""
    service, keys = shop
    headers = {"Authorization": f"Bearer {keys[half]}", "Content-Type": "application/json"}
    status, answer, _ = service.request("POST", path, json.dumps(fields).encode(), headers)
    assert status == 201, answer
    return json.loads(answer)


@pytest.mark.parametrize("look", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_a_person_pays_a_test_by_the_link_of_its_page(shop, new_context, look):
    """The bank has the code already; the page that stayed open says that it is paid."""
    payment = create(shop, "test", value="54.90")["payment"]
    visit = visitor(new_context, shop[0], **look)
    page = visit.open(f"/payments/pix/{payment['id']}")
    expect_heading(page, WAITING)
    expect(page.get_by_text(STRIP)).to_be_in_viewport()
    expect(page.locator("form[data-tool]")).to_have_count(0)
    for scheme in in_both_schemes(page):
        assert axe_violations(page) == [], scheme
        assert scrolls_sideways(page) == [], scheme

    with page.context.expect_page() as new_page:
        page.get_by_role("link", name="Pagar agora").click()
    bank = new_page.value
    enter_bank(bank)
    assert parse_qs(urlsplit(bank.url).query)["code"] == [payment["pix_code"]]
    pay_at_the_bank(bank)
    expect(heading(bank)).to_have_text("Pix confirmado", timeout=15_000)
    expect_heading(page, CONFIRMED)
    expect(page.get_by_text(STRIP)).to_be_visible()
    expect(page.get_by_role("link", name="Pagar agora")).to_be_hidden()
    assert visit.complaints == []


def test_the_link_of_a_transaction_pays_a_test(shop, new_context):
    """A till opens `pay_url`; that of real money stays at the payment page."""
    body = {"amount": 10}
    live = create(shop, "live", "/api/start_payment", **body)
    assert live["pay_url"] == live["payment_url"]
    test = create(shop, "test", "/api/start_payment", **body)
    bank = visitor(new_context, shop[0], **PHONE).page
    bank.goto(test["pay_url"])
    enter_bank(bank)
    pay_at_the_bank(bank)
    expect(heading(bank)).to_have_text("Pix confirmado", timeout=15_000)


@pytest.mark.parametrize(
    ("tool", "says"),
    [("Pagar menos", "R$"), ("Duplicar aviso", "Pix confirmado"), ("Atrasar", "Pix")],
)
def test_each_tool_opens_the_review_of_the_code(shop, new_context, tool, says):
    """Its scenario is one that the bank of test halves takes."""
    payment = create(shop, "test", value="54.90")["payment"]
    visit = visitor(new_context, shop[0], **PHONE)
    page = visit.open(f"/payments/pix/{payment['id']}")
    with page.context.expect_page() as new_page:
        page.get_by_role("link", name=tool).click()
    bank = new_page.value
    enter_bank(bank)
    expect(heading(bank)).to_have_text("Confira e pague")
    pay_at_the_bank(bank)
    expect(heading(bank)).to_contain_text("Pix")
    expect(bank.locator("main")).to_contain_text(says)
