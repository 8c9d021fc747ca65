"""Charges of mandates at the bank: their day, an empty account, cancellations, and races."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bank.mandates.tables import BankCollection, CollectionNotice
from bank.models import Notice, Transfer
from bank.money.audit import audit
from bank.money.notice_queue import LEASE
from core.pix.business_days import BRASILIA
from tests.bank.automatic import (
    active_mandate,
    collection_in,
    collection_order,
    schedule,
    signed_post,
    today,
)
from tests.bank.conftest import hidden_fields

ROOT = Path(__file__).resolve().parents[2]


def go_to(bank, day, hour):
    """Set the bank's clock to an hour of a day in Brasília."""
    at = datetime.combine(day, time(hour), BRASILIA)
    bank.clock.advance((at - bank.clock.now()).total_seconds())


def settlement_day(bank, days=3):
    """The day in so many days."""
    return today(bank) + timedelta(days=days)


def page_of(bank, order):
    """The text of a charge's page."""
    return bank.client.get(f"/collections/{order['end_to_end_id']}").text.replace("\xa0", " ")


def press(bank, order, deed, page=None):
    """Send one of the forms of a charge's page."""
    form = hidden_fields(page or bank.client.get("/").text)
    return bank.client.post(f"/collections/{order['end_to_end_id']}/{deed}", data=form)


def count(bank, column, *conditions):
    """How many rows have this column."""
    with bank.branch.database.reading() as session:
        return session.scalar(select(func.count(column)).where(*conditions))


def told_failures(service):
    """The failures that the service has heard of: id and code."""
    bodies = [notice.members for notice in service.notices]
    return [(one["end_to_end_id"], one["code"]) for one in bodies if "code" in one]


def test_a_charge_is_paid_on_its_day_and_confirmed_as_a_payment(bank, service):
    """Not before 00:00 in Brasília; once, with the end_to_end_id that the service chose."""
    id_rec = active_mandate(bank)
    day = settlement_day(bank)
    order = schedule(bank, id_rec, info="Mensalidade de março")
    bank.log_in()
    assert "agendada" in bank.client.get(f"/mandates/{id_rec}").text
    for words in ("Cobrança agendada", "R$ 35,00", f"{day:%d/%m/%Y}", "Mensalidade de março"):
        assert words in page_of(bank, order)
    balance = bank.balance()
    go_to(bank, day, 0)
    bank.clock.advance(-1)
    assert bank.branch.collections.pay_due() == 0
    bank.clock.advance(1)
    assert [bank.branch.collections.pay_due() for _ in range(2)] == [1, 0]

    assert bank.balance() == balance - 3500
    service.notices.clear()
    bank.clock.ahead = timedelta(0)  # the double checks signatures by the machine's clock
    with bank.branch.database.writing() as session:
        session.scalars(select(Notice)).one().next_attempt_at = bank.clock.now()
    bank.branch.outbox.send_due()
    [notice] = service.notices
    assert notice.members["bank_payment_id"] == order["txid"]
    assert notice.members["end_to_end_id"] == order["end_to_end_id"]
    assert notice.members["value"] == 35.0
    assert notice.members["payer"]["name"] == "Bia Andrade"
    bank.log_in()
    assert "Ver recibo" in page_of(bank, order)
    assert "Pix confirmado" in bank.client.get(f"/transfers/{order['end_to_end_id']}").text
    assert "paga" in bank.client.get(f"/mandates/{id_rec}").text
    cancel = {"end_to_end_id": order["end_to_end_id"]}
    answer = signed_post(bank, "/api/collections/cancel", cancel)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "collection-closed")
    other_attempt = collection_order(bank, id_rec, txid=order["txid"])
    answer = signed_post(bank, "/api/collections", other_attempt)
    assert answer.get_json()["code"] == "already-scheduled"
    refund = {"end_to_end_id": order["end_to_end_id"], "refund_id": "R1", "value": 35.0}
    assert signed_post(bank, "/api/refunds", refund).get_json()["status"] == "done"
    assert audit(bank.branch.database).faults == ()


def test_an_empty_account_is_tried_twice_and_then_fails(bank, service):
    """Dora has R$ 37,90: one charge of R$ 35,00 is paid, the other fails after 18:00."""
    id_rec = active_mandate(bank, "dora")
    day = settlement_day(bank)
    paid, unpaid = schedule(bank, id_rec), schedule(bank, id_rec)
    go_to(bank, day, 9)
    assert bank.branch.collections.pay_due() == 2
    assert bank.branch.collections.pay_due() == 0
    assert (collection_in(bank, paid).status, collection_in(bank, unpaid).status) == (
        "paid",
        "scheduled",
    )
    go_to(bank, day, 18)
    assert bank.branch.collections.pay_due() == 1
    failed = collection_in(bank, unpaid)
    assert (failed.status, failed.reason, failed.tries) == ("failed", "no-funds", 2)
    assert bank.balance("dora") == 290

    service.answers = [503, 200]
    bank.clock.ahead = timedelta(0)
    with bank.branch.database.writing() as session:
        session.scalars(select(CollectionNotice)).one().next_attempt_at = bank.clock.now()
    for _ in range(3):
        bank.branch.collection_outbox.send_due()
        bank.clock.advance(2)
    assert told_failures(service) == [(unpaid["end_to_end_id"], "no-funds")] * 2
    [body] = {notice.body for notice in service.notices if b'"code"' in notice.body}
    assert json.loads(body) == {
        "txid": unpaid["txid"],
        "end_to_end_id": unpaid["end_to_end_id"],
        "code": "no-funds",
        "text": "A conta do pagador não tinha saldo no dia da cobrança",
    }
    bank.log_in("dora")
    assert "A conta não tinha saldo nas duas tentativas do dia." in page_of(bank, unpaid)


