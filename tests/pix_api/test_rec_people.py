"""People in recurrences: erased by age and on request, exported whole."""

from __future__ import annotations

import json
from functools import partial

import pytest
from sqlalchemy import select

from core.errors import ConcurrentUpdate
from core.pix.business_days import brasilia_day
from db_models import Recurrence
from payments.privacy import PayerDataEraser, erase_payer, export_payer
from payments.recurring import recurrences
from payments.recurring.recurrences import Revision
from repository.database import in_unit_of_work, reading
from tests.pix_api.charges import DemoCalls, paths_of
from tests.pix_api.recurrences import PAYER, accept, change, offer, rec_body

ANA = "12345678909"
DAY = 86_400
PERSONAL = ("debtor_name", "debtor_document", "subject", "payer_document", "payer_municipality")


@pytest.fixture
def call(app):
    """The demo merchant's calls."""
    return DemoCalls(app)


def people(app):
    """Whether each recurrence, oldest first, names somebody."""
    with app.app_context(), reading() as work:
        rows = work.session.scalars(select(Recurrence).order_by(Recurrence.id))
        return [any(getattr(row, name) is not None for name in PERSONAL) for row in rows]


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
    address = {**rec_body(clock)["vinculo"], "objeto": "Conta de energia Av. Paulista, 1804"}
    first = offer(call, clock, vinculo=address)["idRec"]
    second = offer(call, clock, vinculo=company)["idRec"]
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
    assert not [word for word in (ANA, PAYER, "Ana", "Paulista") if word in text]
    assert (body["status"], "pagador" in body) == ("APROVADA", False)
    assert people(app) == [False, True]
    assert call("GET", f"/rec/{second}").get_json()["vinculo"]["devedor"] == company["devedor"]


def test_the_name_of_an_erased_debtor_does_not_come_back(each_app, clock):
    """Without a document no erasure would find it again."""
    call = DemoCalls(each_app)
    path = f"/rec/{offer(call, clock)['idRec']}"
    with each_app.app_context():
        in_unit_of_work(partial(erase_payer, person=ANA))
    answer = call("PATCH", path, {"vinculo": {"devedor": {"nome": "Ana Lima"}}})
    assert answer.status_code == 400
    assert paths_of(answer, "RecOperacaoInvalida") == ["rec.vinculo.devedor.nome"]
    assert people(each_app) == [False]
    assert call("PATCH", path, {"status": "CANCELADA"}).status_code == 200


@pytest.mark.parametrize("by_age", [False, True])
def test_a_revision_that_has_read_the_row_before_its_erasure_reads_again(
    app, call, clock, settings, by_age
):
    id_rec = offer(call, clock)["idRec"]
    record = change(app, id_rec, lambda _, record: record)
    clock.advance(seconds=settings.payer_data_days * DAY + 1)
    with app.app_context():
        erase = partial(erase_payer, person=ANA)
        assert (
            PayerDataEraser(settings).run(lambda: True) if by_age else in_unit_of_work(erase)
        ) == 1
        revise = partial(recurrences.revise, record=record, revision=Revision(debtor_name="Ana"))
        with pytest.raises(ConcurrentUpdate):
            in_unit_of_work(revise, attempts=1)
    assert people(app) == [False]
