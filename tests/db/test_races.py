"""Races, on every engine: simultaneous requests to several apps, and one row decides.

Each race has several rounds, and all threads wait for the last one, so that they really compete.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
import sqlalchemy as sa

from core.clock import rfc3339
from db_models import Payment
from repository.database import unit_of_work
from tests.db.crowd import at_once
from tests.db.tables import NOON, payment_row
from tests.support.service import end_to_end_id

CROWD = 64
ROUNDS = 2
SMALL_ROUNDS = 8
LOCKING = [
    pytest.param("mysql", id="mariadb", marks=pytest.mark.mysql),
    pytest.param("postgres", id="postgres", marks=pytest.mark.postgres),
]
"""Engines that lock rows; SQLite has one writer at a time."""


def statuses(answers):
    """How often each status was answered."""
    return Counter(answer.status_code for answer in answers)


def codes(answers):
    """How often each status and code was answered."""
    return Counter((answer.status_code, answer.json.get("code")) for answer in answers)


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(ROUNDS))
def test_64_copies_of_one_confirmation_settle_once(processes, round_):
    """Banks retry, even all at once: one settlement, one event, and 64 answers 200."""
    payment = processes.create()
    body = processes.bank().body(payment)
    answers = at_once([partial(processes.bank(n).tell, body) for n in range(CROWD)])
    assert statuses(answers) == {200: CROWD}
    assert Counter(answer.json["duplicate"] for answer in answers) == {False: 1, True: CROWD - 1}
    assert {answer.json["payment"]["sequence"] for answer in answers} == {2}
    assert [receipt.verdict for receipt in processes.tables.receipts(payment["id"])] == ["accepted"]
    assert processes.tables.event_names(payment["id"]) == ["payment.created", "payment.confirmed"]


@pytest.mark.slow
def test_64_payers_of_one_payment_only_one_is_accepted(processes):
    """The first one wins; the others' money goes back, and each receipt is stored."""
    payment = processes.create(order_id="one-order")
    answers = at_once([partial(processes.bank(n).confirm, payment) for n in range(CROWD)])
    assert codes(answers) == {(200, None): 1, (409, "already-paid"): CROWD - 1}
    receipts = processes.tables.receipts(payment["id"])
    assert Counter((receipt.verdict, receipt.reason) for receipt in receipts) == {
        ("accepted", None): 1,
        ("refused", "already-paid"): CROWD - 1,
    }
    settled = processes.tables.payment(payment["id"])
    assert settled.status == "confirmed"
    accepted = [one.end_to_end_id for one in receipts if one.verdict == "accepted"]
    assert accepted == [settled.end_to_end_id]
    assert Counter(processes.tables.event_names(payment["id"])) == {
        "payment.created": 1,
        "payment.confirmed": 1,
        "receipt.refused": CROWD - 1,
    }


@pytest.mark.slow
def test_64_creations_for_one_order_make_one_payment(processes):
    """A nervous checkout clicks many times; the order must have one payment to be paid."""
    request_body = {"json": {"value": 10, "order_id": "order-7"}}
    answers = at_once(
        [partial(processes.post, "/payments/pix", n, **request_body) for n in range(CROWD)]
    )
    assert codes(answers) == {(201, None): 1, (409, "order-already-has-payment"): CROWD - 1}
    txid = next(answer.json["payment"]["id"] for answer in answers if answer.status_code == 201)
    refusals = [answer.json["detail"] for answer in answers if answer.status_code == 409]
    assert all(txid in detail for detail in refusals)
    assert [row.txid for row in processes.tables.rows("SELECT txid FROM payments")] == [txid]


