"""The record of charges that a job creates: it names the client that sent the batch."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import select

from accounts import audit
from blueprints.pix_api import batch_work
from config import parts_of
from db_models import AuditEntry, PaymentEvent
from db_models.base import db
from tests.faults.storm import wait_until
from tests.pix_api.batches import CREATED, BatchCalls, txid_of
from tests.pix_api.clients import demo_client, new_client
from tests.support.api_pix import PixApi

REMOVED = "REMOVIDA_PELO_USUARIO_RECEBEDOR"


@pytest.fixture
def pix_client(app):
    """A client of the demo merchant with a label."""
    return new_client(app, "demo", label="SDK da loja")


@pytest.fixture
def calls(app, pix_client):
    """The demo merchant's batches, sent by that client."""
    api = PixApi(client=app.test_client(), token=pix_client.token(app))
    return BatchCalls(app, api, app.config["BALCAO"].demo_pix_key)


def test_a_charge_of_a_batch_names_the_client_and_the_request(calls, app, pix_client):
    """In the events of its creation and of each revision, and in the row of its removal."""
    items = [calls.charge(1)]
    for method, request_id, changes in (
        ("PUT", "batch-1", items),
        ("PATCH", "batch-2", [{"txid": txid_of(1), "valor": {"original": "2.00"}}]),
        ("PATCH", "batch-3", [{"txid": txid_of(1), "status": REMOVED}]),
    ):
        body = {"descricao": "Mensalidades", "cobsv": changes}
        headers = {"X-Request-ID": request_id}
        assert calls.api.request(method, "/lotecobv/1", body=body, headers=headers).status == 202
        calls.work()

    with app.app_context():
        events = db.session.scalars(select(PaymentEvent).order_by(PaymentEvent.id)).all()
        [row] = db.session.scalars(
            select(AuditEntry).where(AuditEntry.action == "payment.cancelled")
        ).all()
    client = {"key": pix_client.client_id, "key_name": "SDK da loja", "is_client": "yes"}
    assert [event.data.get("author") for event in events[:2]] == [
        {**client, "request_id": "batch-1"},
        {**client, "request_id": "batch-2"},
    ]
    assert (row.request_id, row.details) == ("batch-3", client)


def test_the_author_ends_with_the_item(calls, app):
    """Otherwise what the job does next would be that client's."""
    calls.put(1, calls.charge(1), calls.charge(2, chave="other@example.com"))
    with app.app_context():
        batch_work.work_on_waiting()
        assert audit.author() == {}


def test_the_work_begins_soon_after_the_answer(calls, app):
    """A serving process does not wait for the next tick of the job."""
    work_soon = partial(batch_work.work_soon, app, lambda: True)
    parts_of(app).batch_listeners.append(work_soon)

    calls.put(1, calls.charge(1))

    wait_until(lambda: calls.statuses(1) == [CREATED], 10, "the charge")


def test_the_job_leaves_the_work_to_the_worker_of_its_process(calls, app, monkeypatch):
    """Both would wait for the same rows."""
    inner = []

    def run_beside(*arguments):
        inner.append(batch_work.run())
        return apply(*arguments)

    apply = batch_work.apply
    monkeypatch.setattr(batch_work, "apply", run_beside)
    calls.put(1, calls.charge(1))
    with app.app_context():
        assert batch_work.run() == 1
        assert batch_work.run() == 0
    assert inner == [0]


def test_the_token_is_that_of_another_client_each_time(calls, app, pix_client):
    """A revision names its own client, not the one that created the batch."""
    calls.put(1, calls.charge(1))
    calls.work()
    other = BatchCalls(app, calls.api.as_bearer(demo_client(app).token(app)), calls.key)
    other.patch(1, {"txid": txid_of(1), "valor": {"original": "2.00"}})
    other.work()
    with app.app_context():
        events = db.session.scalars(select(PaymentEvent).order_by(PaymentEvent.id)).all()
    keys = [event.data["author"]["key"] for event in events]
    assert keys == [pix_client.client_id, demo_client(app).client_id]
