"""`test` on a new payment: the bank's robot payer pays it by itself.

Service and bank run on ports of their own, with one clock that the test moves.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from bank.chaos.scenarios import ENDINGS
from bank.models import RobotOrder
from config import parts_of
from db_models import RobotPayment
from payments import robot
from providers.port import BankAnswer
from providers.simulated import bank_client
from repository.robot_payments import PAUSE_MAX
from tests.http.checks import add_merchant, client_of, fields, problem, rows
from tests.support.service import close_app, ready_app, settings_for
from tests.support.town import town

SECONDS_MAX = 86_400
TERMS = {"scenario": "double", "pay_after": 3, "late_seconds": 10}


@pytest.fixture
def here(fresh_database, tmp_path, monkeypatch):
    """Service and bank on SQLite; no job runs, so a test sends orders by `hand_over`."""
    monkeypatch.setattr(bank_client, "_availability_log", bank_client._AvailabilityLog())
    with town(fresh_database("sqlite"), tmp_path) as new_town:
        yield new_town


def hand_over(there) -> int:
    """Run the service's job once."""
    with there.app.app_context():
        return robot.run()


def waiting(there) -> list[tuple[bool, int]]:
    """Whether the bank has the order, and the attempts, for each row of the service."""
    query = sa.select(RobotPayment.is_at_bank, RobotPayment.attempts).order_by(RobotPayment.id)
    return [tuple(row) for row in there.tables.rows(query)]


def orders_at(there) -> list[str]:
    """The state of each order at the bank."""
    with there.branch.database.reading() as session:
        return list(session.scalars(sa.select(RobotOrder.status).order_by(RobotOrder.id)))


# --- what a merchant may write -------------------------------------------------------------------


def test_the_merchant_reads_the_terms_and_nobody_else_does(app, client, charlie):
    """Also with all defaults, and null for a payment that nobody pays by itself."""
    alice = client_of(app, add_merchant(app, "alice", "alice@example.com"))
    path = "/payments/pix"
    for sent, expected in (
        (TERMS, TERMS),
        ({}, {"scenario": "normal", "pay_after": 0, "late_seconds": 10}),
        ({"scenario": None, "pay_after": 2.0}, {**TERMS, "scenario": "normal", "pay_after": 2}),
        (None, None),
    ):
        payment = alice.post(path, json={"value": 1, "test": sent}).json["payment"]
        assert payment["test"] == expected
        mine = alice.get(f"{path}/{payment['id']}", headers={"Accept": "application/json"})
        assert mine.json["payment"]["test"] == expected
        assert alice.get(path).json["data"][0]["test"] == expected
        for stranger in (client, charlie):
            page = stranger.get(f"{path}/{payment['id']}", headers={"Accept": "application/json"})
            assert "test" not in page.json["payment"]


def test_every_scenario_of_the_bank_may_be_ordered(client):
    """The names are those of docs/chaos.md, which another test compares with the bank's."""
    for name in ENDINGS:
        answer = client.post("/payments/pix", json={"value": 1, "test": {"scenario": name.value}})
        assert answer.json["payment"]["test"]["scenario"] == name.value


WRONG_TERMS = [
    ({"scenario": "norml"}, ["test.scenario"]),
    ({"scenario": 3}, ["test.scenario"]),
    ({"scenario": ["double"]}, ["test.scenario"]),
    ({"pay_after": -1}, ["test.pay_after"]),
    ({"pay_after": SECONDS_MAX + 1}, ["test.pay_after"]),
    ({"pay_after": 2.5}, ["test.pay_after"]),
    ({"pay_after": "3"}, ["test.pay_after"]),
    ({"pay_after": True}, ["test.pay_after"]),
    ({"late_seconds": 0}, ["test.late_seconds"]),
    ({"late_seconds": 301}, ["test.late_seconds"]),
    ({"scenarios": "double"}, ["test.scenarios"]),
    ({"scenario": "x", "pay_after": -1, "late_seconds": 0, "at": 1},
     ["test.scenario", "test.pay_after", "test.late_seconds", "test.at"]),
    ("double", ["test"]),
    ([], ["test"]),
]  # fmt: skip


def test_wrong_terms_get_a_400_that_names_every_fault(app, client):
    """And no payment is created."""
    for terms, names in WRONG_TERMS:
        answer = client.post("/payments/pix", json={"value": 1, "test": terms})
        assert fields(problem(answer, 400, "invalid-request")) == names
    assert rows(app)["payments"] == 0


def test_both_ends_of_each_bound_are_accepted(client):
    """The first and the last second that the documents name."""
    for terms in (
        {"pay_after": 0, "late_seconds": 1},
        {"pay_after": SECONDS_MAX, "late_seconds": 300},
    ):
        answer = client.post("/payments/pix", json={"value": 1, "test": terms})
        assert answer.json["payment"]["test"] == {"scenario": "normal", **terms}