def test_an_order_whose_payment_is_due_gets_one_new_payment_from_many_asking_at_once(processes):
    """The clock expires the old payment, not the sweep; one event is stored."""
    for number in range(SMALL_ROUNDS // 2):
        order = f"order-{number}"
        old = processes.create(order_id=order, expires_in=10)
        processes.clock.advance(seconds=11)
        request_body = {"json": {"value": 10, "order_id": order}}
        actions = [partial(processes.post, "/payments/pix", n, **request_body) for n in range(8)]
        answers = at_once([*actions, partial(processes.sweep, number)])[:8]
        assert codes(answers) == {(201, None): 1, (409, "order-already-has-payment"): 7}
        assert processes.tables.event_names(old["id"]) == ["payment.created", "payment.expired"]


def test_money_sent_in_time_wins_over_the_sweep_in_either_order(processes):
    """If the notice comes during the sweep, the payment ends as confirmed and stays so."""
    for number in range(SMALL_ROUNDS):
        payment = processes.create(expires_in=10, order_id=f"order-{number}")
        body = processes.bank().body(payment)
        processes.clock.advance(seconds=10, microseconds=1)
        answer, *_ = at_once(
            [
                partial(processes.bank(0).tell, body),
                partial(processes.sweep, 1),
                partial(processes.sweep, 2),
            ]
        )
        assert (answer.status_code, answer.json["duplicate"]) == (200, False)
        processes.sweep(3)
        names = processes.tables.event_names(payment["id"])
        assert names in (
            ["payment.created", "payment.confirmed"],
            ["payment.created", "payment.expired", "payment.confirmed"],
        )
        assert processes.tables.payment(payment["id"]).status == "confirmed"
        numbers = [event.sequence for event in processes.tables.events(payment["id"])]
        assert numbers == sorted(set(numbers))


def test_money_sent_too_late_and_the_sweep_agree_that_it_expired(processes):
    """After the deadline: one expiry, and a stored receipt of the refused money."""
    for _ in range(SMALL_ROUNDS):
        payment = processes.create(expires_in=10)
        processes.clock.advance(seconds=10, milliseconds=1)
        body = processes.bank().body(payment)
        answer, *_ = at_once(
            [partial(processes.bank(0).tell, body), *(partial(processes.sweep, n) for n in (1, 2))]
        )
        assert (answer.status_code, answer.json["code"]) == (409, "paid-too-late")
        processes.sweep(3)
        names = processes.tables.event_names(payment["id"])
        assert sorted(names) == ["payment.created", "payment.expired", "receipt.refused"]
        row = processes.tables.payment(payment["id"])
        assert (row.status, row.refusal) == ("expired", "paid-too-late")
        assert [r.reason for r in processes.tables.receipts(payment["id"])] == ["paid-too-late"]
        numbers = [event.sequence for event in processes.tables.events(payment["id"])]
        assert numbers == sorted(set(numbers))
        assert row.sequence == numbers[-1]


@pytest.mark.slow
def test_two_sweeps_at_once_over_500_due_payments_expire_each_once(processes):
    """Any number of processes may sweep, but a watcher must get only one expiry."""
    due_count = 500
    merchant = processes.tables.merchant_id()
    rows = [
        payment_row(merchant, expires_at=NOON + timedelta(seconds=1 + n)) for n in range(due_count)
    ]
    processes.tables.insert(Payment, *rows)
    processes.clock.advance(hours=1)
    won = at_once([partial(processes.sweep, n) for n in range(2)])
    won.append(processes.sweep(2))  # what a run with conflicts left for the next second
    assert sum(won) == due_count
    stored_rows = processes.tables.rows(sa.select(Payment.__table__))
    assert Counter(row.status for row in stored_rows) == {"expired": due_count}
    assert all((row.resolved_at, row.sequence) == (row.expires_at, 2) for row in stored_rows)
    events = processes.tables.events(*(row["txid"] for row in rows))
    assert Counter(event.name for event in events) == {"payment.expired": due_count}
    assert len({event.payment_id for event in events}) == due_count


@pytest.mark.slow
def test_sweeps_among_late_notifications_never_expire_a_paid_payment(processes):
    """The busiest second of a shop: hundreds are due, some paid at the last moment."""
    merchant = processes.tables.merchant_id()
    rows = [payment_row(merchant, expires_at=NOON + timedelta(seconds=30)) for _ in range(120)]
    processes.tables.insert(Payment, *rows)
    paid = [row["txid"] for row in rows[::6]]
    bodies = [
        processes.bank().body({"id": txid, "value": "54.90"}, paid_at=rfc3339(NOON))
        for txid in paid
    ]
    processes.clock.advance(seconds=31)
    tell = [partial(processes.bank(n).tell, body) for n, body in enumerate(bodies)]
    answers = at_once([*tell, *(partial(processes.sweep, n) for n in range(3))])[: len(paid)]
    processes.sweep()
    assert statuses(answers) == {200: len(paid)}
    for row in rows:
        names = processes.tables.event_names(row["txid"])
        if row["txid"] in paid:
            assert names in (["payment.confirmed"], ["payment.expired", "payment.confirmed"])
        else:
            assert names == ["payment.expired"]


def test_confirm_against_cancel_ends_in_one_of_the_two(processes):
    """Either the shop keeps the money or the payer gets it back, never both or neither."""
    for _ in range(SMALL_ROUNDS):
        payment = processes.create()
        body = processes.bank().body(payment)
        confirmation, cancelled = at_once(
            [
                partial(processes.bank(0).tell, body),
                partial(processes.post, f"/payments/pix/{payment['id']}/cancel", 1),
            ]
        )
        row = processes.tables.payment(payment["id"])
        names = processes.tables.event_names(payment["id"])
        if row.status == "confirmed":
            assert (confirmation.status_code, cancelled.status_code) == (200, 409)
            assert names == ["payment.created", "payment.confirmed"]
        else:
            assert (confirmation.status_code, confirmation.json["code"]) == (
                409,
                "payment-cancelled",
            )
            assert (row.status, cancelled.status_code) == ("cancelled", 200)
            assert names == ["payment.created", "payment.cancelled", "receipt.refused"]


def test_many_cancellations_at_once_cancel_once(processes):
    """Two tabs of the portal: one succeeds, the other hears that it is cancelled."""
    payment = processes.create()
    path = f"/payments/pix/{payment['id']}/cancel"
    answers = at_once([partial(processes.post, path, n) for n in range(16)])
    assert codes(answers) == {(200, None): 1, (409, "not-cancellable"): 15}
    assert processes.tables.event_names(payment["id"]) == ["payment.created", "payment.cancelled"]


def test_one_idempotency_key_at_once_makes_one_payment_and_equal_answers(processes):
    """A client that retries too early must not create a second payment."""
    for crowd in (2, 2, 16):
        key = f"key-{end_to_end_id()}"
        request_body = {
            "json": {"value": "12.34", "description": "pão"},
            "headers": {"Idempotency-Key": key},
        }
        answers = at_once(
            [partial(processes.post, "/payments/pix", n, **request_body) for n in range(crowd)]
        )
        assert statuses(answers) == {201: crowd}
        assert all(answer.json == answers[0].json for answer in answers)
        replays = Counter(answer.headers.get("Idempotent-Replayed") for answer in answers)
        assert replays == {None: 1, "true": crowd - 1}
        assert {answer.headers["Location"] for answer in answers} == {
            answers[0].json["payment"]["payment_url"]
        }
    assert len(processes.tables.rows("SELECT id FROM payments")) == 3
    assert len(processes.tables.rows("SELECT id FROM payment_events")) == 3


def test_one_idempotency_key_and_one_order_at_once_is_still_a_replay(processes):
    """Two unique indexes fail at the same time; the client must get its own payment."""
    request_body = {
        "json": {"value": 10, "order_id": "order-9"},
        "headers": {"Idempotency-Key": "key-of-order-9"},
    }
    answers = at_once(
        [partial(processes.post, "/payments/pix", n, **request_body) for n in range(16)]
    )
    assert statuses(answers) == {201: 16}
    assert all(answer.json == answers[0].json for answer in answers)


def test_one_idempotency_key_with_two_bodies_at_once_lets_one_win(processes):
    """The other request gets the fields that differ, and creates nothing."""
    for number in range(SMALL_ROUNDS // 2):
        headers = {"Idempotency-Key": f"key-{number}"}
        answers = at_once(
            [
                partial(processes.post, "/payments/pix", n, json={"value": v}, headers=headers)
                for n, v in enumerate(("10.00", "10.01"))
            ]
        )
        assert codes(answers) == {(201, None): 1, (409, "idempotency-conflict"): 1}
    assert len(processes.tables.rows("SELECT id FROM payments")) == SMALL_ROUNDS // 2


def test_many_renewals_at_once_make_one_new_payment(processes):
    """Two tabs press the button; both get the same code."""
    for order in ("order-1", None):
        old = processes.create(expires_in=10, **({"order_id": order} if order else {}))
        processes.clock.advance(seconds=11)
        path = f"/payments/pix/{old['id']}/renew"
        answers = at_once([partial(processes.post, path, n) for n in range(16)])
        assert statuses(answers) == {201: 16}
        assert len({answer.json["payment"]["id"] for answer in answers}) == 1
        assert processes.tables.event_names(old["id"]) == ["payment.created", "payment.expired"]


def test_a_late_notification_against_a_renewal_leaves_one_payment_to_be_paid(processes):
    """The order was paid in time, and the late notice comes during the renewal."""
    for number in range(SMALL_ROUNDS):
        old = processes.create(expires_in=10, order_id=f"order-{number}")
        body = processes.bank().body(old, paid_at=rfc3339(processes.clock.now()))
        processes.clock.advance(seconds=60)
        if number % 2:
            processes.sweep()
        confirmation, renewed = at_once(
            [
                partial(processes.bank(0).tell, body),
                partial(processes.post, f"/payments/pix/{old['id']}/renew", 1),
            ]
        )
        assert (confirmation.status_code, confirmation.json["duplicate"]) == (200, False)
        assert processes.tables.payment(old["id"]).status == "confirmed"
        if renewed.status_code == 201:
            newer = renewed.json["payment"]["id"]
            assert processes.tables.event_names(newer) == ["payment.created", "payment.cancelled"]
        else:
            assert renewed.status_code == 409
            # The renewal saw that the payment, or later that its order, was paid.
            assert renewed.json["code"] in ("not-renewable", "order-already-has-payment")
        live = processes.tables.rows(
            "SELECT txid FROM payments WHERE live_order_id = :order", order=f"order-{number}"
        )
        assert [row.txid for row in live] == [old["id"]]


def test_an_old_and_a_renewed_payment_paid_at_once_settle_the_order_once(processes):
    """Two phones pay two codes of one order: one is accepted, the other's money goes back."""
    for number in range(SMALL_ROUNDS):
        old = processes.create(expires_in=10, order_id=f"order-{number}")
        late = processes.bank().body(old, paid_at=rfc3339(processes.clock.now()))
        processes.clock.advance(seconds=60)
        newer = processes.post(f"/payments/pix/{old['id']}/renew").json["payment"]
        prompt = processes.bank().body(newer)
        answers = at_once(
            [partial(processes.bank(0).tell, late), partial(processes.bank(1).tell, prompt)]
        )
        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 1}
        verdicts = [row.verdict for row in processes.tables.receipts(old["id"], newer["id"])]
        assert sorted(verdicts) == ["accepted", "refused"]
        live = processes.tables.rows(
            "SELECT status FROM payments WHERE live_order_id = :order", order=f"order-{number}"
        )
        assert [row.status for row in live] == ["confirmed"]


def test_one_end_to_end_id_for_two_payments_at_once_settles_one(processes):
    """The same transfer can never pay two payments."""
    for _ in range(SMALL_ROUNDS):
        first, second = processes.create(), processes.create()
        shared = end_to_end_id()
        answers = at_once(
            [
                partial(processes.bank(n).confirm, payment, end_to_end_id=shared)
                for n, payment in enumerate((first, second))
            ]
        )
        assert codes(answers) == {(200, None): 1, (409, "notification-conflict"): 1}
        final_statuses = [processes.tables.payment(one["id"]).status for one in (first, second)]
        assert sorted(final_statuses) == ["confirmed", "pending"]


@pytest.mark.parametrize("any_database_url", LOCKING, indirect=True)
def test_a_payment_being_settled_holds_up_no_other_payment_of_its_merchant(processes):
    """The lock is on one payment: a slow confirmation must not stop the whole shop."""
    slow, other = processes.create(), processes.create()
    with processes.app(0).app_context(), unit_of_work() as work:
        locked_payment, grace = work.payments.lock_by_txid(slow["id"])
        assert locked_payment is not None
        assert (locked_payment.txid, grace) == (slow["id"], timedelta(0))
        answer = at_once([partial(processes.bank(1).confirm, other)], within=20)[0]
        assert answer.status_code == 200
    assert processes.status(slow["id"])["status"] == "pending"


def test_copies_of_a_notification_for_an_unknown_payment_are_stored_once(processes):
    """There is no row to lock, so only the unique end_to_end_id decides; no answer is a 500."""
    body = processes.bank().body({"id": "0" * 32, "value": 10})
    answers = at_once([partial(processes.bank(n).tell, body) for n in range(16)])
    assert codes(answers) == {(404, "payment-not-found"): 16}
    assert [receipt.reason for receipt in processes.tables.receipts("0" * 32)] == [
        "payment-not-found"
    ]
