"""What happens to an order when the money comes, comes wrongly, or does not come."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from customer import Customer, order_number
from flask import Flask

from balcao.testing import Sandbox


def test_a_paid_order_is_delivered(balcao: Sandbox, customer: Customer) -> None:
    """The usual case: the webhook says so, and the shop sends the cheese once."""
    payment = customer.order()
    assert customer.order_of(payment)["status"] == "waiting"

    balcao.pay(payment)
    balcao.webhooks.wait_for("payment.confirmed", payment=payment)

    order = customer.order_of(payment)
    assert (order["status"], order["deliveries"]) == ("paid", 1)


def test_a_webhook_that_comes_twice_delivers_once(balcao: Sandbox, customer: Customer) -> None:
    """Balcão delivers at least once: the answer to the first one may have been lost."""
    payment = customer.order()
    balcao.pay(payment)
    webhook = balcao.webhooks.wait_for("payment.confirmed", payment=payment)

    again = balcao.webhooks.repeat(webhook)

    assert (again.event.id, again.status) == (webhook.event.id, 204)
    assert customer.order_of(payment)["deliveries"] == 1


def test_too_little_money_goes_back_and_the_order_waits(
    balcao: Sandbox, customer: Customer
) -> None:
    """The customer sees why, and can still pay the right amount."""
    payment = customer.order()
    balcao.pay_less(payment)
    refusal = balcao.webhooks.wait_for("receipt.refused", payment=payment)
    order = customer.order_of(payment)
    assert (order["status"], order["note"]) == ("waiting", "money returned: amount-mismatch")

    balcao.pay(payment)
    balcao.webhooks.wait_for("payment.confirmed", payment=payment)
    assert customer.order_of(payment)["status"] == "paid"

    balcao.webhooks.repeat(refusal)
    assert customer.order_of(payment)["note"] is None


def test_an_order_whose_price_has_changed_is_not_delivered(
    balcao: Sandbox, app: Flask, customer: Customer, caplog: pytest.LogCaptureFixture
) -> None:
    """The money that came is not the money for this order: the log calls a person."""
    payment = customer.order()
    with closing(sqlite3.connect(app.config["DATABASE"])) as connection, connection:
        connection.execute("UPDATE orders SET amount_centavos = amount_centavos + 1")

    balcao.pay(payment)
    assert balcao.webhooks.wait_for("payment.confirmed", payment=payment).status == 204

    order = customer.order_of(payment)
    assert (order["status"], order["deliveries"]) == ("waiting", 0)
    assert f"Payment {payment.id} of 5490 centavos was paid" in caplog.text


def test_a_customer_who_pays_twice_gets_one_cheese(balcao: Sandbox, customer: Customer) -> None:
    """Two transfers for one order: the bank returns one of them."""
    payment = customer.order()
    balcao.pay_twice(payment)
    balcao.webhooks.wait_for("payment.confirmed", payment=payment)
    balcao.webhooks.wait_for("receipt.refused", payment=payment)

    order = customer.order_of(payment)
    assert (order["status"], order["deliveries"]) == ("paid", 1)
    assert order["note"] == "money returned: already-paid"


def test_an_order_expires_after_three_days(balcao: Sandbox, customer: Customer) -> None:
    """Two days later it still waits."""
    payment = customer.order()
    balcao.clock.advance(days=2)
    assert balcao.client.payments.get(payment.id).status == "pending"

    balcao.clock.advance(days=1, seconds=1)
    balcao.webhooks.wait_for("payment.expired", payment=payment)

    order = customer.order_of(payment)
    assert (order["status"], order["deliveries"]) == ("expired", 0)


def test_money_that_comes_too_late_goes_back(balcao: Sandbox, customer: Customer) -> None:
    """The order stays expired, and the note says that the customer has the money."""
    payment = customer.order()
    balcao.pay_late(payment)
    balcao.webhooks.wait_for("receipt.refused", payment=payment)
    balcao.webhooks.wait_for("payment.expired", payment=payment)

    order = customer.order_of(payment)
    assert (order["status"], order["deliveries"]) == ("expired", 0)
    assert order["note"] == "money returned: paid-too-late"


def test_a_payment_whose_notice_is_lost_is_delivered(balcao: Sandbox, customer: Customer) -> None:
    """Balcão asks the bank; the shop hears of it as of any other."""
    payment = customer.order()
    balcao.lose_notice(payment)
    balcao.webhooks.wait_for("payment.confirmed", payment=payment)

    assert customer.order_of(payment)["deliveries"] == 1


def test_a_refund_gives_the_money_back(balcao: Sandbox, customer: Customer) -> None:
    """A second click changes nothing."""
    payment = customer.order()
    balcao.pay(payment)
    balcao.webhooks.wait_for("payment.confirmed", payment=payment)

    assert customer.refund(payment) == 202
    balcao.webhooks.wait_for("payment.refunded", payment=payment)

    assert customer.order_of(payment)["status"] == "refunded"
    assert customer.refund(payment) == 409
    assert balcao.client.payments.get(payment.id).refunded_value == payment.value


def test_two_clicks_refund_once(balcao: Sandbox, customer: Customer) -> None:
    """The second one comes before the shop has heard of the refund."""
    payment = customer.order()
    balcao.pay(payment)
    balcao.webhooks.wait_for("payment.confirmed", payment=payment)
    balcao.webhooks.forward_to(lambda headers, body: 204)  # noqa: ARG005 - the shop hears nothing

    assert [customer.refund(payment), customer.refund(payment)] == [202, 202]

    balcao.webhooks.wait_for("payment.refunded", payment=payment)
    assert balcao.client.payments.get(payment.id).refunded_value == payment.value


def test_a_refund_that_fails_is_noted(balcao: Sandbox, customer: Customer) -> None:
    """The order stays paid, and somebody must look."""
    payment = customer.order()
    balcao.refund_fails(payment)
    balcao.webhooks.wait_for("payment.confirmed", payment=payment)

    assert customer.refund(payment) == 202
    balcao.webhooks.wait_for("refund.failed", payment=payment)

    order = customer.order_of(payment)
    assert (order["status"], order["note"]) == ("paid", "refund failed: refund-failed")


def test_after_90_days_the_shop_refunds_no_more(balcao: Sandbox, customer: Customer) -> None:
    """A rule of Pix: 89 days after the payment it still works."""
    early, late = customer.order(), customer.order("requeijao")
    for payment in (early, late):
        balcao.pay(payment)
        balcao.webhooks.wait_for("payment.confirmed", payment=payment)

    balcao.clock.advance(days=89)
    assert customer.refund(early) == 202
    balcao.webhooks.wait_for("payment.refunded", payment=early)

    balcao.clock.advance(days=1, minutes=1)
    assert customer.refund(late) == 409
    assert customer.order_of(late)["status"] == "paid"
    assert balcao.clock.now() - late.created_at > timedelta(days=90)


def test_a_wrong_signature_changes_nothing(balcao: Sandbox, app: Flask, customer: Customer) -> None:
    """Anybody can post to the address of the shop."""
    payment = customer.order()
    created = balcao.webhooks.wait_for("payment.created", payment=payment)
    forged = created.body.replace(b"payment.created", b"payment.confirmed")

    answer = app.test_client().post("/webhooks/balcao", headers=dict(created.headers), data=forged)

    assert answer.status_code == 400
    assert customer.order_of(payment)["status"] == "waiting"


def test_a_lost_answer_creates_no_second_payment(
    balcao: Sandbox, app: Flask, customer: Customer
) -> None:
    """The customer presses the button again, and comes to the same payment."""
    payment = customer.order()

    answer = app.test_client().post(f"/orders/{order_number(payment)}/pay")

    assert answer.location == payment.payment_url
    assert [one.id for one in balcao.client.payments.list()] == [payment.id]

    balcao.pay(payment)
    balcao.webhooks.wait_for("payment.confirmed", payment=payment)
    assert app.test_client().post(f"/orders/{order_number(payment)}/pay").status_code == 409
    assert customer.order_of(payment)["status"] == "paid"


def test_an_old_order_gets_no_second_payment(
    balcao: Sandbox, app: Flask, customer: Customer
) -> None:
    """Money for a payment that the order does not know would deliver nothing."""
    payment = customer.order()
    balcao.expire(payment)
    balcao.webhooks.wait_for("payment.expired", payment=payment)
    balcao.clock.advance(days=8)

    assert app.test_client().post(f"/orders/{order_number(payment)}/pay").status_code == 409

    assert [one.id for one in balcao.client.payments.list()] == [payment.id]