def test_live_mode_refuses_the_field(fresh_database, tmp_path, clock):
    """Whatever it holds: a shop that goes live must learn of it. Null is no field."""
    settings = settings_for(
        fresh_database("sqlite"), tmp_path, app_env="production",
        public_url="https://pay.example.com",
    )  # fmt: skip
    app = ready_app(settings, clock)
    alice = client_of(app, add_merchant(app, "alice", "alice@example.com"))
    for terms in ({}, TERMS, {"scenario": "norml"}, 3):
        body = problem(
            alice.post("/payments/pix", json={"value": 1, "test": terms}), 400, "invalid-request"
        )
        assert fields(body) == ["test"]
        assert "exists in test mode only" in body["detail"]
    assert rows(app)["payments"] == 0
    answer = alice.post("/payments/pix", json={"value": 1, "test": None})
    assert (answer.status_code, answer.json["payment"]["test"]) == (201, None)
    assert rows(app)["robot_payments"] == 0
    close_app(app)


def test_the_terms_belong_to_what_an_idempotency_key_stands_for(app, client):
    """A repetition orders nothing again, and other terms are another request."""
    headers = {"Idempotency-Key": "order-7"}
    body = {"value": 1, "test": TERMS}
    first = client.post("/payments/pix", json=body, headers=headers)
    again = client.post("/payments/pix", json=body, headers=headers)

    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert rows(app)["robot_payments"] == 1
    for other in ({**TERMS, "pay_after": 4}, {}, None):
        answer = client.post("/payments/pix", json={**body, "test": other}, headers=headers)
        assert fields(problem(answer, 409, "idempotency-conflict")) == ["test"]


def test_payments_that_wait_are_bounded_per_merchant(app, client, charlie, monkeypatch):
    """One merchant's test must not fill the bank's queue; a repetition is still answered."""
    monkeypatch.setattr(robot, "WAITING_MAX", 2)
    body, headers = {"value": 1, "test": {}}, {"Idempotency-Key": "second"}
    assert client.post("/payments/pix", json=body).status_code == 201
    assert client.post("/payments/pix", json=body, headers=headers).status_code == 201

    answer = client.post("/payments/pix", json=body)

    assert "2 of your payments wait" in problem(answer, 429, "too-many-requests")["detail"]
    assert answer.headers["Retry-After"] == "60"
    assert rows(app)["payments"] == 2
    assert client.post("/payments/pix", json=body, headers=headers).status_code == 201
    assert client.post("/payments/pix", json={"value": 1}).status_code == 201
    assert charlie.post("/payments/pix", json=body).status_code == 201


# --- the order reaches the bank ------------------------------------------------------------------


def test_the_payment_is_paid_at_its_time_and_told_twice(here):
    """The whole way, once: creation, order, payment, two notices, one receipt."""
    payment = here.create(test=TERMS)
    assert hand_over(here) == 1
    assert (orders_at(here), waiting(here)) == (["waiting"], [(True, 1)])
    here.clock.advance(seconds=2)
    here.branch.robot.pay_due()
    assert here.payment(payment)["status"] == "pending"

    here.clock.advance(seconds=1.1)
    here.branch.robot.pay_due()

    assert here.payment(payment)["status"] == "confirmed"
    assert [receipt.verdict for receipt in here.tables.receipts(payment["id"])] == ["accepted"]
    assert hand_over(here) == 1
    assert waiting(here) == []


def test_the_order_is_sent_right_after_the_commit(fresh_database, tmp_path):
    """In the background: the answer does not wait for a bank that takes its time."""
    with town(fresh_database("sqlite"), tmp_path) as there:
        # A serving process does so when it starts its jobs.
        parts_of(there.app).robot_listeners.append(partial(robot.send_soon, there.app))
        there.gate.hold("/api/robot-orders")
        payment = there.create(test={})
        assert there.gate.reached.wait(10)
        assert orders_at(there) == []
        there.gate.let_go()
        limit = time.monotonic() + 10
        while waiting(there) != [(True, 1)]:
            assert time.monotonic() < limit
            time.sleep(0.02)
        there.branch.robot.pay_due()
        assert there.payment(payment)["status"] == "confirmed"


def test_a_bank_that_is_away_gets_the_order_when_it_is_back(here):
    """A minute without the bank: one order, one payment, some seconds after its return."""
    here.close_bank()
    payment = here.create(test={})
    assert hand_over(here) == 0
    assert hand_over(here) == 0
    assert waiting(here) == [(False, 1)]
    for _ in range(6):
        here.clock.advance(seconds=10)
        hand_over(here)
    here.open_bank()
    here.clock.advance(seconds=PAUSE_MAX.total_seconds())
    assert hand_over(here) == 1
    here.branch.robot.pay_due()

    assert here.payment(payment)["status"] == "confirmed"
    assert orders_at(here) == ["paid"]


