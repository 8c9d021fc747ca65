"""*Recebimento* in Chromium: an account at a bank is added, checked and charged one centavo."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.visits import NARROW, in_both_schemes, scrolls_sideways
from tests.browser.visits import visitor as new_visitor
from tests.providers.stand_in import CLIENT_ID, CLIENT_SECRET, PIX_KEY, StandInBank
from tests.support.browser import axe_violations
from tests.support.service import ServiceProcess

PASSWORD = "the password of the demo shop"
NAME = "Conta da Feira de Santa Rita do Passa Quatro"


@pytest.fixture
def service(tmp_path):
    """A service of its own: the new account receives all of its payments."""
    with ServiceProcess(tmp_path, DEMO_PASSWORD=PASSWORD) as running:
        yield running


@pytest.fixture
def visit(new_context, service):
    """A visit on the narrowest phone, in which the demo merchant is signed in."""
    request = urllib.request.Request(
        service.url + "/api/login",
        data=json.dumps({"username": "demo", "password": PASSWORD}).encode(),
        headers={"Content-Type": "application/json", "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        pairs = [
            cookie.split(";")[0].partition("=") for cookie in answer.headers.get_all("Set-Cookie")
        ]
    visit = new_visitor(new_context, service, **NARROW)
    cookies: list[Any] = [{"name": n, "value": v, "url": service.url} for n, _, v in pairs if v]
    visit.page.context.add_cookies(cookies)
    return visit


def test_an_account_is_added_checked_and_charged(visit):
    """The form shows the fields of the chosen bank alone; the check needs no new page."""
    with StandInBank() as bank:
        page = visit.open("/portal/provider/new")
        page.get_by_label("Banco", exact=True).select_option("bb")
        expect(page.get_by_label("Chave da aplicação")).to_be_visible()
        expect(page.get_by_label("Conta corrente")).to_be_hidden()
        page.get_by_label("Banco", exact=True).select_option("standard")
        expect(page.get_by_label("Chave da aplicação")).to_be_hidden()
        page.get_by_label("Chave Pix").fill(PIX_KEY)
        page.get_by_label("Nome da conta").fill(NAME)
        page.get_by_label("Client ID").fill(CLIENT_ID)
        page.get_by_label("Client Secret").fill(CLIENT_SECRET)
        page.get_by_label("Sua senha").fill("wrong")
        page.get_by_role("button", name="Adicionar conta").click()
        expect(page.locator("#base_url-wrong")).to_be_visible()
        expect(page.get_by_label("Nome da conta")).to_have_value(NAME)
        for scheme in in_both_schemes(page):
            assert axe_violations(page) == [], scheme

        page.get_by_label("Client Secret").fill(CLIENT_SECRET)
        page.get_by_label("Endereço da API Pix").fill(bank.overrides()["base"])
        page.get_by_label("Endereço do token").fill(bank.overrides()["token_url"])
        page.get_by_label("Sua senha").fill(PASSWORD)
        page.get_by_role("button", name="Adicionar conta").click()
        expect(page.get_by_role("heading", name=NAME)).to_be_visible()
        assert CLIENT_SECRET not in page.content()

        address = page.url
        page.get_by_role("button", name="Verificar agora").click()
        expect(page.locator(".check-step")).to_have_count(10)
        expect(page.locator(".check-step--bad")).to_have_count(0)
        assert page.url == address
        assert scrolls_sideways(page) == []
        for scheme in in_both_schemes(page):
            assert axe_violations(page) == [], scheme

        page.get_by_role("button", name="Cobrança de R$ 0,01").click()
        expect(page).to_have_url(re.compile("/portal/payments/"))
        assert bank.count("put-cob") == 1
