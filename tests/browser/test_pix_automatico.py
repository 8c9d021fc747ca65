"""Bia reads a code of Pix Automático in the bank's app, authorises it, and cancels it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.visits import (
    PHONE,
    enter_bank,
    expect_no_lost_script,
    heading,
    in_both_schemes,
    scrolls_sideways,
)
from tests.pix_api.charges import DemoCalls
from tests.pix_api.recurrences import offer, reserve
from tests.support.browser import axe_violations
from tests.support.town import town


@pytest.fixture
def here(fresh_database, tmp_path):
    """A service and its bank."""
    with town(fresh_database("sqlite"), tmp_path) as new_town:
        yield new_town


def inspect(page):
    """Fail if the page has a fault of accessibility or scrolls sideways, in light or dark."""
    for scheme in in_both_schemes(page):
        assert axe_violations(page) == [], scheme
    assert scrolls_sideways(page) == []


def test_bia_authorises_and_cancels_and_the_merchant_sees_both(here, new_context):
    """The second journey, from the merchant's client to the bank's app and back."""
    call = DemoCalls(here.app)
    id_rec = offer(call, here.clock, loc=reserve(call)["id"])["idRec"]
    code = call("GET", f"/rec/{id_rec}").get_json()["dadosQR"]["pixCopiaECola"]
    page = new_context(**PHONE).new_page()
    page.goto(f"{here.bank_url}/")
    enter_bank(page)
    page.get_by_label("Código Pix copia e cola").fill(code)
    page.get_by_role("button", name="Continuar").click()

    expect(heading(page)).to_have_text("Autorizar Pix Automático")
    facts = page.locator("main")
    for words in ("Feira da Vila", "Assinatura mensal", "63100862", "R$ 35,00", "todo mês"):
        expect(facts).to_contain_text(words)
    inspect(page)
    page.get_by_label("Senha do cartão").fill("1234")
    page.get_by_role("button", name="Autorizar").click()

    expect(heading(page)).to_have_text("Pix Automático autorizado", timeout=15_000)
    inspect(page)
    body = call("GET", f"/rec/{id_rec}").get_json()
    assert (body["status"], body["ativacao"]["tipoJornada"]) == ("APROVADA", "JORNADA_2")
    assert body["pagador"]["ispbParticipante"] == here.branch.settings.ispb

    page.get_by_role("link", name="Todos os Pix Automáticos").click()
    expect(page.get_by_role("listitem")).to_contain_text("ativo")
    inspect(page)
    page.get_by_role("link", name="Feira da Vila").click()
    page.get_by_role("link", name="Cancelar Pix Automático").click()
    expect(heading(page)).to_have_text("Cancelar este Pix Automático?")
    inspect(page)
    page.get_by_role("button", name="Sim, cancelar").click()

    expect(heading(page)).to_have_text("Pix Automático cancelado", timeout=15_000)
    inspect(page)
    expect_no_lost_script(page)
    body = call("GET", f"/rec/{id_rec}").get_json()
    assert body["status"] == "CANCELADA"
    assert body["encerramento"]["cancelamento"]["solicitante"] == "USUARIO_PAGADOR"
