"""The debtors of charges that wait in a batch, on each engine: each reads JSON in its own way."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from payments.privacy import PayerDataEraser, erase_payer, export_payer
from repository.database import in_unit_of_work, reading
from tests.pix_api.batches import CREATED, REFUSED, BatchCalls, paths_of_problem, txid_of
from tests.pix_api.clients import demo_client
from tests.support.api_pix import PixApi

ANA, CAROL, SHOP = "12345678909", "52998224725", "12345678000195"
DAY = 86_400


@pytest.fixture
def batch(each_app):
    """Charges of Ana, of Carol and of a company that wait in a batch."""
    api = PixApi(client=each_app.test_client(), token=demo_client(each_app).token(each_app))
    calls = BatchCalls(each_app, api, each_app.config["BALCAO"].demo_pix_key)
    infos = [{"nome": "Para", "valor": "Ana, Rua A 1"}]
    ana = calls.charge(
        1, devedor={"cpf": ANA, "nome": "Ana Souza"}, infoAdicionais=infos, solicitacaoPagador="Ana"
    )
    carol = calls.charge(2, devedor={"cpf": CAROL, "nome": "Carol Dias"})
    calls.put(1, ana, carol, calls.charge(3, devedor={"cnpj": SHOP, "nome": "Loja"}))
    return calls


def test_a_debtor_who_waits_in_a_batch_is_exported_and_erased(batch, each_app):
    """Then that charge lacks its debtor, and is refused; those of others are created."""
    with each_app.app_context(), reading() as work:
        [waiting] = export_payer(work, ANA)["waiting_charges"]
        [of_shop] = export_payer(work, SHOP)["waiting_charges"]
    assert (waiting["batch"], waiting["txid"]) == (1, txid_of(1))
    assert (waiting["devedor"]["nome"], of_shop["devedor"]["nome"]) == ("Ana Souza", "Loja")
    with each_app.app_context():
        assert in_unit_of_work(lambda work: erase_payer(work, ANA)) == 1
        assert in_unit_of_work(lambda work: erase_payer(work, ANA)) == 0
    text = json.dumps(batch.waiting_bodies())
    assert ANA not in text
    assert "Ana" not in text
    assert CAROL in text
    batch.work()
    assert batch.statuses(1) == [REFUSED, CREATED, CREATED]
    assert paths_of_problem(batch.problem(1)) == ["cobv.devedor"]


def test_debtors_who_wait_for_too_long_are_erased(batch, each_app, settings, clock):
    """A service that was stopped for months must not begin with old names."""
    clock.advance(seconds=settings.payer_data_days * DAY)
    with each_app.app_context():
        assert PayerDataEraser(settings).run(lambda: True) == 0
        clock.advance(seconds=1)
        assert PayerDataEraser(settings).run(lambda: True) == 3
        assert PayerDataEraser(settings).run(lambda: True) == 0
    for word in (ANA, CAROL, "Ana", "Carol"):
        assert word not in json.dumps(batch.waiting_bodies())


def test_nothing_of_a_debtor_stays_in_a_batch_that_is_done(batch, each_app):
    """The charge has the data, and rules of its own; a refused one leaves none."""
    batch.put(2, batch.charge(3, devedor={"cpf": ANA, "nome": "Ana " * 99}), dialect="too long")
    batch.work()
    with each_app.app_context(), reading() as work:
        rows = [
            [str(value) for value in row]
            for table in ("charge_batches", "charge_batch_items", "charge_batch_requests")
            for row in work.connection.exec_driver_sql(f"SELECT * FROM {table}")  # noqa: S608
        ]
    assert rows
    for word in (ANA, CAROL, "Ana", "Carol"):
        assert word not in json.dumps(rows)


def test_the_error_of_a_failed_statement_names_no_debtor(each_app):
    """The job logs an unexpected error, with its statement, but not with the values."""
    query = sa.text("SELECT missing FROM payments WHERE payer_name = :name")
    with (
        each_app.app_context(),
        pytest.raises(sa.exc.DBAPIError, match="SELECT missing") as failure,
        reading() as work,
    ):
        work.connection.execute(query, {"name": "Ana Souza"})
    assert "Ana" not in str(failure.value)
