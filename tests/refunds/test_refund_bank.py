"""What the bank makes of a refund: done, refused, slow, away, or answered by nonsense."""

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


def held(town_, payment):
    """What is given back and what is held of a payment."""
    row = town_.tables.payment(payment["id"])
    return row.refunded_centavos, row.refunding_centavos


def empty_the_payee(here, payment):
    """Let the merchant's account at the bank hold nothing any more."""
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


def test_a_bank_that_is_away_is_asked_again_until_it_is_back(anywhere):
    """The merchant pressed the button; that the bank sleeps is our affair, not theirs."""
    payment = anywhere.paid()
    before = anywhere.balance()
    anywhere.close_bank()
    told = anywhere.refund(payment, value="20.00").get_json()
    assert (told["status"], told["return_id"], told["settled_at"]) == ("processing", None, None)
    assert held(anywhere, payment) == (0, 2000)
    assert anywhere.payment(payment)["refunded_value"] == 0.0
    for _ in range(3):
        anywhere.clock.advance(seconds=60)
        assert anywhere.run_refunds() == 0
    anywhere.open_bank()
    assert anywhere.run_refunds() == 0  # not its time yet
    anywhere.clock.advance(minutes=11)
    assert anywhere.run_refunds() == 1
    assert anywhere.refunds(payment)[0]["status"] == "done"
    assert held(anywhere, payment) == (2000, 0)
    assert anywhere.balance() == before + 2000
    assert anywhere.audit().faults == ()


def test_what_waits_for_the_bank_counts_as_given_back_already(here):
    """Else the whole could be promised twice while the bank is away."""
    payment = here.paid()
    here.close_bank()
    assert here.refund(payment, value="54.00").status_code == 201
    assert here.refund(payment, value="1.00").status_code == 409
    assert here.refund(payment).get_json()["amount_centavos"] == 90


def test_the_pauses_grow_to_ten_minutes_and_no_further(here):
    """A bank that comes back after a night must not find a crowd at its door, nor be forgotten."""
    payment = here.paid()
    here.close_bank()
    here.refund(payment)
    waits = []
    for _ in range(20):
        due = here.tables.rows(sa.select(Refund.ask_at))[0].ask_at
        here.clock.advance(seconds=(due - here.clock.now()).total_seconds() + 0.01)
        asked_at = here.clock.now()
        here.run_refunds()
        after = here.tables.rows(sa.select(Refund.ask_at))[0].ask_at
        waits.append((after - asked_at).total_seconds())
    # What a run takes by itself is in the figures.
    assert 2 <= waits[0] < 6
    assert all(later > earlier - 3 for earlier, later in pairwise(waits))
    assert 600 <= waits[-1] < 604


def test_a_refund_the_bank_refuses_has_failed_and_frees_its_amount(anywhere):
    """The money is still the merchant's, so it can be promised again."""
    payment = anywhere.paid()
    with anywhere.branch.database.writing() as session:
        session.execute(
            sa.update(Transfer)
            .where(Transfer.txid == payment["id"])
            .values(made_at=anywhere.clock.now().replace(year=2020))
        )
    told = anywhere.refund(payment).get_json()
    assert (told["status"], told["reason"]) == ("failed", "refund-too-late")
    assert told["return_id"] is None
    assert told["settled_at"] is not None
    assert held(anywhere, payment) == (0, 0)
    assert anywhere.payment(payment)["refunded_value"] == 0.0
    assert anywhere.tables.event_names(payment["id"])[-1] == "refund.failed"
    again = anywhere.refund(payment).get_json()
    assert (again["status"], again["amount_centavos"]) == ("failed", WHOLE)


def test_a_merchant_whose_account_is_empty_cannot_give_back(here):
    """The bank takes the order and fails it: that is an answer as well, and not a refusal."""
    payment = here.paid()
    empty_the_payee(here, payment)
    told = here.refund(payment).get_json()
    assert (told["status"], told["reason"]) == ("failed", "refund-failed")
    assert held(here, payment) == (0, 0)


