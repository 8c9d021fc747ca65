"""Cancelling: only the merchant's own pending payments."""

from __future__ import annotations

import pytest

from tests.http.checks import problem, rows


def cancel(client, payment):
    """Cancel a payment."""
    return client.post(f"/payments/pix/{payment['id']}/cancel")


def test_a_pending_payment_is_cancelled_for_good(make_payment, client, bank):
    """Money that arrives afterwards goes back."""
    payment = make_payment()
    answer = cancel(client, payment)
    assert answer.status_code == 200
    assert answer.json["message"] == "The payment has been cancelled."
    assert answer.json["payment"]["status"] == "cancelled"
    assert answer.json["payment"]["sequence"] == 2
    assert answer.json["payment"]["remaining_ms"] == 0
    problem(bank.confirm(payment), 409, "payment-cancelled")


def test_a_cancelled_paid_or_expired_payment_cannot_be_cancelled(make_payment, client, clock, bank):
    """Each of these states is final for the merchant."""
    cancelled, paid, late = make_payment(), make_payment(), make_payment(expires_in=10)
    cancel(client, cancelled)
    bank.confirm(paid)
    clock.advance(seconds=11)
    for payment, status in ((cancelled, "cancelled"), (paid, "confirmed"), (late, "expired")):
        refusal = problem(cancel(client, payment), 409, "not-cancellable")
        assert status in refusal["detail"]


def test_exactly_at_the_deadline_it_can_still_be_cancelled(make_payment, client, clock):
    """A payment is pending up to and including its deadline."""
    payment = make_payment(expires_in=10)
    clock.advance(seconds=10)
    assert cancel(client, payment).status_code == 200


def test_another_merchant_cannot_cancel_and_learns_nothing(make_payment, client, charlie, app):
    """Charlie gets the same answer for Alice's payment as for an unknown id."""
    payment = make_payment()
    before = rows(app)
    theirs = problem(cancel(charlie, payment), 404, "payment-not-found")
    none = problem(cancel(charlie, {"id": "0" * 32}), 404, "payment-not-found")
    assert theirs["detail"] == none["detail"]
    assert rows(app) == before
    assert client.get(f"/payments/pix/{payment['id']}/status").json["status"] == "pending"


def test_the_demo_merchant_cannot_cancel_charlies_payment(client, charlie):
    """The rule holds in both directions."""
    payment = charlie.post("/payments/pix", json={"value": 1}).json["payment"]
    problem(cancel(client, payment), 404, "payment-not-found")
    assert cancel(charlie, payment).status_code == 200


@pytest.mark.parametrize("name", ["x", "0" * 32, "confirmation"])
def test_an_unknown_payment_is_a_404(client, name):
    """Also if the id has the wrong format."""
    problem(cancel(client, {"id": name}), 404, "payment-not-found")
