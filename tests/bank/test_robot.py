"""The robot payer: each order is paid once, at its time, or refused for good."""

from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from werkzeug.wrappers import Response

from bank.app import close_bank_app, create_bank_app
from bank.models import Notice, RobotOrder, Transfer
from bank.money import robot
from bank.money.audit import audit
from bank.money.ledger import balance_centavos
from bank.money.payers import demo_payers, payer_by_handle
from bank.money.robot import ATTEMPTS_MAX, ENDED_FOR, ROBOT
from bank.settings import BankSettings, own_host
from core.clock import rfc3339
from core.signing.signatures import signed_headers
from tests.bank.service_double import ServiceDouble


def send(bank, members, client=None, secret=None):
    """Send an order, signed over its body."""
    body = json.dumps(members).encode()
    key = secret or bank.branch.settings.webhook_secret
    headers = signed_headers(key, "msg_robot", bank.clock.now(), body)
    sender = client or bank.client
    return sender.post(
        "/api/robot-orders", data=body, headers=headers, content_type="application/json"
    )


def order(bank, code, seconds=0.0, **changes):
    """The body of an order to pay this code in some seconds."""
    pay_at = rfc3339(bank.clock.now() + timedelta(seconds=seconds))
    return {"order_id": secrets.token_hex(16), "code": code, "pay_at": pay_at, **changes}


def accepted(bank, code, seconds=0.0, **changes):
    """Send an order that the bank accepts; return its id."""
    members = order(bank, code, seconds, **changes)
    answer = send(bank, members)
    assert answer.status_code == 201, answer.text
    assert answer.get_json() == {
        "order_id": members["order_id"], "status": "waiting", "reason": None,
    }  # fmt: skip
    return members["order_id"]


def state_of(bank, order_id):
    """Status, reason and number of attempts of an order."""
    with bank.branch.database.reading() as session:
        query = select(RobotOrder.status, RobotOrder.reason, RobotOrder.attempts)
        return tuple(session.execute(query.where(RobotOrder.order_id == order_id)).one())


def payments(bank):
    """Amount and scenario of each payment, in order."""
    with bank.branch.database.reading() as session:
        query = select(Transfer.amount_centavos, Notice.scenario).join(
            Notice, Notice.transfer_id == Transfer.id
        )
        return [tuple(row) for row in session.execute(query.order_by(Transfer.id))]


def test_an_order_is_paid_at_its_time_and_not_before(bank, service):
    """A front-end developer wants a payment that is paid after three seconds."""
    code, _ = service.charge(bank.clock.now())
    order_id = accepted(bank, code, seconds=3)

    bank.clock.advance(2)
    assert bank.branch.robot.pay_due() == 0
    assert payments(bank) == []
    bank.clock.advance(1.01)
    assert bank.branch.robot.pay_due() == 1

    assert payments(bank) == [(5490, "normal")]
    assert state_of(bank, order_id) == ("paid", None, 1)
    assert len(service.notices) == 1
    assert bank.branch.robot.pay_due() == 0
    assert audit(bank.branch.database).faults == ()


def test_an_order_brings_its_own_scenario_whatever_mix_is_in_force(bank, service):
    """The mix is for payments that name no scenario; an order always names one."""
    bank.client.put("/api/chaos", json={"mix": "pay-less", "seed": 1})
    accepted(bank, service.charge(bank.clock.now())[0])
    accepted(bank, service.charge(bank.clock.now())[0], scenario="pay-more")
    accepted(bank, service.charge(bank.clock.now())[0], scenario="late", late_seconds=7)
    bank.branch.robot.pay_due()

    assert sorted(payments(bank)) == [(5490, "late"), (5490, "normal"), (5491, "pay-more")]
    bank.clock.advance(6)
    bank.branch.outbox.send_due()
    assert len(service.notices) == 2
    bank.clock.advance(2)
    bank.branch.outbox.send_due()
    assert len(service.notices) == 3


def test_a_repeated_order_gets_the_first_answer_and_is_paid_once(any_bank, service):
    """The service sends an order again when it did not hear the answer."""
    members = order(any_bank, service.charge(any_bank.clock.now())[0])
    clients = [any_bank.app.test_client() for _ in range(4)]
    with ThreadPoolExecutor(4) as crowd:
        answers = list(crowd.map(lambda client: send(any_bank, members, client), clients))
    any_bank.branch.robot.pay_due()
    later = send(any_bank, members)

    assert [answer.status_code for answer in answers] == [201] * 4
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert (later.status_code, later.get_json()["status"]) == (201, "paid")
    assert later.headers["Idempotent-Replayed"] == "true"
    assert len(payments(any_bank)) == 1
    assert audit(any_bank.branch.database).faults == ()


