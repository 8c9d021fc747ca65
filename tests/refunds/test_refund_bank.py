"""The bank's answers to a refund: done, refused, slow, no answer, or an invalid answer."""

from __future__ import annotations

import io
import json
from itertools import pairwise

import pytest
import sqlalchemy as sa

from bank.models import Transfer
from db_models import Refund
from tests.support.town import town

WHOLE = 5490


def refund_sums(town_, payment):
    """The refunded and the reserved centavos of a payment."""
    row = town_.tables.payment(payment["id"])
    return row.refunded_centavos, row.refunding_centavos


def empty_the_payee(here, payment):
    """Move all money out of the merchant's account at the bank."""
    with here.branch.database.writing() as session:
        paid = session.scalars(sa.select(Transfer).where(Transfer.txid == payment["id"])).one()
        source = sa.select(Transfer.debit_account_id).where(Transfer.kind == "opening").limit(1)
        session.add(
            Transfer(
                identifier="O99999004202611201500" + "a" * 11,
                kind="opening",
                debit_account_id=paid.credit_account_id,
                credit_account_id=session.scalars(source).one(),
                amount_centavos=WHOLE,
                made_at=here.clock.now(),
            )
        )


def test_the_order_is_sent_again_until_the_bank_answers(anywhere):
    """The merchant requests a refund once; retries are the service's task."""
    payment = anywhere.paid()
    before = anywhere.balance()
    anywhere.close_bank()
    refund = anywhere.refund(payment, value="20.00").get_json()
    assert (refund["status"], refund["return_id"], refund["settled_at"]) == (
        "processing",
        None,
        None,
    )
    assert refund_sums(anywhere, payment) == (0, 2000)
    assert anywhere.payment(payment)["refunded_value"] == 0.0
    for _ in range(3):
        # Longer than the longest pause: each of these retries is due, and the next one is not.
        anywhere.clock.advance(minutes=11)
        assert anywhere.run_refunds() == 0
    anywhere.open_bank()
    assert anywhere.run_refunds() == 0  # The retry is not due yet.
    anywhere.clock.advance(minutes=11)
    assert anywhere.run_refunds() == 1
    assert anywhere.refunds(payment)[0]["status"] == "done"
    assert refund_sums(anywhere, payment) == (2000, 0)
    assert anywhere.balance() == before + 2000
    assert anywhere.audit().faults == ()


def test_a_reserved_amount_cannot_be_refunded_again(here):
    """Otherwise two full refunds could be requested while the bank is unavailable."""
    payment = here.paid()
    here.close_bank()
    assert here.refund(payment, value="54.00").status_code == 201
    assert here.refund(payment, value="1.00").status_code == 409
    assert here.refund(payment).get_json()["amount_centavos"] == 90


def test_the_pauses_between_retries_grow_to_ten_minutes(here):
    """After a long outage the bank gets few retries at once, but within ten minutes."""
    payment = here.paid()
    here.close_bank()
    here.refund(payment)
    waits = []
    for _ in range(20):
        due_at = here.tables.rows(sa.select(Refund.ask_at))[0].ask_at
        here.clock.advance(seconds=(due_at - here.clock.now()).total_seconds() + 0.01)
        run_at = here.clock.now()
        here.run_refunds()
        next_at = here.tables.rows(sa.select(Refund.ask_at))[0].ask_at
        waits.append((next_at - run_at).total_seconds())
    # The waits include the duration of a run.
    assert 2 <= waits[0] < 6
    assert all(later > earlier - 3 for earlier, later in pairwise(waits))
    assert 600 <= waits[-1] < 604


def test_a_refund_that_the_bank_refuses_fails_and_releases_its_amount(anywhere):
    """The money is still the merchant's, so that the merchant can request a refund again."""
    payment = anywhere.paid()
    with anywhere.branch.database.writing() as session:
        session.execute(
            sa.update(Transfer)
            .where(Transfer.txid == payment["id"])
            .values(made_at=anywhere.clock.now().replace(year=2020))
        )
    refund = anywhere.refund(payment).get_json()
    assert (refund["status"], refund["reason"]) == ("failed", "refund-too-late")
    assert refund["return_id"] is None
    assert refund["settled_at"] is not None
    assert refund_sums(anywhere, payment) == (0, 0)
    assert anywhere.payment(payment)["refunded_value"] == 0.0
    assert anywhere.tables.event_names(payment["id"])[-1] == "refund.failed"
    retry = anywhere.refund(payment).get_json()
    assert (retry["status"], retry["amount_centavos"]) == ("failed", WHOLE)


def test_a_refund_from_an_empty_account_fails(here):
    """The bank accepts the order, and then reports the status `failed`."""
    payment = here.paid()
    empty_the_payee(here, payment)
    refund = here.refund(payment).get_json()
    assert (refund["status"], refund["reason"]) == ("failed", "refund-failed")
    assert refund_sums(here, payment) == (0, 0)


def test_the_bank_refuses_refunds_of_a_payment_with_this_scenario(here):
    """A shop can test `refund.failed`: the bank's accounts always cover what they received."""
    payment, other = here.create(), here.paid()
    here.pay(payment, scenario="refund-refused")
    before = here.balance()
    refund = here.refund(payment).get_json()
    assert (refund["status"], refund["reason"]) == ("failed", "refund-failed")
    assert here.tables.event_names(payment["id"])[-1] == "refund.failed"
    assert here.balance() == before
    assert here.refund(other).get_json()["status"] == "done"
    assert here.audit().faults == ()


