"""PUT against a bank: what meets what, and what the bank says of it, on every engine."""

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
    """A service and its bank, on each engine in turn."""
    with town(any_database_url, tmp_path) as found:
        yield found


@pytest.fixture
def here(fresh_database, tmp_path):
    """Both on SQLite."""
    with town(fresh_database("sqlite"), tmp_path) as found:
        yield found


def alice_in(there: Town) -> Merchant:
    """Alice, with an account at this service."""
    person = Person(there.app, "alice")
    person.sign_up()
    return Merchant(person, person.bearer())


def test_cancelling_and_paying_at_once_end_in_one_of_the_two(anywhere):
    """A clerk gives up the order while the shopper presses *pay*: never both, never neither."""
    alice = alice_in(anywhere)
    seen: Counter[str] = Counter()
    for _ in range(6):
        made = alice.create()
        order = {"code": made["pix_code"], "pin": "1234"}
        pay = partial(anywhere.bank_app.test_client().post, "/api/pay", json=order)
        cancelled, _paid = at_once([partial(alice.put, made, "cancelled"), pay])
        anywhere.reconcile()
        state = alice.read(made)["payment_status"]
        assert (cancelled.status_code, state) in ((200, "cancelled"), (409, "confirmed"))
        seen[state] += 1
    assert sum(seen.values()) == 6
    assert anywhere.audit().faults == ()


def test_of_many_who_give_back_the_whole_one_does(anywhere):
    """A double click is one refund."""
    alice = alice_in(anywhere)
    made = alice.create(amount="8.00")
    before = anywhere.balance()
    anywhere.pay(made)
    assert alice.read(made)["state"] == "completed"
    answers = at_once([partial(alice.put, made, "refunded") for _ in range(6)])
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 5}
    anywhere.clock.advance(seconds=30)
    anywhere.run_refunds()
    assert alice.read(made)["refund"]["status"] == "done"
    assert anywhere.balance() == before
    assert anywhere.audit().faults == ()


def test_what_is_left_after_a_part_is_given_back(here):
    """The merchant gave back a part before, by the other door; the rest is what is left."""
    alice = alice_in(here)
    made = alice.create(amount="10.00")
    here.pay(made)
    part = alice.call("POST", f"/payments/pix/{made['id']}/refunds", json={"value": "4.00"})
    assert part.status_code == 201
    told = alice.put(made, "refunded").get_json()
    assert (told["refund"]["value"], told["refunded_amount"]) == (6.0, 10.0)


def test_a_bank_that_is_away_leaves_the_refund_on_its_way(here):
    """The answer is the same 200; `refund` says how far it is, and the job brings it home."""
    alice = alice_in(here)
    made = alice.create(amount="3.00")
    here.pay(made)
    here.close_bank()
    answer = alice.put(made, "refunded")
    assert (answer.status_code, answer.get_json()["refund"]["status"]) == (200, "processing")
    assert alice.read(made)["refunded_amount"] == 0.0
    here.open_bank()
    here.clock.advance(seconds=30)
    assert here.run_refunds() == 1
    after = alice.read(made)
    assert (after["refund"]["status"], after["refunded_amount"]) == ("done", 3.0)


def test_a_transaction_is_too_old_to_be_given_back_after_ninety_days(here):
    """On both sides of the edge; the bank would refuse it as well."""
    person = alice_in(here).person
    # A sign-in would have ended long before; a till's key has not.
    till = person.key("payments:read", "payments:write", "refunds:write")
    alice = Merchant(person, bearer(till["key"]))
    early, late = alice.create(amount="1.00"), alice.create(amount="1.00")
    for made in (early, late):
        here.pay(made)
    here.clock.advance(days=90, seconds=-60)
    assert alice.put(early, "refunded").status_code == 200
    here.clock.advance(seconds=120)
    answer = alice.put(late, "refunded")
    assert (answer.status_code, answer.get_json()["code"]) == (409, "refund-too-late")
