"""An order is paid once: at most one pending or confirmed payment per merchant and order."""

from __future__ import annotations

from tests.http.checks import problem, rows


def create(client, order_id="A", **body):
    """Create a payment of an order."""
    return client.post("/payments/pix", json={"value": 10, "order_id": order_id, **body})


def test_an_order_with_a_pending_payment_gets_no_second(client, app):
    """Two tabs, one order: two codes would be paid twice."""
    first = create(client).json["payment"]
    before = rows(app)
    refusal = problem(create(client), 409, "order-already-has-payment")
    assert first["id"] in refusal["detail"]
    assert rows(app) == before


def test_an_order_that_was_paid_gets_no_second(client, bank, clock):
    """Even long after the payment."""
    bank.confirm(create(client).json["payment"])
    clock.advance(days=40)
    problem(create(client), 409, "order-already-has-payment")


def test_an_order_whose_payment_expired_gets_a_new_one_before_the_sweep_wrote_it(client, clock):
    """The clock expires a payment, not the sweep; creating also stores the expiry."""
    old = create(client, expires_in=10).json["payment"]
    clock.advance(seconds=10)
    problem(create(client), 409, "order-already-has-payment")
    clock.advance(milliseconds=1)
    assert create(client).status_code == 201
    status = client.get(f"/payments/pix/{old['id']}/status").json
    assert (status["status"], status["sequence"]) == ("expired", 2)


def test_an_order_whose_payment_was_cancelled_gets_a_new_one(client):
    """The shopper changed the basket."""
    old = create(client).json["payment"]
    assert client.post(f"/payments/pix/{old['id']}/cancel").status_code == 200
    assert create(client, value=12).status_code == 201


def test_each_merchant_has_its_own_order_ids(client, charlie):
    """Many shops have an order 1."""
    assert create(client, "1").status_code == 201
    assert create(charlie, "1").status_code == 201


def test_order_numbers_that_differ_in_case_are_different(client):
    """They are compared byte for byte."""
    assert [create(client, name).status_code for name in ("a", "A", "á")] == [201, 201, 201]


def test_payments_without_an_order_do_not_conflict(client):
    """The rule is only for payments with an order."""
    assert [create(client, None).status_code for _ in range(3)] == [201, 201, 201]


def test_late_money_cancels_the_orders_newer_pending_payment(client, bank, clock):
    """The first code was paid in time but notified late; the second must not be paid."""
    old = create(client, expires_in=60).json["payment"]
    told_late = bank.body(old)
    clock.advance(seconds=61)
    newer = create(client).json["payment"]
    assert bank.tell(told_late).status_code == 200
    status = client.get(f"/payments/pix/{newer['id']}/status").json
    assert (status["status"], status["sequence"]) == ("cancelled", 2)
    problem(bank.confirm(newer), 409, "payment-cancelled")
    page = client.get(f"/payments/pix/{newer['id']}", headers={"Accept": "text/html"})
    assert f"/payments/pix/{old['id']}/receipt" in page.text


def test_late_money_for_an_order_whose_newer_payment_was_paid_goes_back(client, bank, clock):
    """Both were paid in time; the order is paid once, and the second receipt is refused."""
    old = create(client, expires_in=60).json["payment"]
    told_late = bank.body(old)
    clock.advance(seconds=61)
    newer = create(client).json["payment"]
    assert bank.confirm(newer).status_code == 200
    problem(bank.tell(told_late), 409, "already-paid")
    assert client.get(f"/payments/pix/{old['id']}/status").json["status"] == "expired"
    assert client.get(f"/payments/pix/{newer['id']}/status").json["status"] == "confirmed"
    receipts = client.get("/payments/pix/receipts?verdict=refused").json["data"]
    assert [(one["end_to_end_id"], one["reason"]) for one in receipts] == [
        (told_late["end_to_end_id"], "already-paid")
    ]


def test_late_money_leaves_a_newer_payment_that_expired_as_it_is(client, bank, clock):
    """Only money paid in time changes an expired payment."""
    old = create(client, expires_in=60).json["payment"]
    told_late = bank.body(old)
    clock.advance(seconds=61)
    newer = create(client, expires_in=60).json["payment"]
    clock.advance(seconds=61)
    assert client.get(f"/payments/pix/{newer['id']}/status").json["status"] == "expired"
    assert bank.tell(told_late).status_code == 200
    assert client.get(f"/payments/pix/{newer['id']}/status").json["status"] == "expired"
