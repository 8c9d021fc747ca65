"""The counter page: amount, QR, paid, next customer; without scripts and in Chromium."""

from __future__ import annotations

import re

import pytest

from core.clock import rfc3339
from tests.portal.signing import CONFIRMED, KEYS
from tests.support.service import end_to_end_id


def part(pattern, text):
    """The group of the pattern in the text."""
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]


def show(browser, **fields):
    """Send the keypad's form; return the answer."""
    return browser.post("/portal/counter", {"value": "12,34", "way": "dynamic", **fields})


def stage(page):
    """The name of the stage that a page shows."""
    return part(r'data-stage="(\w+)"', page.text)


def paid_id(location):
    """The payment's id in an address of the counter."""
    return part(r"/portal/counter/payments/([0-9a-f]{32})", location)


def till_of(answer):
    """The till's txid in the address of its code."""
    return part(r"/tills/([A-Z0-9]{25})", answer.location)


@pytest.fixture
def pay_till(bank, clock):
    """Tell of money for a till of Alice: pay_till(txid, value="12.34")."""

    def tell(txid, value="12.34", key=KEYS["alice"]):
        body = {
            "pix_key": key,
            "reference": txid,
            "value": value,
            "end_to_end_id": end_to_end_id(),
            "paid_at": rfc3339(clock.now()),
            "payer": {"name": "Bia Andrade"},
        }
        assert bank.tell(body).status_code == 200

    return tell


def test_one_tap_shows_the_code_of_a_new_payment_and_then_that_it_is_paid(alice, bank, clock):
    """Without scripts the page asks again every five seconds."""
    answer = show(alice)
    waiting = alice.get(answer.location)
    payment = alice.client.get("/payments/pix").get_json()["data"][0]
    bank.confirm(payment)
    paid = alice.get(answer.location)

    assert answer.status_code == 303
    assert payment["value"] == 12.34
    assert payment["remaining_ms"] == 600_000
    assert stage(waiting) == "waiting"
    assert f"qr_code_payment_{payment['id']}.svg" in waiting.text
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in waiting.text
    assert stage(paid) == "paid"
    assert "R$\xa012,34" in paid.text
    assert "Bob de Souza" in paid.text
    assert "refresh" not in paid.text
    assert 'href="/portal/counter"' in paid.text


def test_a_form_sent_twice_makes_one_payment(alice):
    """A double tap on a slow line must not show two codes."""
    key = part(r'name="form_key" value="([^"]+)"', alice.get("/portal/counter").text)

    answers = [show(alice, form_key=key) for _ in range(2)]

    assert answers[0].location == answers[1].location
    assert len(alice.client.get("/payments/pix").get_json()["data"]) == 1


def test_a_customer_who_leaves_is_cancelled_in_two_taps(alice, bank):
    """The second tap names the sum; then the keypad is back, and the code cannot be paid."""
    answer = show(alice)
    assert re.search(r"Sim, cancelar R\$\xa0[0-9]", alice.get(answer.location).text)
    path = f"/portal/counter/payments/{paid_id(answer.location)}/cancel"

    question = alice.post(path)
    assert question.status_code == 200
    assert stage(alice.get(answer.location)) == "waiting"
    cancelled = alice.post(path, CONFIRMED)

    assert cancelled.location == "/portal/counter"
    assert stage(alice.get(answer.location)) == "ended"
    again = show(alice)
    bank.confirm(alice.client.get("/payments/pix").get_json()["data"][0])
    path = f"/portal/counter/payments/{paid_id(again.location)}/cancel"
    too_late = alice.post(path, CONFIRMED)
    assert stage(alice.get(too_late.location)) == "paid"


def test_an_expired_code_says_so(alice, clock):
    """Ten minutes are over; nobody is to pay this code."""
    answer = show(alice)
    clock.advance(seconds=600)
    assert stage(alice.get(answer.location)) == "waiting"
    clock.advance(seconds=1)
    assert stage(alice.get(answer.location)) == "ended"


def test_a_static_code_is_paid_by_its_till_its_amount_and_after_its_showing(alice, pay_till, clock):
    """Earlier money, another amount and another till do not turn the screen green."""
    other = alice.post("/portal/tills", {"name": "Barraca"}).location.partition("till=")[2]
    mine = alice.post("/portal/tills", {"name": "Caixa"}).location.partition("till=")[2]
    pay_till(mine)
    clock.advance(seconds=1)
    answer = show(alice, way="static", till=mine)
    clock.advance(seconds=1)

    pay_till(other)
    pay_till(mine, value="12.33")
    before = alice.get(answer.location)
    pay_till(mine)
    after = alice.get(answer.location)

    assert f"/portal/counter/tills/{mine}" in answer.location
    assert (stage(before), stage(after)) == ("waiting", "paid")
    assert "Bia Andrade" in after.text
    assert 'href="/portal/counter"' in after.text


def test_a_static_code_without_an_amount_stays_for_the_next_customer(alice, pay_till, clock):
    """The tablet shows the code all day; each payment turns it green once."""
    answer = show(alice, way="static", value="")
    txid = till_of(answer)
    clock.advance(seconds=1)
    pay_till(txid, value="7.00")
    paid = alice.get(answer.location)
    following = part(r'href="([^"]+)" data-counter-link', paid.text).replace("&amp;", "&")
    fresh = alice.get(following)
    clock.advance(seconds=1)
    pay_till(txid, value="8.00")
    paid_again = alice.get(following)

    assert stage(paid) == "paid"
    assert "R$\xa08,00" in paid_again.text
    assert "R$\xa07,00" in paid.text
    assert f"/portal/counter/tills/{txid}" in following
    assert stage(fresh) == "waiting"


@pytest.mark.parametrize("value", ["", "0", "-1", "abc", "1,999"])
def test_an_amount_that_is_none_is_explained(alice, value):
    """The typed text stays in the field, and no payment is made."""
    answer = show(alice, value=value)

    assert answer.status_code == 400
    assert stage(answer) == "keypad"
    assert 'id="value-wrong"' in answer.text
    assert alice.client.get("/payments/pix").get_json()["data"] == []


@pytest.mark.parametrize(
    "since", ["", "x", "2999-01-01T00:00:00Z", "%00", "2026-11-20T02:59:59.999999Z"]
)
def test_a_till_without_a_valid_beginning_waits_from_now_on(alice, pay_till, since):
    """An old bookmark must not show an old payment as new."""
    answer = show(alice, way="static", value="")
    txid = till_of(answer)
    pay_till(txid)

    answer = alice.get(f"/portal/counter/tills/{txid}?since={since}")

    assert answer.status_code == 303
    assert f"/portal/counter/tills/{txid}?since=2026-11-20T15:00:00" in answer.location


def test_another_merchant_sees_no_counter_of_alice(alice, charlie):
    """Charlie knows the addresses."""
    payment, till = show(alice).location, show(alice, way="static").location

    assert charlie.get(payment).status_code == 404
    assert charlie.get(till).status_code == 404
    assert charlie.post(f"{payment}/cancel").status_code == 404
    assert charlie.post("/portal/counter", {"way": "static", "till": "A" * 25}).status_code == 404
    assert stage(alice.get(payment)) == "waiting"
