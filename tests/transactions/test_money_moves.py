"""Cancel and refund transactions with a bank, and race them with payments, on every engine."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from tests.accounts.people import Person, bearer
from tests.db.crowd import at_once
from tests.support.town import Town, town
from tests.transactions.merchant import Merchant


@pytest.fixture
def anywhere(any_database_url, tmp_path):
    """A service and its bank, once per database engine."""
    with town(any_database_url, tmp_path) as new_town:
        yield new_town


@pytest.fixture
def here(fresh_database, tmp_path):
    """A service and its bank on SQLite."""
    with town(fresh_database("sqlite"), tmp_path) as new_town:
        yield new_town


def alice_in(there: Town) -> Merchant:
    """Sign up Alice at this service."""
    person = Person(there.app, "alice")
    person.sign_up()
    return Merchant(person, person.bearer())


def test_a_race_of_cancelling_and_paying_has_exactly_one_winner(anywhere):
    """A clerk cancels the order while the shopper presses *pay*."""
    alice = alice_in(anywhere)
    outcomes: Counter[str] = Counter()
    for _ in range(6):
        transaction = alice.create()
        bank_order = {"code": transaction["pix_code"], "pin": "1234"}
        pay = partial(anywhere.bank_app.test_client().post, "/api/pay", json=bank_order)
        cancelled, _paid = at_once([partial(alice.set_status, transaction, "cancelled"), pay])
        anywhere.reconcile()
        state = alice.read(transaction)["payment_status"]
        assert (cancelled.status_code, state) in ((200, "cancelled"), (409, "confirmed"))
        outcomes[state] += 1
    assert sum(outcomes.values()) == 6
    assert anywhere.audit().faults == ()


def test_several_refunds_at_once_make_one_refund(anywhere):
    """A double click makes one refund."""
    alice = alice_in(anywhere)
    transaction = alice.create(amount="8.00")
    before = anywhere.balance()
    anywhere.pay(transaction)
    assert alice.read(transaction)["state"] == "completed"
    answers = at_once([partial(alice.set_status, transaction, "refunded") for _ in range(6)])
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 5}
    anywhere.clock.advance(seconds=30)
    anywhere.run_refunds()
    assert alice.read(transaction)["refund"]["status"] == "done"
    assert anywhere.balance() == before
    assert anywhere.audit().faults == ()


def test_after_a_partial_refund_the_rest_is_refunded(here):
    """The merchant made the partial refund through the payments API."""
    alice = alice_in(here)
    transaction = alice.create(amount="10.00")
    here.pay(transaction)
    part = alice.call("POST", f"/payments/pix/{transaction['id']}/refunds", json={"value": "4.00"})
    assert part.status_code == 201
    body = alice.set_status(transaction, "refunded").get_json()
    assert (body["refund"]["value"], body["refunded_amount"]) == (6.0, 10.0)


def test_a_refund_is_retried_when_the_bank_is_back(here):
    """The answer is 200 with a `processing` refund, which the job completes later."""
    alice = alice_in(here)
    transaction = alice.create(amount="3.00")
    here.pay(transaction)
    here.close_bank()
    answer = alice.set_status(transaction, "refunded")
    assert (answer.status_code, answer.get_json()["refund"]["status"]) == (200, "processing")
    assert alice.read(transaction)["refunded_amount"] == 0.0
    here.open_bank()
    here.clock.advance(seconds=30)
    assert here.run_refunds() == 1
    after = alice.read(transaction)
    assert (after["refund"]["status"], after["refunded_amount"]) == ("done", 3.0)


def test_a_transaction_cannot_be_refunded_after_ninety_days(here):
    """Both sides of the limit; the bank would refuse a later refund too."""
    person = alice_in(here).person
    # A sign-in would have ended by then, an API key has not.
    till = person.key("payments:read", "payments:write", "refunds:write")
    alice = Merchant(person, bearer(till["key"]))
    early, late = alice.create(amount="1.00"), alice.create(amount="1.00")
    for transaction in (early, late):
        here.pay(transaction)
    here.clock.advance(days=90, seconds=-60)
    assert alice.set_status(early, "refunded").status_code == 200
    here.clock.advance(seconds=120)
    answer = alice.set_status(late, "refunded")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "refund-too-late")
