"""People in recurrences: erased by age and on request, exported whole."""

from __future__ import annotations

import json
from functools import partial

import pytest
from sqlalchemy import select

from core.pix.business_days import brasilia_day
from db_models import Recurrence
from payments.privacy import PayerDataEraser, erase_payer, export_payer
from payments.recurring import recurrences
from repository.database import in_unit_of_work, reading
from tests.pix_api.charges import DemoCalls
from tests.pix_api.recurrences import PAYER, accept, change, offer

ANA = "12345678909"
DAY = 86_400


@pytest.fixture
def call(app):
    """The demo merchant's calls."""
    return DemoCalls(app)


def people(app):
    """Whether each recurrence, oldest first, names somebody."""
    with app.app_context(), reading() as work:
        rows = work.session.scalars(select(Recurrence).order_by(Recurrence.id))
        return [
            any((row.debtor_name, row.debtor_document, row.payer_document, row.payer_municipality))
            for row in rows
        ]


def test_people_are_erased_so_many_days_after_the_end(app, call, clock, settings):
    """A recurrence that goes on keeps its people: the merchant charges them."""
    today = brasilia_day(clock.now())
    calendar = {"dataInicial": str(today), "periodicidade": "ANUAL"}
    ending = {**calendar, "dataFinal": str(today)}
    cancelled = offer(call, clock)["idRec"]
    offer(call, clock)  # nobody accepts it
    accept(app, offer(call, clock, calendario=ending)["idRec"])
    accept(app, offer(call, clock, calendario=calendar)["idRec"])
    change(app, cancelled, recurrences.cancel)
    clock.advance(seconds=settings.payer_data_days * DAY)
    with app.app_context():
        assert PayerDataEraser(settings).run(lambda: True) == 0
        assert people(app) == [True, True, True, True]
        clock.advance(seconds=1)
        assert PayerDataEraser(settings).run(lambda: True) == 2
        assert people(app) == [False, False, True, True]
        clock.advance(seconds=DAY)
        assert PayerDataEraser(settings).run(lambda: True) == 1
        assert PayerDataEraser(settings).run(lambda: True) == 0
    assert people(app) == [False, False, False, True]
    body = DemoCalls(app)("GET", f"/rec/{cancelled}").get_json()
    assert body["vinculo"]["devedor"] == {"cpf": "0" * 11, "nome": "(apagado)"}


def test_a_person_is_exported_and_erased(app, call, clock):
    """Ana owes, Carol pays, and a company stays."""
    company = {"contrato": "1", "devedor": {"cnpj": "12345678000195", "nome": "Padaria"}}
    first, second = offer(call, clock)["idRec"], offer(call, clock, vinculo=company)["idRec"]
    accept(app, first)
    with app.app_context(), reading() as work:
        assert [one["id_rec"] for one in export_payer(work, ANA)["recurrences"]] == [first]
        [exported] = export_payer(work, PAYER)["recurrences"]
    assert (exported["debtor_name"], exported["payer_document"]) == ("Ana Souza", PAYER)
    for person in (ANA, PAYER):
        with app.app_context():
            assert in_unit_of_work(partial(erase_payer, person=person)) == 1
            assert in_unit_of_work(partial(erase_payer, person=person)) == 0
    body = call("GET", f"/rec/{first}").get_json()
    text = json.dumps(body)
    assert not [word for word in (ANA, PAYER, "Ana") if word in text]
    assert (body["status"], "pagador" in body) == ("APROVADA", False)
    assert people(app) == [False, True]
    assert call("GET", f"/rec/{second}").get_json()["vinculo"]["devedor"] == company["devedor"]
