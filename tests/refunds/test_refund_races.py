"""Refunds asked for at once: together they never give back more than was paid."""

from __future__ import annotations

from collections import Counter
from functools import partial

from payments import refunds
from tests.db.crowd import at_once
from tests.support.service import close_app, ready_app

WHOLE = 5490
PARTS = 16


def statuses(answers):
    """How many answers had each status."""
    return Counter(answer.status_code for answer in answers)


def test_of_two_refunds_of_the_whole_one_wins(anywhere):
    """Two clerks press the button in the same second; the payer gets the money once."""
    payment = anywhere.paid()
    before = anywhere.balance()
    answers = at_once([partial(anywhere.refund, payment) for _ in range(2)])
    assert statuses(answers) == {201: 1, 409: 1}
    anywhere.clock.advance(seconds=30)
    anywhere.run_refunds()
    assert anywhere.payment(payment)["refunded_value"] == 54.9
    assert anywhere.balance() == before + WHOLE
    assert anywhere.audit().faults == ()


def test_sixteen_parts_at_once_never_exceed_the_whole(anywhere):
    """Each would fit alone; all of them are eight times too much."""
    payment = anywhere.paid(value="8.00")
    before = anywhere.balance()
    answers = at_once([partial(anywhere.refund, payment, value="4.00") for _ in range(PARTS)])
    assert statuses(answers) == {201: 2, 409: PARTS - 2}
    anywhere.clock.advance(seconds=30)
    anywhere.run_refunds()
    row = anywhere.tables.payment(payment["id"])
    assert (row.refunded_centavos, row.refunding_centavos) == (800, 0)
    assert anywhere.balance() == before + 800
    assert anywhere.audit().faults == ()


def test_sixteen_parts_that_fit_are_all_given_back(anywhere):
    """Nobody loses a race that nobody has to lose."""
    payment = anywhere.paid(value="16.00")
    answers = at_once([partial(anywhere.refund, payment, value="1.00") for _ in range(PARTS)])
    assert statuses(answers) == {201: PARTS}
    anywhere.clock.advance(seconds=30)
    anywhere.run_refunds()
    told = anywhere.refunds(payment)
    assert Counter(refund["status"] for refund in told) == {"done": PARTS}
    assert len({refund["return_id"] for refund in told}) == PARTS
    assert anywhere.payment(payment)["refunded_value"] == 16.0
    events = anywhere.tables.events(payment["id"])
    refunded = [event.sequence for event in events if event.name == "payment.refunded"]
    assert len(refunded) == len(set(refunded)) == PARTS
    assert max(refunded) == anywhere.payment(payment)["sequence"]


def test_one_name_asked_sixteen_times_at_once_is_one_refund(anywhere):
    """A client with a nervous retry gets the same answer from each attempt."""
    payment = anywhere.paid()
    asked = partial(anywhere.refund, payment, value="7.00", refund_id="uma")
    answers = at_once([asked for _ in range(PARTS)])
    assert statuses(answers) == {201: PARTS}
    assert {answer.get_json()["id"] for answer in answers} == {"uma"}
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    anywhere.clock.advance(seconds=30)
    anywhere.run_refunds()
    assert anywhere.payment(payment)["refunded_value"] == 7.0
    assert len(anywhere.refunds(payment)) == 1


def test_two_processes_ask_about_a_refund_once_between_them(anywhere, tmp_path):
    """Any number of processes run the job; a refund's event is recorded once."""
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
