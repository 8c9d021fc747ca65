"""Callbacks of recurrences, on every engine: `POST {webhookUrl}/rec` after each new status."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa
from flask_migrate import downgrade, upgrade

from accounts.access import DEMO_LOGIN
from blueprints.pix_api.rec_bodies import RecBody
from config import parts_of
from db_models import DeliveryStatus, EndpointKind, WebhookAttempt, WebhookDelivery
from payments.recurring import recurrences
from repository.database import in_unit_of_work, reading
from repository.webhook_deliveries import WebhookDeliveries
from server.schema import MIGRATIONS
from tests.db.tables import Tables
from tests.pix_api.charges import DemoCalls
from tests.pix_api.recurrences import REJECTION, accept, change, offer, rec_body
from tests.support.api_pix import check_rec_callback
from tests.support.service import close_app, ready_app, settings_for
from tests.webhooks.shops import open_shop, send_all
from webhooks import endpoints
from webhooks.pix_callbacks import GROUP_MAX

COB, OTHER_COB = "a" * 30, "b" * 30
CANCELLATION = {"status": "CANCELADA"}


@pytest.fixture
def app(processes):
    """The service."""
    return processes.app()


@pytest.fixture
def call(app):
    """The demo merchant's calls."""
    return DemoCalls(app)


@pytest.fixture
def shop(clock):
    """The merchant's server; what it got must have the form of the official document."""
    with open_shop(clock) as shop:
        yield shop
        for event in shop.events:
            check_rec_callback(event)


@pytest.fixture
def registered(call, shop):
    """The merchant's address for recurrences."""
    assert call("PUT", "/webhookrec", {"webhookUrl": f"{shop.url}?ignorar="}).status_code == 200


def activation(txid):
    """The member that names the charge whose payment accepts."""
    return {"ativacao": {"dadosJornada": {"txid": txid}}}


def recs_of(shop):
    """All recurrences that came, in order."""
    return [rec for event in shop.events for rec in event["recs"]]


def deliveries(app):
    """All deliveries, oldest first."""
    with app.app_context(), reading() as work:
        query = sa.select(WebhookDelivery).order_by(WebhookDelivery.id)
        return work.session.scalars(query).all()


def cancel(call, rec):
    """The merchant cancels a recurrence."""
    assert call("PATCH", f"/rec/{rec['idRec']}", CANCELLATION).status_code == 200


def test_each_new_status_is_told_as_it_stood(app, call, shop, registered, clock):
    """The bytes stay the same, and a cancellation waits until the acceptance has arrived.

    What the merchant's own request makes, and a change of the terms, is no new status.
    """
    for txid in (COB, OTHER_COB):
        call.create(txid)
    rec = offer(call, clock, **activation(COB))
    name = {"vinculo": {"devedor": {"nome": "Bia Andrade"}}}
    assert call("PATCH", f"/rec/{rec['idRec']}", name).status_code == 200
    send_all(app, clock)
    assert deliveries(app) == []

    shop.answer = lambda _: (500, {})
    accept(app, rec["idRec"], journey=3)
    approved = call("GET", f"/rec/{rec['idRec']}").get_json()
    send_all(app, clock)
    assert call("PATCH", f"/rec/{rec['idRec']}", activation(OTHER_COB)).status_code == 200
    cancel(call, rec)
    cancelled = call("GET", f"/rec/{rec['idRec']}").get_json()
    send_all(app, clock)
    assert [one["status"] for one in recs_of(shop)] == ["APROVADA"] * len(shop.events)
    shop.answer = lambda _: (200, {})
    clock.advance(hours=2)
    send_all(app, clock)

    members = ("idRec", "status", "atualizacao", "ativacao", "encerramento")
    first, *_, last = recs_of(shop)
    assert first == {name: approved[name] for name in members if name in approved}
    assert first["ativacao"] == {"tipoJornada": "JORNADA_3", "dadosJornada": {"txid": COB}}
    assert last == {name: cancelled[name] for name in members}
    assert last["encerramento"]["cancelamento"]["solicitante"] == "USUARIO_RECEBEDOR"
    assert len(set(shop.bodies)) == 2
    assert set(shop.paths) == {"/hook?ignorar=/rec"}
    debtor = rec["vinculo"]["devedor"]
    for person in (debtor["cpf"], "Bia", debtor["nome"], approved["pagador"]["cpf"]):
        assert person.encode() not in b"".join(shop.bodies)


