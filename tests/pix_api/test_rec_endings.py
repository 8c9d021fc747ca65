"""How a recurrence ends without its payer, and what the payer's bank hears of it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from core.pix.business_days import brasilia_day
from core.pix.recurrence_rules import OFFER_DAYS_AFTER_FIRST
from db_models import Recurrence, RecurrenceChange
from payments.recurring import offers, recurrences
from payments.recurring.payer_answers import CANCELLED_BY_PAYER
from repository.database import reading
from tests.pix_api.charges import DemoCalls
from tests.pix_api.recurrences import PAYER, accept, change, offer, rec_body, reserve
from tests.support.payer_bank import payer_bank, send_orders
from tests.support.service import BankInTest, close_app, ready_app, settings_for

PATH = "/api/mandates/cancel"


@pytest.fixture
def bank(clock):
    """The payer's bank, which records what it is told."""
    with payer_bank(clock) as bank:
        yield bank


@pytest.fixture
def here(settings, tmp_path, clock, bank):
    """A service that tells this bank."""
    app = ready_app(settings_for(settings.database_url, tmp_path, bank_url=bank.url), clock)
    yield app
    close_app(app)


def run_job(app):
    """Expire what is over; return how many."""
    with app.app_context():
        return offers.run()


def status_of(app, rec):
    """Its status and history."""
    body = DemoCalls(app)("GET", f"/rec/{rec['idRec']}").get_json()
    return body["status"], [step["status"] for step in body["atualizacao"]]


def test_an_offer_ends_thirty_days_after_its_first_day_or_after_its_last(here, bank, clock):
    """The whole last day counts. A later first day prolongs it; an accepted one does not end."""
    call, today = DemoCalls(here), brasilia_day(clock.now())

    def offer_for(first, last):
        calendar = rec_body(clock)["calendario"] | {"dataInicial": str(today + timedelta(first))}
        calendar.pop("dataFinal")
        calendar |= {"dataFinal": str(today + timedelta(last))} if last is not None else {}
        return offer(call, clock, calendario=calendar)

    open_ended, short = offer_for(0, None), offer_for(0, 3)
    prolonged_rec, accepted_rec = offer_for(0, None), offer_for(0, 3)
    accept(here, accepted_rec["idRec"])
    clock.advance(days=3)
    assert run_job(here) == 0
    clock.advance(days=1)
    assert (run_job(here), status_of(here, short)[0]) == (1, "EXPIRADA")
    later = {"calendario": {"dataInicial": str(today + timedelta(1))}}
    assert DemoCalls(here)("PATCH", f"/rec/{prolonged_rec['idRec']}", later).status_code == 200
    clock.advance(days=OFFER_DAYS_AFTER_FIRST - 4)
    assert run_job(here) == 0
    clock.advance(days=1)
    assert (run_job(here), run_job(here)) == (1, 0)
    assert status_of(here, open_ended) == ("EXPIRADA", ["CRIADA", "EXPIRADA"])
    assert status_of(here, prolonged_rec)[0] == "CRIADA"
    assert status_of(here, accepted_rec)[0] == "APROVADA"
    send_orders(here)
    text = "O prazo para autorizar acabou"
    assert bank.orders == [
        (PATH, {"id_rec": rec["idRec"], "code": "expired", "text": text})
        for rec in (short, open_ended)
    ]
    body = {"id_rec": short["idRec"], "answer": "accepted", "journey": 2, "ispb": "99999004"}
    signer = BankInTest(here.test_client(), clock)
    answer = signer.client.post(
        "/payments/pix/recurrences/answer",
        **signed_body(signer, {**body, "payer": {"document": PAYER}}),
    )
    assert (answer.status_code, answer.get_json()["code"]) == (409, "recurrence-ended")
    assert "expired" in answer.get_json()["detail"]


def test_the_payers_bank_hears_when_the_merchant_cancels(here, bank, clock):
    """Accepted or not, but not what its own client has cancelled; nothing before the commit."""
    call = DemoCalls(here)
    created_id, accepted_id, by_payer = (offer(call, clock)["idRec"] for _ in range(3))
    for id_rec in (accepted_id, by_payer):
        accept(here, id_rec)
    change(here, by_payer, recurrences.cancel, CANCELLED_BY_PAYER)
    for id_rec in (created_id, accepted_id):
        assert call("PATCH", f"/rec/{id_rec}", {"status": "CANCELADA"}).status_code == 200
        assert call("PATCH", f"/rec/{id_rec}", {"status": "CANCELADA"}).status_code == 400
    bank.answer = lambda *_: (200, {})
    assert send_orders(here) == 2
    text = recurrences.BY_PAYEE.text
    assert bank.orders == [
        (PATH, {"id_rec": id_rec, "code": "SLCR", "text": text})
        for id_rec in (created_id, accepted_id)
    ]


def test_the_location_of_an_ended_recurrence_leaves_a_row_in_its_history(here, clock):
    """Who took it, and when; its status and `atualizacao` stay as they are."""
    call = DemoCalls(here)
    number = reserve(call)["id"]
    ended = offer(call, clock, loc=number)
    change(here, ended["idRec"], recurrences.cancel)
    offer(call, clock, loc=number)
    assert status_of(here, ended) == ("CANCELADA", ["CRIADA", "CANCELADA"])
    assert "loc" not in call("GET", f"/rec/{ended['idRec']}").get_json()
    with here.app_context(), reading() as work:
        query = select(RecurrenceChange).join(
            Recurrence, Recurrence.id == RecurrenceChange.recurrence_id
        )
        rows = work.session.scalars(
            query.where(Recurrence.id_rec == ended["idRec"]).order_by(RecurrenceChange.id)
        ).all()
    last = rows[-1]
    assert (last.status, last.details["changed"]) == ("cancelled", ["no-location"])
    assert last.details["request_id"]


def signed_body(bank, members):
    """Data and headers of a signed body."""
    data = json.dumps(members).encode()
    return {"data": data, "headers": bank.headers(data)}