def test_a_refund_is_processing_until_a_slow_bank_has_moved_the_money(fresh_database, tmp_path):
    """Real banks settle later; the page must not show a refund as done before that."""
    with town(fresh_database("sqlite"), tmp_path, refund_delay_seconds=60) as here:
        payment = here.paid()
        before = here.balance()
        refund = here.refund(payment).get_json()
        assert refund["status"] == "processing"
        here.clock.advance(seconds=30)
        assert here.run_refunds() == 0
        assert refund_sums(here, payment) == (0, WHOLE)
        assert here.balance() == before
        here.clock.advance(seconds=60)
        assert here.branch.refunds.settle_due() == 1
        assert here.run_refunds() == 1
        assert here.refunds(payment)[0]["status"] == "done"
        assert here.balance() == before + WHOLE


def test_a_retry_after_a_lost_answer_does_not_refund_twice(here):
    """The bank moves the money, but the connection breaks before its answer arrives."""
    payment = here.paid()
    before = here.balance()
    original = here.bank_app.wsgi_app

    def lose_answer(environ, start_response):
        for _ in original(environ, lambda *_: lambda _: None):
            pass
        start_response("502 Bad Gateway", [("Content-Type", "text/html")])
        return [b"<h1>Bad Gateway</h1>"]

    here.bank_app.wsgi_app = lose_answer
    assert here.refund(payment).get_json()["status"] == "processing"
    assert here.balance() == before + WHOLE
    here.bank_app.wsgi_app = original
    here.clock.advance(seconds=30)
    assert here.run_refunds() == 1
    assert here.balance() == before + WHOLE
    assert here.payment(payment)["refunded_value"] == 54.9


ANSWERS_WITHOUT_RESULT = [
    (200, {}),
    (201, {"refund_id": "another", "status": "done"}),
    (201, {"status": "done", "return_id": "D1", "amount_centavos": WHOLE}),
    (401, {"code": "bad-signature"}),
    (404, {"code": "not-found"}),
    (404, {"detail": "no code"}),
    (409, {"code": 7}),
    (409, {"code": "Not A Code!"}),
    (429, {"code": "slow-down"}),
    (302, {"code": "elsewhere"}),
    (500, {"code": "internal-error"}),
    (201, []),
]


@pytest.mark.parametrize(("status", "body"), ANSWERS_WITHOUT_RESULT)
def test_an_answer_without_a_result_does_not_settle_the_refund(here, status, body):
    """Errors of proxies, URLs and clocks do not say whether the bank moved the money."""
    payment = here.paid()
    original = here.bank_app.wsgi_app

    def send_answer(_environ, start_response):
        start_response(f"{status} X", [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    here.bank_app.wsgi_app = send_answer
    assert here.refund(payment).get_json()["status"] == "processing"
    assert refund_sums(here, payment) == (0, WHOLE)
    here.bank_app.wsgi_app = original
    here.clock.advance(seconds=30)
    assert here.run_refunds() == 1
    assert here.payment(payment)["refunded_value"] == 54.9


def falsify(change):
    """Wrap the bank so that `change` is merged into its answers."""

    def wrap(original):
        def send_changed_answer(environ, start_response):
            body = b"".join(original(environ, lambda *_: lambda _: None))
            answer = {**json.loads(body), **change}
            start_response("201 X", [("Content-Type", "application/json")])
            return [json.dumps(answer).encode()]

        return send_changed_answer

    return wrap


@pytest.mark.parametrize(
    "change",
    [
        {"amount_centavos": WHOLE + 1},
        {"refund_id": "0" * 32},
        {"end_to_end_id": "E" + "0" * 31},
        {"status": "perhaps"},
        {"status": None},
        {"return_id": None},
        {"return_id": ["D1"]},
    ],
    ids=str,
)
def test_an_answer_that_contradicts_the_order_settles_nothing(here, change):
    """An answer about another refund, or with an invalid member, must not be trusted."""
    payment = here.paid()
    original = here.bank_app.wsgi_app
    here.bank_app.wsgi_app = falsify(change)(original)
    assert here.refund(payment).get_json()["status"] == "processing"
    assert here.payment(payment)["refunded_value"] == 0.0
    here.bank_app.wsgi_app = original


@pytest.mark.parametrize(
    "change",
    [
        {"return_id": "x" * 65},
        {"return_id": "não"},
        {"status": "DONE ", "settled_at": "soon", "fee": None},
        {"amount_centavos": str(WHOLE), "end_to_end_id": None},
    ],
    ids=str,
)
def test_an_answer_in_other_words_settles_the_refund(here, change):
    """Otherwise the order would be sent again for ever, although the money is back."""
    payment = here.paid()
    original = here.bank_app.wsgi_app
    here.bank_app.wsgi_app = falsify(change)(original)
    assert here.refund(payment).get_json()["status"] == "done"
    assert here.payment(payment)["refunded_value"] == 54.9
    here.bank_app.wsgi_app = original


def test_a_refund_that_the_bank_cannot_process_does_not_delay_the_others(here):
    """The oldest refund comes first; its errors must not stop the whole job."""
    payments = [here.paid() for _ in range(3)]
    here.close_bank()
    for payment in payments:
        here.refund(payment)
    here.open_bank()
    original = here.bank_app.wsgi_app
    bad_refund_id = here.tables.rows(sa.select(Refund.bank_refund_id).order_by(Refund.id))[0][0]

    def fail_one_refund(environ, start_response):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        if bad_refund_id.encode() in body:
            start_response("500 X", [("Content-Type", "application/json")])
            return [b"{}"]
        return original({**environ, "wsgi.input": io.BytesIO(body)}, start_response)

    here.bank_app.wsgi_app = fail_one_refund
    here.clock.advance(seconds=30)
    assert here.run_refunds() == 2
    statuses = [here.refunds(payment)[0]["status"] for payment in payments]
    assert statuses == ["processing", "done", "done"]