def test_a_slow_bank_keeps_a_refund_processing_until_the_money_moved(fresh_database, tmp_path):
    """Real banks settle later; the page must not say *given back* before it is."""
    with town(fresh_database("sqlite"), tmp_path, refund_delay_seconds=60) as here:
        payment = here.paid()
        before = here.balance()
        told = here.refund(payment).get_json()
        assert told["status"] == "processing"
        here.clock.advance(seconds=30)
        assert here.run_refunds() == 0
        assert held(here, payment) == (0, WHOLE)
        assert here.balance() == before
        here.clock.advance(seconds=60)
        assert here.branch.refunds.settle_due() == 1
        assert here.run_refunds() == 1
        assert here.refunds(payment)[0]["status"] == "done"
        assert here.balance() == before + WHOLE


def test_an_answer_that_was_lost_is_asked_for_again_and_moves_nothing_twice(here):
    """The bank did it, and the line broke before it could say so."""
    payment = here.paid()
    before = here.balance()
    original = here.bank_app.wsgi_app

    def breaks(environ, start_response):
        for _ in original(environ, lambda *_: lambda _: None):
            pass
        start_response("502 Bad Gateway", [("Content-Type", "text/html")])
        return [b"<h1>Bad Gateway</h1>"]

    here.bank_app.wsgi_app = breaks
    assert here.refund(payment).get_json()["status"] == "processing"
    assert here.balance() == before + WHOLE
    here.bank_app.wsgi_app = original
    here.clock.advance(seconds=30)
    assert here.run_refunds() == 1
    assert here.balance() == before + WHOLE
    assert here.payment(payment)["refunded_value"] == 54.9


ANSWERS_THAT_SAY_NOTHING = [
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


@pytest.mark.parametrize(("status", "body"), ANSWERS_THAT_SAY_NOTHING)
def test_an_answer_that_says_nothing_of_the_refund_decides_nothing(here, status, body):
    """A proxy's page, a wrong address, our own wrong clock: none of them moved money or refused."""
    payment = here.paid()
    original = here.bank_app.wsgi_app

    def answers(_environ, start_response):
        start_response(f"{status} X", [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    here.bank_app.wsgi_app = answers
    assert here.refund(payment).get_json()["status"] == "processing"
    assert held(here, payment) == (0, WHOLE)
    here.bank_app.wsgi_app = original
    here.clock.advance(seconds=30)
    assert here.run_refunds() == 1
    assert here.payment(payment)["refunded_value"] == 54.9


def doctored(change):
    """A bank whose right answer is changed before it leaves."""

    def wrap(original):
        def answers(environ, start_response):
            body = b"".join(original(environ, lambda *_: lambda _: None))
            told = {**json.loads(body), **change}
            start_response("201 X", [("Content-Type", "application/json")])
            return [json.dumps(told).encode()]

        return answers

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
        {"return_id": "x" * 65},
        {"return_id": "não"},
    ],
    ids=str,
)
def test_an_answer_for_something_else_settles_nothing(here, change):
    """What contradicts the order is no answer to it, however well it is meant."""
    payment = here.paid()
    original = here.bank_app.wsgi_app
    here.bank_app.wsgi_app = doctored(change)(original)
    assert here.refund(payment).get_json()["status"] == "processing"
    assert here.payment(payment)["refunded_value"] == 0.0
    here.bank_app.wsgi_app = original


def test_one_refund_the_bank_chokes_on_does_not_hold_up_the_others(here):
    """The oldest is asked about first, and must not be asked about alone for ever."""
    payments = [here.paid() for _ in range(3)]
    here.close_bank()
    for payment in payments:
        here.refund(payment)
    here.open_bank()
    original = here.bank_app.wsgi_app
    choking = here.tables.rows(sa.select(Refund.bank_refund_id).order_by(Refund.id))[0][0]

    def chokes(environ, start_response):
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length)
        if choking.encode() in body:
            start_response("500 X", [("Content-Type", "application/json")])
            return [b"{}"]
        return original({**environ, "wsgi.input": io.BytesIO(body)}, start_response)

    here.bank_app.wsgi_app = chokes
    here.clock.advance(seconds=30)
    assert here.run_refunds() == 2
    found = [here.refunds(payment)[0]["status"] for payment in payments]
    assert found == ["processing", "done", "done"]
