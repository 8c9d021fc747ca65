"""Simultaneous refunds never return more than was paid."""

from __future__ import annotations

from collections import Counter
from functools import partial

from payments import refunds
from tests.db.crowd import at_once
from tests.support.service import close_app, ready_app

WHOLE = 5490
PARTS = 16


def count_statuses(answers):
    """The number of answers by HTTP status."""
    return Counter(answer.status_code for answer in answers)


def test_one_of_two_simultaneous_full_refunds_wins(anywhere):
    """Two clerks refund the same payment in the same second; the payer gets the money once."""
    payment = anywhere.paid()
    before = anywhere.balance()
    answers = at_once([partial(anywhere.refund, payment) for _ in range(2)])
    assert count_statuses(answers) == {201: 1, 409: 1}
    anywhere.clock.advance(seconds=30)
    anywhere.run_refunds()
    assert anywhere.payment(payment)["refunded_value"] == 54.9
    assert anywhere.balance() == before + WHOLE
    assert anywhere.audit().faults == ()


def test_sixteen_simultaneous_parts_never_exceed_the_payment(anywhere):
    """Each part fits alone; together they are eight times the payment."""
    payment = anywhere.paid(value="8.00")
    before = anywhere.balance()
    answers = at_once([partial(anywhere.refund, payment, value="4.00") for _ in range(PARTS)])
    assert count_statuses(answers) == {201: 2, 409: PARTS - 2}
    anywhere.clock.advance(seconds=30)
    anywhere.run_refunds()
    row = anywhere.tables.payment(payment["id"])
    assert (row.refunded_centavos, row.refunding_centavos) == (800, 0)
    assert anywhere.balance() == before + 800
    assert anywhere.audit().faults == ()


def test_sixteen_simultaneous_parts_that_fit_are_all_refunded(anywhere):
    """No refund may fail because of a race if the sum is not too large."""
    payment = anywhere.paid(value="16.00")
    answers = at_once([partial(anywhere.refund, payment, value="1.00") for _ in range(PARTS)])
    assert count_statuses(answers) == {201: PARTS}
    anywhere.clock.advance(seconds=30)
    anywhere.run_refunds()
    all_refunds = anywhere.refunds(payment)
    assert Counter(refund["status"] for refund in all_refunds) == {"done": PARTS}
    assert len({refund["return_id"] for refund in all_refunds}) == PARTS
    assert anywhere.payment(payment)["refunded_value"] == 16.0
    events = anywhere.tables.events(payment["id"])
    sequences = [event.sequence for event in events if event.name == "payment.refunded"]
    assert len(sequences) == len(set(sequences)) == PARTS
    assert max(sequences) == anywhere.payment(payment)["sequence"]


def test_sixteen_simultaneous_requests_with_one_refund_id_are_one_refund(anywhere):
    """A client that retries too fast gets the same answer to each request."""
    payment = anywhere.paid()
    request_refund = partial(anywhere.refund, payment, value="7.00", refund_id="uma")
    answers = at_once([request_refund for _ in range(PARTS)])
    assert count_statuses(answers) == {201: PARTS}
    assert {answer.get_json()["id"] for answer in answers} == {"uma"}
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    anywhere.clock.advance(seconds=30)
    anywhere.run_refunds()
    assert anywhere.payment(payment)["refunded_value"] == 7.0
    assert len(anywhere.refunds(payment)) == 1


def test_a_refund_ordered_before_the_clock_was_set_back_is_sent(anywhere):
    """The lease of the order ends by the wall clock, but it never lasts ten minutes."""
    payment = anywhere.paid()
    anywhere.close_bank()
    assert anywhere.refund(payment).get_json()["status"] == "processing"
    anywhere.open_bank()
    anywhere.clock.advance(seconds=-600)
    assert [anywhere.run_refunds(), anywhere.run_refunds()] == [1, 0]
    assert anywhere.payment(payment)["refunded_value"] == payment["value"]


def test_a_pause_set_before_the_clock_was_set_back_is_over(anywhere):
    """An old refund has long pauses, and would wait for the jump on top of its pause."""
    payment = anywhere.paid()
    anywhere.close_bank()
    anywhere.refund(payment)
    anywhere.clock.advance(hours=1)
    assert anywhere.run_refunds() == 0  # sets the longest pause, of ten minutes
    anywhere.open_bank()
    anywhere.clock.advance(seconds=-60)
    assert anywhere.run_refunds() == 0, "the clocks of two machines may differ as much"
    anywhere.clock.advance(seconds=-1)
    assert [anywhere.run_refunds(), anywhere.run_refunds()] == [1, 0]
    assert anywhere.payment(payment)["refunded_value"] == payment["value"]


def test_of_two_processes_only_one_settles_a_refund(anywhere, tmp_path):
    """Any number of processes may run the job; a refund's event is stored once."""
    payment = anywhere.paid()
    anywhere.close_bank()
    assert anywhere.refund(payment).get_json()["status"] == "processing"
    anywhere.open_bank()
    anywhere.clock.advance(seconds=30)
    other = ready_app(anywhere.app.config["BALCAO"], anywhere.clock)
    try:

        def run(app):
            with app.app_context():
                return refunds.run()

        settled = at_once([partial(run, app) for app in (anywhere.app, other) * 2])
    finally:
        close_app(other)
    assert sum(settled) == 1
    assert anywhere.tables.event_names(payment["id"]).count("payment.refunded") == 1
