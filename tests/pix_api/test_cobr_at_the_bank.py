"""Charges of a recurrence from the merchant's client to the payer's account, over HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bank.mandates.desk import MandateOrder
from bank.money.payers import payer_by_handle
from core.pix.business_days import brasilia_day
from payments.recurring import order_sender
from tests.pix_api.charges import DemoCalls
from tests.pix_api.recurrences import offer, reserve
from tests.pix_api.recurring_charges import charged, day_after, order_due, read, words
from tests.support.town import town


@pytest.fixture
def here(fresh_database, tmp_path):
    """A service and its bank."""
    with town(fresh_database("sqlite"), tmp_path) as new_town:
        yield new_town


def accepted_by(here, call, handle):
    """A recurrence from today on that a client of the bank has accepted by its code."""
    calendar = {"dataInicial": str(brasilia_day(here.clock.now())), "periodicidade": "MENSAL"}
    rec = offer(call, here.clock, loc=reserve(call)["id"], calendario=calendar)
    code = call("GET", f"/rec/{rec['idRec']}").get_json()["dadosQR"]["pixCopiaECola"]
    with here.branch.database.reading() as session:
        client = payer_by_handle(session, handle)
    agreed = here.branch.mandates.read(code).terms.fingerprint()
    here.branch.mandates.authorise(MandateOrder(code, rec["idRec"], agreed, client), "1234")
    return rec


def send_orders(here):
    """Run the jobs that order charges."""
    order_due(here.app)
    with here.app.app_context():
        return order_sender.run()


def tell(here):
    """Run the bank's jobs: what is due is paid, and everything is told."""
    here.branch.collections.pay_due()
    here.branch.outbox.send_due()
    here.branch.collection_outbox.send_due()


def end_to_end_ids(cobr):
    """The ids of its attempts."""
    return [attempt["endToEndId"] for attempt in cobr["tentativas"]]


def test_a_charge_is_scheduled_paid_on_its_day_and_settled(here):
    """The merchant sees each step, and the money leaves once."""
    call = DemoCalls(here.app)
    rec = accepted_by(here, call, "bia")
    balance = here.balance()
    cobr = charged(call, rec, day_after(here.clock, 3))
    send_orders(here)
    assert words(read(call, cobr)) == (["CRIADA", "ATIVA"], [["SOLICITADA", "AGENDADA"]])
    tell(here)
    assert here.balance() == balance

    here.clock.advance(days=3)
    for _ in range(2):
        tell(here)

    call = DemoCalls(here.app)
    paid = read(call, cobr)
    assert paid["status"] == "CONCLUIDA"
    assert words(paid)[1] == [["SOLICITADA", "AGENDADA", "PAGA"]]
    assert here.balance() == balance - 3500
    assert here.audit().faults == ()


def test_an_empty_account_expires_the_attempt_and_a_client_cancels_the_next(here):
    """Dora's R$ 37,90 pay one charge; the bank's codes become the standard's statuses."""
    call = DemoCalls(here.app)
    rec = accepted_by(here, call, "dora")
    first = charged(call, rec, day_after(here.clock, 3))
    second = charged(call, rec, day_after(here.clock, 33))
    send_orders(here)
    for end_to_end_id in end_to_end_ids(read(call, first)):
        assert here.branch.collections.pay_now(end_to_end_id).status == "paid"
    here.clock.advance(days=30)
    send_orders(here)
    call = DemoCalls(here.app)
    [end_to_end_id] = end_to_end_ids(read(call, second))
    assert here.branch.collections.pay_now(end_to_end_id).status == "failed"
    tell(here)
    assert read(call, first)["status"] == "CONCLUIDA"
    assert words(read(call, second))[1] == [["SOLICITADA", "AGENDADA", "EXPIRADA"]]
    assert here.balance("dora") == 290


def test_either_side_cancels_a_scheduled_charge(here):
    """The merchant by PATCH, the client in the app, and the client by the whole mandate."""
    call = DemoCalls(here.app)
    rec = accepted_by(here, call, "bia")
    by_merchant, by_client = (charged(call, rec, day_after(here.clock, days)) for days in (3, 33))
    send_orders(here)
    [first_id] = end_to_end_ids(read(call, by_merchant))
    answer = call("PATCH", f"/cobr/{by_merchant['txid']}", {"status": "CANCELADA"})
    assert answer.status_code == 200, answer.text
    send_orders(here)
    with here.branch.database.reading() as session:
        bia = payer_by_handle(session, "bia")
    assert here.branch.collections.pay_now(first_id).status == "cancelled"

    here.clock.advance(days=30)
    send_orders(here)
    call = DemoCalls(here.app)
    [second_id] = end_to_end_ids(read(call, by_client))
    here.branch.collections.cancel_for_payer(bia, second_id)
    tell(here)
    assert read(call, by_client)["status"] == "CANCELADA"
    third = charged(call, rec, day_after(here.clock, 33) + timedelta(days=2))
    here.clock.advance(days=30)
    send_orders(here)
    here.branch.mandates.cancel(bia, rec["idRec"])
    tell(here)
    call = DemoCalls(here.app)
    assert read(call, third)["status"] == "CANCELADA"
    assert here.audit().faults == ()
