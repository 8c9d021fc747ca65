"""Bia authorises a company's request in the bank's app; she sees, cancels and pays charges."""

from __future__ import annotations

from datetime import timedelta

from playwright.sync_api import expect

from bank.identifiers import new_identifier
from bank.mandates.collections import CollectionOrder
from bank.mandates.desk import MandateOrder
from bank.money.payers import payer_by_handle
from core.ids import new_txid
from core.pix.business_days import brasilia_day
from tests.browser.automatic_debits import fail_charge_then_retry, retried_terms
from tests.browser.test_pix_automatico import here, inspect
from tests.browser.visits import PHONE, enter_bank, expect_no_lost_script, heading
from tests.pix_api.charges import DemoCalls
from tests.pix_api.recurrences import offer, request_of, reserve
from tests.support.payer_bank import send_orders

__all__ = ["here"]


def send_request(here, call):
    """The merchant asks Bia, by her document and her account; returns recurrence and request."""
    rec = offer(call, here.clock, **retried_terms(here))
    recipient = {
        "cpf": "12345678909",
        "agencia": "0001",
        "conta": "00000027",
        "ispbParticipante": here.branch.settings.ispb,
    }
    request = request_of(call, here.clock, rec["idRec"], destinatario=recipient)
    send_orders(here.app)
    return rec, request


def authorise(here, call):
    """Bia authorises a recurrence of the demo merchant by its code; returns its id."""
    id_rec = offer(call, here.clock, loc=reserve(call)["id"])["idRec"]
    code = call("GET", f"/rec/{id_rec}").get_json()["dadosQR"]["pixCopiaECola"]
    with here.branch.database.reading() as session:
        bia = payer_by_handle(session, "bia")
    agreed = here.branch.mandates.read(code).terms.fingerprint()
    here.branch.mandates.authorise(MandateOrder(code, id_rec, agreed, bia), "1234")
    return id_rec


def schedule(here, id_rec, days):
    """The service orders a charge of R$ 35,00 in so many days."""
    now = here.clock.now()
    here.branch.collections.schedule(
        CollectionOrder(
            txid=new_txid(),
            id_rec=id_rec,
            end_to_end_id=new_identifier("E", here.branch.settings.ispb, now),
            amount_centavos=3500,
            settles_on=brasilia_day(now) + timedelta(days=days),
            kind="AGND",
        )
    )


def test_bia_answers_a_request_and_looks_after_her_charges(here, new_context):
    """On a phone, in light and dark; a simulated day is said to be one."""
    call = DemoCalls(here.app)
    id_rec = authorise(here, call)
    rec, request = send_request(here, call)
    for days in (3, 33):
        schedule(here, id_rec, days)
    page = new_context(**PHONE).new_page()
    page.goto(f"{here.bank_url}/")
    enter_bank(page)
    expect(page.get_by_text("Agência 0001, conta 0000002-7")).to_be_visible()
    inspect(page)
    page.get_by_role("link", name="Feira da Vila").click()
    expect(heading(page)).to_have_text("Autorizar Pix Automático")
    inspect(page)
    page.get_by_label("Senha do cartão").fill("1234")
    page.get_by_role("button", name="Autorizar").click()
    expect(heading(page)).to_have_text("Pix Automático autorizado", timeout=15_000)
    body = call("GET", f"/rec/{request['idRec']}").get_json()
    assert (body["status"], body["ativacao"]["tipoJornada"]) == ("APROVADA", "JORNADA_1")
    assert call("GET", f"/solicrec/{request['idSolicRec']}").get_json()["status"] == "ACEITA"
    fail_charge_then_retry(here, call, page, rec, "1" * 30)

    page.goto(f"{here.bank_url}/mandates/{id_rec}")
    charges = page.get_by_role("listitem")
    expect(charges).to_have_count(2)
    inspect(page)
    charges.first.get_by_role("link").click()
    expect(heading(page)).to_have_text("Cobrança agendada")
    expect(page.get_by_text("Só existe neste simulador")).to_be_visible()
    inspect(page)
    page.get_by_role("button", name="Cancelar esta cobrança").click()
    expect(heading(page)).to_have_text("Cobrança cancelada", timeout=15_000)
    page.get_by_role("link", name="Ver este Pix Automático").click()
    charges.last.get_by_role("link").click()
    page.get_by_role("button", name="Simular o dia da cobrança").click()
    expect(heading(page)).to_have_text("Cobrança paga", timeout=15_000)
    inspect(page)
    page.get_by_role("link", name="Ver recibo").click()
    expect(page.locator("main")).to_contain_text("R$ 35,00")
    expect_no_lost_script(page)
