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
from tests.pix_api.charges import DemoCalls

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