def test_the_id_of_another_order_is_refused(bank, service):
    """Two orders under one id would be one payment too few, silently."""
    members = order(bank, service.charge(bank.clock.now())[0])
    send(bank, members)
    others = ({"scenario": "double"}, {"code": "other"}, {"late_seconds": 3})

    for change in others:
        answer = send(bank, {**members, **change})
        assert (answer.status_code, answer.get_json()["code"]) == (409, "idempotency-conflict")


def test_an_order_that_a_killed_worker_claimed_is_paid_once_after_its_lease(bank, service):
    """Killed before it paid, or after it paid and before it wrote that down."""
    first = accepted(bank, service.charge(bank.clock.now())[0])
    second = accepted(bank, service.charge(bank.clock.now())[0])
    bank.branch.robot.pay_due()
    paid_before = len(payments(bank))
    assert paid_before == 2
    third = accepted(bank, service.charge(bank.clock.now())[0])
    with bank.branch.database.writing() as session:
        killed = update(RobotOrder).where(RobotOrder.order_id.in_([second, third]))
        lease_end = bank.clock.now() + timedelta(seconds=30)
        session.execute(
            killed.values(status="waiting", ended_at=None, attempts=1, next_attempt_at=lease_end)
        )

    assert bank.branch.robot.pay_due() == 0
    bank.clock.advance(31)
    assert bank.branch.robot.pay_due() == 2

    assert [state_of(bank, one)[0] for one in (first, second, third)] == ["paid"] * 3
    assert len(payments(bank)) == 3


def test_two_workers_at_once_pay_an_order_once(bank, service):
    """The bank may run in two processes on one database."""
    for _ in range(3):
        accepted(bank, service.charge(bank.clock.now())[0])
    with ThreadPoolExecutor(2) as crowd:
        attempts = list(crowd.map(lambda _: bank.branch.robot.pay_due(), range(2)))

    assert sum(attempts) == 3
    bank.clock.advance(60)
    bank.branch.robot.pay_due()
    assert len(payments(bank)) == 3


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"status": "CONCLUIDA"}, "charge-paid"),
        ({"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}, "charge-removed"),
        ({"seconds": 4}, "charge-expired"),
    ],
)
def test_a_charge_that_cannot_be_paid_any_more_ends_its_order(bank, service, payload, reason):
    """Paid by hand, cancelled or expired meanwhile: as for any payer, and no second try."""
    code, _ = service.charge(bank.clock.now(), **payload)
    order_id = accepted(bank, code)

    assert [bank.branch.robot.pay_due() for _ in range(2)] == [1, 0]
    assert state_of(bank, order_id) == ("refused", reason, 1)
    assert payments(bank) == []


def test_a_code_that_is_none_ends_its_order(bank):
    """What the reader cannot read today it will not read in a minute."""
    order_id = accepted(bank, "no code at all")
    bank.branch.robot.pay_due()

    assert state_of(bank, order_id) == ("refused", "code-unreadable", 1)


def test_a_service_that_is_away_for_a_moment_is_asked_again(bank, service):
    """It may have been killed right after it sent the order."""
    answers = [Response("", 503), Response("", 502)]
    good, _ = service.charge(bank.clock.now())
    token = next(reversed(service.charges))
    charge = service.charges[token]
    service.charges[token] = lambda: answers.pop() if answers else charge()
    order_id = accepted(bank, good)

    for pause in (0, 1.1, 2.1):
        bank.clock.advance(pause)
        assert bank.branch.robot.pay_due() == 1

    assert state_of(bank, order_id) == ("paid", None, 3)
    assert len(payments(bank)) == 1


def test_the_robot_gives_up_after_its_last_attempt(bank, service):
    """Nothing is tried for ever."""
    order_id = accepted(bank, service.serve(lambda: Response("", 503)))
    tries = 0
    for _ in range(ATTEMPTS_MAX + 5):
        tries += bank.branch.robot.pay_due()
        bank.clock.advance(61)

    assert state_of(bank, order_id) == ("refused", "no-answer", ATTEMPTS_MAX + 1)
    assert tries == ATTEMPTS_MAX + 1
    assert sum(service.request_counts.values()) == ATTEMPTS_MAX


