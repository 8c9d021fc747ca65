"""Personal data in charges of API Pix: erased by age and on request, exported whole."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from db_models import ChargeRevision, Payment
from payments.due_charges import DEBTOR
from payments.location import INFO
from payments.privacy import PayerDataEraser, erase_payer, export_payer
from repository.charge_payers import PERSONAL_TERMS
from repository.database import in_unit_of_work, reading
from tests.pix_api.batches import CREATED, REFUSED, BatchCalls, paths_of_problem, txid_of
from tests.pix_api.charges import DemoCalls
from tests.pix_api.clients import demo_client
from tests.support.api_pix import PixApi

ANA, CAROL = "12345678909", "52998224725"
TXID = "a" * 30
DAY = 86_400


@pytest.fixture
def charge(app):
    """A charge whose debtor was Ana, and is Carol now."""
    call = DemoCalls(app)
    call.create(TXID, infoAdicionais=[{"nome": "Para", "valor": "Ana, Rua A 1"}])
    devedor = {"cpf": CAROL, "nome": "Carol Dias"}
    assert call("PATCH", f"/cob/{TXID}", {"devedor": devedor}).status_code == 200
    return call


def stored(app) -> str:
    """All that the tables of charges hold, as text."""
    with app.app_context(), reading() as work:
        states = work.session.scalars(select(ChargeRevision.state)).all()
        query = select(Payment.payer_name, Payment.payer_document, Payment.charge_terms)
        rows = [list(row) for row in work.session.execute(query)]
        return json.dumps([rows, states])


def test_the_names_of_the_personal_members_are_those_of_charges():
    assert set(PERSONAL_TERMS) == {DEBTOR, INFO}


def test_old_charges_lose_their_payers_with_all_revisions(charge, app, settings, clock):
    """To the last second kept, then erased; the amount stays."""
    clock.advance(seconds=settings.payer_data_days * DAY)
    with app.app_context():
        assert PayerDataEraser(settings).run(lambda: True) == 0
        clock.advance(seconds=1)
        assert PayerDataEraser(settings).run(lambda: True) == 3
        assert PayerDataEraser(settings).run(lambda: True) == 0
    for word in (ANA, CAROL, "Ana", "Carol", "Rua A"):
        assert word not in stored(app)
    call = DemoCalls(app)  # Its token is new; the old one has ended.
    assert call("GET", f"/cob/{TXID}").get_json()["valor"]["original"] == "10.00"
    assert call("GET", f"/cob/{TXID}?revisao=0").get_json()["valor"]["original"] == "10.00"


def test_a_former_debtor_is_exported_and_erased(charge, app):
    """Ana is named by the old revision alone; Carol keeps her data."""
    with app.app_context(), reading() as work:
        export = export_payer(work, ANA)
    assert export["payments"] == []
    assert [(old["revision"], old["payer_name"]) for old in export["revisions"]] == [
        (0, "Ana Souza")
    ]
    with app.app_context():
        assert in_unit_of_work(lambda work: erase_payer(work, ANA)) == 1
        assert in_unit_of_work(lambda work: erase_payer(work, ANA)) == 0
    assert ANA not in stored(app)
    assert "Ana Souza" not in stored(app)
    assert CAROL in stored(app)


def test_the_debtor_is_exported_with_the_texts_and_erased(charge, app):
    """The lines for the payer may name a person."""
    with app.app_context(), reading() as work:
        export = export_payer(work, CAROL)
    assert export["payments"][0]["charge_terms"][INFO][0]["valor"] == "Ana, Rua A 1"
    with app.app_context():
        assert in_unit_of_work(lambda work: erase_payer(work, CAROL)) == 3
    for word in (CAROL, "Carol", "Rua A"):
        assert word not in stored(app)


@pytest.fixture
def batch(app):
    """Charges of Ana and of Carol that wait in a batch."""
    api = PixApi(client=app.test_client(), token=demo_client(app).token(app))
    calls = BatchCalls(app, api, app.config["BALCAO"].demo_pix_key)
    infos = [{"nome": "Para", "valor": "Ana, Rua A 1"}]
    ana = calls.charge(
        1, devedor={"cpf": ANA, "nome": "Ana Souza"}, infoAdicionais=infos, solicitacaoPagador="Ana"
    )
    calls.put(1, ana, calls.charge(2, devedor={"cpf": CAROL, "nome": "Carol Dias"}))
    return calls


def waiting_text(batch) -> str:
    """The bodies that wait, as text."""
    return json.dumps(batch.waiting_bodies())


def test_a_debtor_who_waits_in_a_batch_is_exported_and_erased(batch, app):
    """Then that charge lacks its debtor, and is refused; the other person's is created."""
    with app.app_context(), reading() as work:
        [waiting] = export_payer(work, ANA)["waiting_charges"]
    assert (waiting["batch"], waiting["txid"]) == (1, txid_of(1))
    assert waiting["devedor"]["nome"] == "Ana Souza"
    with app.app_context():
        assert in_unit_of_work(lambda work: erase_payer(work, ANA)) == 1
        assert in_unit_of_work(lambda work: erase_payer(work, ANA)) == 0
    assert ANA not in waiting_text(batch)
    assert "Ana" not in waiting_text(batch)
    assert CAROL in waiting_text(batch)
    batch.work()
    assert batch.statuses(1) == [REFUSED, CREATED]
    assert paths_of_problem(batch.problem(1)) == ["cobv.devedor"]


def test_debtors_who_wait_for_too_long_are_erased(batch, app, settings, clock):
    """A service that was stopped for months must not begin with old names."""
    clock.advance(seconds=settings.payer_data_days * DAY)
    with app.app_context():
        assert PayerDataEraser(settings).run(lambda: True) == 0
        clock.advance(seconds=1)
        assert PayerDataEraser(settings).run(lambda: True) == 2
        assert PayerDataEraser(settings).run(lambda: True) == 0
    for word in (ANA, CAROL, "Ana", "Carol"):
        assert word not in waiting_text(batch)


def test_nothing_of_a_debtor_stays_in_a_batch_that_is_done(batch, app):
    """The charge has the data, and rules of its own; a refused one leaves none."""
    batch.put(2, batch.charge(3, devedor={"cpf": ANA, "nome": "Ana " * 99}), dialect="too long")
    batch.work()
    with app.app_context(), reading() as work:
        rows = [
            [str(value) for value in row]
            for table in ("charge_batches", "charge_batch_items", "charge_batch_requests")
            for row in work.connection.exec_driver_sql(f"SELECT * FROM {table}")  # noqa: S608
        ]
    assert rows
    for word in (ANA, CAROL, "Ana", "Carol"):
        assert word not in json.dumps(rows)