def test_money_that_arrives_before_the_evening_is_enough(bank):
    """And a bank that was closed all day tries once, and does not wait for another evening."""
    id_rec = active_mandate(bank, "dora")
    day = settlement_day(bank)
    first, second = schedule(bank, id_rec), schedule(bank, id_rec)
    go_to(bank, day, 1)
    bank.branch.collections.pay_due()
    refund = {"end_to_end_id": first["end_to_end_id"], "refund_id": "R1", "value": 35.0}
    if collection_in(bank, first).status != "paid":
        refund["end_to_end_id"] = second["end_to_end_id"]
    assert signed_post(bank, "/api/refunds", refund).get_json()["status"] == "done"
    go_to(bank, day, 19)
    assert bank.branch.collections.pay_due() == 1
    assert {collection_in(bank, one).status for one in (first, second)} == {"paid"}

    late = schedule(bank, id_rec, days=1)
    go_to(bank, day, 9)
    bank.clock.advance(3 * 86_400)
    assert bank.branch.collections.pay_due() == 1
    assert (collection_in(bank, late).status, collection_in(bank, late).tries) == ("failed", 1)


def test_the_client_cancels_a_charge_until_the_end_of_the_day_before(bank, service):
    id_rec = active_mandate(bank)
    early, late = schedule(bank, id_rec), schedule(bank, id_rec)
    bank.log_in()
    page = page_of(bank, early)
    assert "Cancelar esta cobrança" in page
    for _ in range(2):
        assert press(bank, early, "cancel").status_code == 303
    assert "Você cancelou esta cobrança." in page_of(bank, early)
    assert bank.client.post(f"/collections/{late['end_to_end_id']}/cancel").status_code == 400
    bank.branch.collection_outbox.send_due()
    assert told_failures(service) == [(early["end_to_end_id"], "cancelled-by-payer")]
    go_to(bank, settlement_day(bank), 0)
    bank.log_in()
    assert "Cancelar esta cobrança" not in page_of(bank, late)
    answer = press(bank, late, "cancel")
    assert (answer.status_code, "até o fim da véspera" in answer.text) == (409, True)
    assert collection_in(bank, late).status == "scheduled"


def test_a_mandate_that_the_client_cancels_ends_its_charges(bank, service):
    """Each is told. A charge that was paid or cancelled stays as it is."""
    id_rec = active_mandate(bank)
    order, simulated, third = (schedule(bank, id_rec) for _ in range(3))
    bank.log_in()
    press(bank, simulated, "simulate")
    press(bank, third, "cancel")
    form = hidden_fields(bank.client.get(f"/mandates/{id_rec}/cancel").text)
    for _ in range(2):
        bank.client.post(f"/mandates/{id_rec}/cancel", data=form)
    bank.branch.collection_outbox.send_due()
    assert sorted(told_failures(service)) == sorted(
        [
            (order["end_to_end_id"], "mandate-ended"),
            (third["end_to_end_id"], "cancelled-by-payer"),
        ]
    )
    assert collection_in(bank, simulated).status == "paid"
    assert "Você cancelou este Pix Automático." in page_of(bank, order)
    go_to(bank, settlement_day(bank), 1)
    assert bank.branch.collections.pay_due() == 0


def test_developers_play_the_day_of_a_charge(bank, service):
    """By a button and by the API, with the code of the job. Without money it fails at once."""
    id_rec = active_mandate(bank, "dora")
    by_button, by_api = schedule(bank, id_rec), schedule(bank, id_rec)
    bank.log_in("dora")
    assert "Só existe neste simulador" in page_of(bank, by_button)
    assert press(bank, by_button, "simulate").status_code == 303
    assert "Cobrança paga" in page_of(bank, by_button)
    answers = [
        bank.client.post(
            "/api/collections/simulate", json={"end_to_end_id": by_api["end_to_end_id"]}
        ).get_json()["collection"]
        for _ in range(2)
    ]
    assert [(one["status"], one["reason"]) for one in answers] == [("failed", "no-funds")] * 2
    bank.branch.outbox.send_due()
    bank.branch.collection_outbox.send_due()
    assert told_failures(service) == [(by_api["end_to_end_id"], "no-funds")]
    assert service.notices[-2].members["end_to_end_id"] == by_button["end_to_end_id"]
    for body in ({}, {"end_to_end_id": "x"}):
        assert bank.client.post("/api/collections/simulate", json=body).status_code == 400
    object.__setattr__(bank.branch.settings, "demo", False)
    assert "Simular" not in page_of(bank, by_api)
    assert press(bank, by_api, "simulate").status_code == 404