def test_the_robot_always_has_money_and_nobody_signs_in_as_it(bank, service, monkeypatch):
    """Its account is funded when it is empty, and the login page does not offer it."""
    monkeypatch.setattr(robot, "_FUNDS_CENTAVOS", 6000)
    for _ in range(2):
        accepted(bank, service.charge(bank.clock.now())[0])
        bank.branch.robot.pay_due()
        bank.clock.advance(1.1)
    bank.branch.robot.pay_due()

    assert payments(bank) == [(5490, "normal")] * 2
    with bank.branch.database.reading() as session:
        assert balance_centavos(session, payer_by_handle(session, ROBOT).account_id) == 1020
        assert ROBOT not in [payer.handle for payer in demo_payers(session)]
    assert bank.log_in(ROBOT).status_code == 403
    assert audit(bank.branch.database).faults == ()


WRONG_ORDERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"order_id": None}, ["order_id"]),
    ({"order_id": "a" * 36}, ["order_id"]),
    ({"order_id": "a-b"}, ["order_id"]),
    ({"code": ""}, ["code"]),
    ({"code": "0" * 2049}, ["code"]),
    ({"code": 7}, ["code"]),
    ({"pay_at": "tomorrow"}, ["pay_at"]),
    ({"pay_at": 5}, ["pay_at"]),
    ({"pay_at": "2999-01-01T00:00:00Z"}, ["pay_at"]),
    ({"scenario": "norml"}, ["scenario"]),
    ({"scenario": ["late"]}, ["scenario"]),
    ({"late_seconds": 0}, ["late_seconds"]),
    ({"late_seconds": 301}, ["late_seconds"]),
    ({"holder": "x"}, ["holder"]),
    ({"order_id": 1, "code": 1, "pay_at": 1, "scenario": 1, "late_seconds": "x", "a": 1},
     ["a", "order_id", "code", "pay_at", "scenario", "late_seconds"]),
]  # fmt: skip


def test_an_invalid_order_gets_a_400_that_names_every_fault(bank):
    """No input of a client may cause a 500, and nothing is stored."""
    for changes, names in WRONG_ORDERS:
        answer = send(bank, {**order(bank, "code"), **changes})
        assert answer.status_code == 400, answer.text
        assert [error["field"] for error in answer.get_json()["errors"]] == names
    with bank.branch.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(RobotOrder)) == 0


def test_only_the_service_gives_orders(bank, service):
    """A signature with another secret, and the signed body of another address."""
    members = order(bank, service.charge(bank.clock.now())[0])
    refund = {"end_to_end_id": "E1", "refund_id": "R1", "value": 1}

    assert send(bank, members, secret="whsec_" + "A" * 44).status_code == 401
    assert bank.client.post("/api/robot-orders", json=members).status_code == 401
    assert send(bank, refund).status_code == 400
    assert payments(bank) == []


def test_orders_that_wait_are_bounded_and_ended_ones_are_forgotten(bank, service, monkeypatch):
    """The service sends a refused order again; a place is free once the robot has paid."""
    monkeypatch.setattr(robot, "WAITING_MAX", 2)
    old = [accepted(bank, service.charge(bank.clock.now())[0]) for _ in range(2)]
    full = send(bank, order(bank, service.charge(bank.clock.now())[0]))
    bank.branch.robot.pay_due()
    bank.clock.advance(ENDED_FOR.total_seconds() - 1)
    accepted(bank, service.charge(bank.clock.now())[0])
    assert [state_of(bank, one)[0] for one in old] == ["paid"] * 2
    bank.clock.advance(2)
    new = accepted(bank, service.charge(bank.clock.now())[0])

    assert (full.status_code, full.get_json()["code"]) == (503, "busy")
    with bank.branch.database.reading() as session:
        stored = set(session.scalars(select(RobotOrder.order_id)))
    assert new in stored
    assert stored.isdisjoint(old)


def test_an_order_is_due_although_the_clock_was_set_back(bank, service):
    """Else it would wait for the whole jump."""
    order_id = accepted(bank, service.charge(bank.clock.now())[0], seconds=3600)
    bank.clock.advance(-3 * 86_400)
    bank.branch.robot.pay_due()

    assert state_of(bank, order_id)[2] == 1


def test_a_bank_in_production_has_no_robot(bank, service: ServiceDouble):
    """Invented money must not pay a real charge."""
    settings = BankSettings(
        bank.branch.settings.database_url, bank.branch.settings.webhook_secret, service.url,
        secrets.token_urlsafe(32), own_host(service.url), demo=False,
    )  # fmt: skip
    app = create_bank_app(settings, bank.clock)
    answer = send(bank, order(bank, service.charge(bank.clock.now())[0]), app.test_client())
    close_bank_app(app)

    assert answer.status_code == 404