def test_refusals_and_expiries_share_a_call(app, call, shop, registered, clock):
    rejected, expired = offer(call, clock), offer(call, clock)
    change(app, rejected["idRec"], recurrences.reject, REJECTION)
    change(app, expired["idRec"], recurrences.expire)

    send_all(app, clock)

    [event] = shop.events
    words = {one["idRec"]: (one["status"], one.get("encerramento")) for one in event["recs"]}
    reason = {"rejeicao": {"codigo": REJECTION.code, "descricao": REJECTION.text}}
    assert words == {
        rejected["idRec"]: ("REJEITADA", reason),
        expired["idRec"]: ("EXPIRADA", None),
    }


def test_a_call_has_at_most_fifty_and_each_delivery_is_booked(app, call, shop, registered, clock):
    body = RecBody.model_validate(rec_body(clock))

    def cancel_many(work):
        merchant = work.accounts.by_login(DEMO_LOGIN)
        records = [recurrences.create(work, merchant, body.offer(), None) for _ in range(number)]
        return [recurrences.cancel(work, record).recurrence.id_rec for record in records]

    number = GROUP_MAX + 2
    with app.app_context():
        ids = in_unit_of_work(cancel_many)
    send_all(app, clock)

    assert [len(event["recs"]) for event in shop.events] == [GROUP_MAX, 2]
    assert sorted(one["idRec"] for one in recs_of(shop)) == sorted(ids)
    with app.app_context(), reading() as work:
        attempts = work.session.scalars(sa.select(WebhookAttempt)).all()
    assert len({attempt.delivery_id for attempt in attempts}) == len(attempts) == number
    assert {one.status for one in deliveries(app)} == {DeliveryStatus.DELIVERED}


def test_the_delivery_is_stored_with_the_status_or_not_at_all(
    processes, app, call, shop, registered, clock
):
    """The sender is woken after the commit; if its process dies there, another one sends."""
    woken = []
    parts_of(app).ledger.on_deliveries = lambda: woken.append(len(deliveries(app)))
    rec = offer(call, clock)

    def fail_afterwards(work, record):
        recurrences.cancel(work, record)
        raise LookupError

    with pytest.raises(LookupError):
        change(app, rec["idRec"], fail_afterwards)
    assert (deliveries(app), woken) == ([], [])
    assert call("GET", f"/rec/{rec['idRec']}").get_json()["status"] == "CRIADA"

    cancel(call, rec)
    assert woken == [1]
    send_all(processes.app(1), clock)
    assert [one["status"] for one in recs_of(shop)] == ["CANCELADA"]


def test_nothing_waits_for_a_merchant_without_an_address(app, call, shop, clock):
    """Neither one that never had it, nor one that dropped it, nor one of other callbacks."""
    assert call("PUT", "/webhookcobr", {"webhookUrl": shop.url}).status_code == 200
    cancel(call, offer(call, clock))
    assert call("PUT", "/webhookrec", {"webhookUrl": shop.url}).status_code == 200
    first, second = offer(call, clock), offer(call, clock)
    cancel(call, first)
    assert call("DELETE", "/webhookrec").status_code == 204
    cancel(call, second)

    send_all(app, clock)

    assert (len(deliveries(app)), shop.events) == (1, [])
    assert call("PUT", "/webhookrec", {"webhookUrl": shop.url}).status_code == 200
    send_all(app, clock)
    assert shop.events == []


def test_the_portal_sends_one_again_with_the_same_bytes(app, call, shop, registered, clock):
    cancel(call, offer(call, clock))
    send_all(app, clock)

    def again(work):
        merchant = work.accounts.by_login(DEMO_LOGIN)
        own = WebhookDeliveries(work).own(merchant.id, deliveries(app)[0].public_id)
        endpoints.redeliver(work, merchant, *own)

    with app.app_context():
        in_unit_of_work(again)
    send_all(app, clock)

    assert len(shop.bodies) == 2
    assert shop.bodies[0] == shop.bodies[1]
    assert json.loads(shop.bodies[0]) == shop.events[0]


@pytest.mark.slow
def test_an_operator_goes_back_and_the_callbacks_are_deleted(
    any_empty_database_url, tmp_path, clock
):
    """The older version would send them as pings, to an address that expects none."""
    app = ready_app(settings_for(any_empty_database_url, tmp_path), clock)
    try:
        call, tables = DemoCalls(app), Tables(any_empty_database_url)
        with open_shop(clock) as shop:
            call("PUT", f"/webhook{EndpointKind.REC}", {"webhookUrl": shop.url})
            cancel(call, offer(call, clock))
            send_all(app, clock)
        assert len(shop.events) == 1
        with app.app_context():
            downgrade(directory=str(MIGRATIONS), revision="0025")
            assert tables.rows("SELECT id FROM webhook_deliveries") == []
            upgrade(directory=str(MIGRATIONS))
        cancel(call, offer(call, clock))
        assert len(deliveries(app)) == 1
    finally:
        close_app(app)