def test_an_order_whose_answer_was_lost_is_sent_again_and_paid_once(here, monkeypatch):
    """The bank stored it, and the service could not know."""
    payment = here.create(test={})
    real = bank_client.order

    def lose_the_answer(*arguments):
        real(*arguments)
        raise bank_client.NoBankAnswer("lost")

    monkeypatch.setattr(bank_client, "order", lose_the_answer)
    assert hand_over(here) == 0
    here.branch.robot.pay_due()
    monkeypatch.setattr(bank_client, "order", real)
    here.clock.advance(seconds=3)
    hand_over(here)
    here.branch.robot.pay_due()

    assert orders_at(here) == ["paid"]
    assert len(here.tables.receipts(payment["id"])) == 1


def test_an_order_is_given_up_after_an_hour_without_the_bank(here):
    """Nothing is sent for ever."""
    here.close_bank()
    here.create(test={}, expires_in=7200)
    here.clock.advance(minutes=59)
    hand_over(here)
    assert waiting(here) == [(False, 1)]
    here.clock.advance(minutes=2)
    with capture_logs() as logs:
        hand_over(here)

    assert waiting(here) == []
    assert "robot.given_up" in [entry["event"] for entry in logs]


def test_a_bank_that_refuses_the_order_is_not_asked_again(here, monkeypatch):
    """A real bank, or an older one, has no robot."""
    here.create(test={})
    refusal = BankAnswer(404, {"code": "chaos-is-off"})
    monkeypatch.setattr(bank_client, "order", lambda *_: refusal)
    with capture_logs() as logs:
        hand_over(here)

    assert waiting(here) == []
    assert [entry["code"] for entry in logs if entry["event"] == "robot.refused"] == [
        "chaos-is-off"
    ]


def test_two_jobs_at_once_send_an_order_once(here, monkeypatch):
    """Every process runs the job."""
    here.create(test={})
    sent = []
    real = bank_client.order

    def count(*arguments):
        sent.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(bank_client, "order", count)
    with ThreadPoolExecutor(2) as crowd:
        list(crowd.map(lambda _: hand_over(here), range(2)))

    assert len(sent) == 1


def test_a_payment_that_ended_before_its_order_was_sent_is_not_sent(here):
    """Cancelled, paid by hand or expired while the bank was away."""
    cancelled, paid, expired = (here.create(test={}, expires_in=60) for _ in range(3))
    assert here.client().post(f"/payments/pix/{cancelled['id']}/cancel").status_code == 200
    here.pay(paid)
    here.clock.advance(seconds=0)
    assert hand_over(here) == 3
    assert orders_at(here) == ["waiting"]
    here.clock.advance(seconds=61)
    here.branch.robot.pay_due()
    hand_over(here)

    assert orders_at(here) == ["refused"]
    assert here.payment(expired)["status"] == "expired"
    assert len(here.tables.receipts(paid["id"])) == 1


def test_a_payment_that_ended_before_its_time_is_refused_by_the_bank(here):
    """As any payer's bank would; nothing is paid twice, and no row stays."""
    terms = {"pay_after": 30}
    cancelled, paid, expired = (here.create(test=terms, expires_in=20) for _ in range(3))
    assert hand_over(here) == 3
    assert here.client().post(f"/payments/pix/{cancelled['id']}/cancel").status_code == 200
    here.pay(paid)
    here.clock.advance(seconds=31)
    assert here.branch.robot.pay_due() == 3
    hand_over(here)

    assert (orders_at(here), waiting(here)) == (["refused"] * 3, [])
    assert here.payment(cancelled)["status"] == "cancelled"
    assert here.payment(expired)["status"] == "expired"
    assert len(here.tables.receipts(paid["id"])) == 1
    here.clock.advance(seconds=120)
    assert here.branch.robot.pay_due() == 0


def test_a_renewal_is_not_paid_by_the_robot(here):
    """A shopper renews, and the shopper pays; else each renewal would order the next payment."""
    payment = here.create(test={"scenario": "paid-after-deadline"}, expires_in=10)
    here.clock.advance(seconds=11)
    answer = here.client().post(f"/payments/pix/{payment['id']}/renew")

    assert answer.status_code == 201, answer.text
    assert here.tables.payment(answer.json["payment"]["id"]).robot_terms is None
    assert len(waiting(here)) == 1


def test_a_clock_that_was_set_back_does_not_hold_an_order_back(here):
    """A lease from the future is over."""
    here.close_bank()
    here.create(test={})
    hand_over(here)
    here.open_bank()
    here.clock.advance(seconds=-timedelta(days=2).total_seconds())

    assert hand_over(here) == 1
    assert waiting(here) == [(True, 2)]