def test_money_of_a_charge_that_the_company_refuses_comes_back(bank, service):
    """As of any payment, because the confirmation is an ordinary one."""
    order = schedule(bank, active_mandate(bank))
    balance = bank.balance()
    service.answers = [(409, "paid-too-late")]
    bank.branch.collections.pay_now(order["end_to_end_id"])
    bank.branch.outbox.send_due()
    assert bank.balance() == balance
    bank.log_in()
    assert "o valor voltou inteiro para a sua conta" in page_of(bank, order)
    assert audit(bank.branch.database).faults == ()


def test_nobody_sees_cancels_or_simulates_another_clients_charge(bank):
    order = schedule(bank, active_mandate(bank))
    bank.log_in("caio")
    assert bank.client.get(f"/collections/{order['end_to_end_id']}").status_code == 404
    assert bank.client.get("/collections/x").status_code == 404
    for deed in ("cancel", "simulate"):
        assert press(bank, order, deed).status_code == 404
    assert collection_in(bank, order).status == "scheduled"
    bank.client.delete_cookie("bank_session")
    assert "/login" in bank.client.get(f"/collections/{order['end_to_end_id']}").location


def test_workers_at_once_pay_a_charge_once(any_bank):
    """On every engine: jobs of two processes, the simulator and a cancellation meet."""
    id_rec = active_mandate(any_bank)
    orders = [schedule(any_bank, id_rec, days=0) for _ in range(3)]
    balance = any_bank.balance()
    cancelled = {"end_to_end_id": orders[2]["end_to_end_id"]}

    def work(number):
        if number % 3 == 0:
            any_bank.branch.collections.pay_due()
        elif number % 3 == 1:
            any_bank.branch.collections.pay_now(orders[0]["end_to_end_id"])
        else:
            any_bank.branch.mandates.end_for_payee(id_rec)

    with ThreadPoolExecutor(6) as workers:
        list(workers.map(work, range(6)))
    any_bank.branch.collections.pay_due()
    signed_post(any_bank, "/api/collections/cancel", cancelled)
    statuses = [collection_in(any_bank, order).status for order in orders]
    assert set(statuses) <= {"paid", "cancelled"}
    paid = statuses.count("paid")
    assert any_bank.balance() == balance - 3500 * paid
    assert count(any_bank, Transfer.id, Transfer.kind == "payment") == paid
    assert count(any_bank, Notice.id) == paid
    assert count(any_bank, BankCollection.id, BankCollection.transfer_id.is_not(None)) == paid
    assert audit(any_bank.branch.database).faults == ()


PAY_AND_DIE = """
import os, signal, sys
from sqlalchemy import event
from bank.app import create_bank_app
from bank.branch import EXTENSION
from bank.models import Notice
from bank.settings import BankSettings
url, secret, service, when = sys.argv[1:]
settings = BankSettings(url, secret, service, "x" * 40, {})
branch = create_bank_app(settings).extensions[EXTENSION]
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if when == "before the commit":
    event.listen(Notice, "after_insert", die)
branch.collections.pay_due()
die()
"""


@pytest.mark.parametrize("when", ["before the commit", "after the commit"])
def test_a_bank_that_is_killed_pays_once(bank, service, when):
    """Money, status and notice are one transaction: all of it is there, or nothing."""
    order = schedule(bank, active_mandate(bank), days=0)
    balance = bank.balance()
    settings = bank.branch.settings
    arguments = [settings.database_url, settings.webhook_secret, service.url, when]
    process = subprocess.run([sys.executable, "-c", PAY_AND_DIE, *arguments], cwd=ROOT, check=False)
    assert process.returncode == -signal.SIGKILL
    is_paid = when == "after the commit"
    assert (collection_in(bank, order).status == "paid") is is_paid
    assert bank.balance() == balance - 3500 * is_paid
    bank.branch.collections.pay_due()
    assert bank.balance() == balance - 3500
    bank.branch.outbox.send_due()
    confirmations = [one for one in service.notices if b"bank_payment_id" in one.body]
    assert [one.members["end_to_end_id"] for one in confirmations] == [order["end_to_end_id"]]


def test_a_failure_whose_sender_was_killed_is_told_after_its_lease(bank, service):
    id_rec = active_mandate(bank)
    order = schedule(bank, id_rec)
    bank.log_in()
    press(bank, order, "cancel")
    with bank.branch.database.writing() as session:  # a worker claimed it and died
        notice = session.scalars(select(CollectionNotice)).one()
        notice.attempts, notice.next_attempt_at = 1, bank.clock.now() + LEASE
    assert bank.branch.collection_outbox.send_due() == 0
    bank.clock.advance(LEASE.total_seconds() + 1)
    assert bank.branch.collection_outbox.send_due() == 1
    assert told_failures(service) == [(order["end_to_end_id"], "cancelled-by-payer")]
