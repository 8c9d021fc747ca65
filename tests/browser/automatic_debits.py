"""A charge of a recurrence fails in the bank's app, and its retry is paid."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from playwright.sync_api import Page, expect

from bank.identifiers import new_identifier
from bank.models import Transfer
from bank.money.ledger import balance_centavos
from bank.money.payers import payer_by_handle
from core.pix.business_days import brasilia_day
from tests.browser.visits import heading
from tests.pix_api.charges import DemoCalls
from tests.pix_api.recurring_charges import RETRIES, charged, day_after, read, words
from tests.support.payer_bank import send_orders
from tests.support.town import Town


def retried_terms(here: Town) -> dict[str, Any]:
    """Members of a recurrence from today on whose charges may be tried again."""
    today = str(brasilia_day(here.clock.now()))
    return {
        "calendario": {"dataInicial": today, "periodicidade": "MENSAL"},
        "politicaRetentativa": RETRIES,
    }


def fail_charge_then_retry(
    here: Town, call: DemoCalls, page: Page, rec: dict[str, Any], txid: str
) -> None:
    """Charge Bia, who has authorised `rec`: her account is empty, and full at the retry."""
    before = here.balance()
    _move_to_bia(here, -before)
    cobr = charged(call, rec, day_after(here.clock, 3), txid)
    assert send_orders(here.app) == 1
    _simulate_day(here, page, rec)
    expect(heading(page)).to_have_text("Cobrança não paga", timeout=15_000)
    assert here.branch.collection_outbox.send_due() == 1
    first_attempt = ["SOLICITADA", "AGENDADA", "EXPIRADA"]
    assert words(read(call, cobr)) == (["CRIADA", "ATIVA"], [first_attempt])
    assert here.balance() == 0

    _move_to_bia(here, before)
    retry = call("POST", f"/cobr/{txid}/retentativa/{day_after(here.clock, 4)}")
    assert retry.status_code == 201, retry.text
    assert send_orders(here.app) == 1
    _simulate_day(here, page, rec)
    expect(heading(page)).to_have_text("Cobrança paga", timeout=15_000)
    assert here.branch.outbox.send_due() == 1
    expect(page.locator("main")).to_contain_text("nova tentativa")
    paid = read(call, cobr)
    second_attempt = ["SOLICITADA", "AGENDADA", "PAGA"]
    assert words(paid) == (["CRIADA", "ATIVA", "CONCLUIDA"], [first_attempt, second_attempt])
    assert paid["pix"][0]["endToEndId"] == paid["tentativas"][1]["endToEndId"]
    assert here.balance() == before - 3500
    assert here.audit().faults == ()


def _simulate_day(here: Town, page: Page, rec: dict[str, Any]) -> None:
    """Open the charge that is scheduled, and let the simulator play its day."""
    page.goto(f"{here.bank_url}/mandates/{rec['idRec']}")
    entry = page.get_by_role("listitem").filter(has_text="agendada")
    expect(entry).to_have_count(1)
    entry.get_by_role("link").click()
    expect(heading(page)).to_have_text("Cobrança agendada")
    page.get_by_role("button", name="Simular o dia da cobrança").click()


def _move_to_bia(here: Town, centavos: int) -> None:
    """Give Bia money of the bank, or take it away."""
    moment = here.clock.now() - timedelta(seconds=1)
    with here.branch.database.writing() as session:
        source = sa.select(Transfer.debit_account_id).where(Transfer.kind == "opening").limit(1)
        accounts = [session.scalars(source).one(), payer_by_handle(session, "bia").account_id]
        assert balance_centavos(session, accounts[1]) + centavos >= 0
        debit, credit = accounts if centavos > 0 else reversed(accounts)
        session.add(
            Transfer(
                identifier=new_identifier("O", here.branch.settings.ispb, moment),
                kind="opening",
                debit_account_id=debit,
                credit_account_id=credit,
                amount_centavos=abs(centavos),
                made_at=moment,
            )
        )
