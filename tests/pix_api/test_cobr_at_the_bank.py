"""A recurring charge from the offer to the money, with the simulated bank over HTTP."""

from __future__ import annotations

from functools import partial

import pytest

from tests.bank.conftest import hidden_fields
from tests.pix_api.charges import DemoCalls
from tests.pix_api.recurrences import offer, reserve
from tests.pix_api.recurring_charges import (
    RETRIES,
    charged,
    day_after,
    order_due,
    read,
    words,
)
from tests.support.payer_bank import send_orders
from tests.support.town import PIN, town

TXID, OTHER = "a" * 30, "b" * 30


@pytest.fixture
def here(fresh_database, tmp_path):
    """The service and the bank."""
    with town(fresh_database("sqlite"), tmp_path) as new_town:
        yield new_town


def authorised(here, call):
    """A recurrence that Bia has authorised in her app; her browser, too."""
    today = str(day_after(here.clock, 0))
    terms = {
        "calendario": {"dataInicial": today, "periodicidade": "MENSAL"},
        "politicaRetentativa": RETRIES,
    }
    rec = offer(call, here.clock, loc=reserve(call)["id"], **terms)
    code = call("GET", f"/rec/{rec['idRec']}").get_json()["dadosQR"]["pixCopiaECola"]
    client = here.bank_app.test_client()
    post = partial(client.post, follow_redirects=True)
    form = hidden_fields(client.get("/login").text)
    post("/login", data={**form, "login": "bia", "pin": PIN})
    review = client.get("/pay", query_string={"code": code}, follow_redirects=True)
    post("/mandates/authorise", data={**hidden_fields(review.text), "pin": PIN})
    assert call("GET", f"/rec/{rec['idRec']}").get_json()["status"] == "APROVADA"
    return rec


def play_day(here):
    """The bank pays what is due and sends its notices."""
    here.branch.collections.pay_due()
    here.branch.outbox.send_due()
    here.branch.collection_outbox.send_due()


def test_bias_bank_pays_a_charge_and_hears_of_a_cancellation(here):
    """One charge is paid on its day, and another is cancelled after the bank has scheduled it."""
    call = DemoCalls(here.app)
    rec = authorised(here, call)
    before = here.balance()
    paid = charged(call, rec, day_after(here.clock, 3), TXID)
    cancelled = charged(call, rec, day_after(here.clock, 35), OTHER)
    assert send_orders(here.app) == 1
    assert words(read(call, paid)) == (["CRIADA", "ATIVA"], [["SOLICITADA", "AGENDADA"]])
    play_day(here)
    assert here.balance() == before  # its day has not come
    here.clock.advance(days=3)
    play_day(here)
    assert here.balance() == before - 3500
    paid = read(call, paid)
    assert (paid["status"], paid["tentativas"][0]["status"]) == ("CONCLUIDA", "PAGA")
    assert paid["pix"][0]["endToEndId"] == paid["tentativas"][0]["endToEndId"]
    here.clock.advance(days=25)
    assert order_due(here.app) == 1
    assert send_orders(here.app) == 1
    assert call("PATCH", f"/cobr/{OTHER}", {"status": "CANCELADA"}).status_code == 200
    assert send_orders(here.app) == 1
    here.clock.advance(days=10)
    play_day(here)
    assert here.balance() == before - 3500
    assert read(call, cancelled)["status"] == "CANCELADA"
    assert here.audit().faults == ()
