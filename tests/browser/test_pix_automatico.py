"""Bia reads codes of Pix Automático in the bank's app: she authorises, pays with it, cancels."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from core.ids import new_txid
from core.pix.business_days import brasilia_day
from tests.browser.automatic_debits import fail_charge_then_retry, retried_terms
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
    """The second journey, from the offer over a failed and a retried charge to the end."""
    call = DemoCalls(here.app)
    rec = offer(call, here.clock, loc=reserve(call)["id"], **retried_terms(here))
    id_rec = rec["idRec"]
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

    fail_charge_then_retry(here, call, page, rec, "2" * 30)
    page.get_by_role("link", name="Ver este Pix Automático").click()
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


def open_code(page, code):
    """Paste a code into the bank's app."""
    page.get_by_label("Código Pix copia e cola").fill(code)
    page.get_by_role("button", name="Continuar").click()


def test_bia_pays_and_authorises_with_one_pin(here, new_context):
    """The third journey, with an immediate charge, then the fourth, with a due date."""
    call = DemoCalls(here.app)
    page = new_context(**PHONE).new_page()
    page.goto(f"{here.bank_url}/")
    enter_bank(page)

    txid = new_txid()
    call.create(txid)
    activation = {"dadosJornada": {"txid": txid}}
    terms = retried_terms(here)
    rec = offer(call, here.clock, loc=reserve(call)["id"], ativacao=activation, **terms)
    first = rec["idRec"]
    shown_code = call("GET", f"/rec/{first}", query_string={"txid": txid}).get_json()["dadosQR"]
    assert shown_code["jornada"] == "JORNADA_3"
    open_code(page, shown_code["pixCopiaECola"])
    expect(heading(page)).to_have_text("Confira, pague e autorize")
    facts = page.locator("main")
    for words in ("R$ 10,00", "R$ 35,00", "Assinatura mensal", "Ao pagar, você também autoriza"):
        expect(facts).to_contain_text(words)
    inspect(page)
    page.get_by_label("Senha do cartão").fill("1234")
    page.get_by_role("button", name="Pagar R$ 10,00 e autorizar").click()
    expect(heading(page)).to_have_text("Pix confirmado", timeout=15_000)
    expect(facts).to_contain_text("Pix Automático: ativo.")
    inspect(page)
    body = call("GET", f"/rec/{first}").get_json()
    expected = {"tipoJornada": "JORNADA_3", "dadosJornada": {"txid": txid}}
    assert (body["status"], body["ativacao"]) == ("APROVADA", expected)
    assert call("GET", f"/cob/{txid}").get_json()["status"] == "CONCLUIDA"
    page.get_by_role("link", name="Ver o Pix Automático").click()
    expect(heading(page)).to_have_text("Pix Automático autorizado")
    fail_charge_then_retry(here, call, page, rec, "3" * 30)

    rec = offer(call, here.clock, loc=reserve(call)["id"], **terms)
    second = rec["idRec"]
    due_txid = new_txid()
    due_charge = {
        "calendario": {"dataDeVencimento": str(brasilia_day(here.clock.now()))},
        "devedor": {"cpf": "12345678909", "nome": "Bia Andrade"},
        "valor": {"original": "10.00"},
        "chave": call.key,
    }
    assert call("PUT", f"/cobv/{due_txid}", due_charge).status_code == 201
    shown_code = call("GET", f"/rec/{second}", query_string={"txid": due_txid}).get_json()[
        "dadosQR"
    ]
    assert shown_code["jornada"] == "JORNADA_4"
    page.goto(f"{here.bank_url}/")
    open_code(page, shown_code["pixCopiaECola"])
    expect(heading(page)).to_have_text("Confira e pague")
    page.get_by_label("Autorizar também o Pix Automático").check()
    inspect(page)
    page.get_by_label("Senha do cartão").fill("1234")
    page.get_by_role("button", name="Pagar R$ ").click()
    expect(heading(page)).to_have_text("Pix confirmado", timeout=15_000)
    expect_no_lost_script(page)
    body = call("GET", f"/rec/{second}").get_json()
    assert (body["status"], body["ativacao"]["tipoJornada"]) == ("APROVADA", "JORNADA_4")
    assert call("GET", f"/cobv/{due_txid}").get_json()["status"] == "CONCLUIDA"
    fail_charge_then_retry(here, call, page, rec, "4" * 30)
