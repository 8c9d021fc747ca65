"""Somebody who orders at the shop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Flask

from balcao import Payment
from balcao.testing import Sandbox


@dataclass
class Customer:
    """Somebody who orders at the shop, through its pages."""

    app: Flask
    balcao: Sandbox

    def order(self, item: str = "queijo-minas") -> Payment:
        """Order, and read the payment whose page the shop sends the customer to."""
        answer = self.app.test_client().post("/orders", data={"item": item})
        assert answer.status_code == 303, answer.text
        return self.balcao.client.payments.get(answer.location.rpartition("/")[2])

    def order_of(self, payment: Payment) -> dict[str, Any]:
        """The order as the shop shows it."""
        answer = self.app.test_client().get(f"/orders/{order_number(payment)}")
        assert answer.status_code == 200
        order: dict[str, Any] = answer.get_json()
        return order

    def refund(self, payment: Payment) -> int:
        """Press the button for a refund; returns the shop's status."""
        return self.app.test_client().post(f"/orders/{order_number(payment)}/refund").status_code


def order_number(payment: Payment) -> str:
    """The shop's number of the order that a payment is for."""
    return str(payment.order_id).removeprefix("shop-")
