"""The demo shop's cart: one order has one payment, however often the shopper presses *Pagar*."""

from __future__ import annotations

import re

import pytest

from tests.http.checks import rows


def order_in_cart(shopper, slug="queijo") -> str:
    """Open the cart; return the order's number in its form."""
    number = re.search(r'name="order" value="([^"]+)"', shopper.get(f"/shop/cart/{slug}").text)
    assert number is not None
    return number[1]


def pay_pressed(shopper, order, slug="queijo") -> str:
    """Press *Pagar com Pix*; return the id of the payment to which it leads."""
    answer = shopper.post("/shop/orders", data={"product": slug, "order": order})
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"].rsplit("/", 1)[1]


@pytest.fixture
def read(client):
    """The payment with this id, as JSON."""
    headers = {"Accept": "application/json"}
    return lambda txid: client.get(f"/payments/pix/{txid}", headers=headers).json["payment"]


def test_back_and_pay_again_leads_to_the_same_payment(app, client):
    """Two live payments for one cart can both be paid."""
    order = order_in_cart(client)
    first = pay_pressed(client, order)
    before = rows(app)
    assert order_in_cart(client) == order
    assert pay_pressed(client, order) == first
    assert rows(app) == before


def test_a_paid_cart_begins_a_new_order(client, bank, read):
    """Who buys the same product again pays again."""
    order = order_in_cart(client)
    first = pay_pressed(client, order)
    bank.confirm(read(first))
    again = order_in_cart(client)
    assert again != order
    assert pay_pressed(client, again) != first


def test_an_expired_or_cancelled_order_gets_a_new_payment_with_its_number(client, read, clock):
    """The cart is not paid yet, so it stays the same order."""
    order = order_in_cart(client)
    payments = [pay_pressed(client, order)]
    clock.advance(minutes=16)
    payments.append(pay_pressed(client, order_in_cart(client)))
    client.post(f"/payments/pix/{payments[1]}/cancel")
    payments.append(pay_pressed(client, order_in_cart(client)))
    assert len(set(payments)) == 3
    assert {read(txid)["order_id"] for txid in payments} == {order}


def test_carts_of_two_products_and_two_shoppers_are_two_orders(app, client):
    """A cookie belongs to one product in one browser."""
    other = app.test_client()
    numbers = {order_in_cart(client), order_in_cart(client, "mel"), order_in_cart(other)}
    assert len(numbers) == 3


@pytest.mark.parametrize("cookie", ["", "FV-1", "fv-00000000", "x" * 4000, "FV-0000000\u0660"])
def test_a_cookie_that_is_no_order_begins_a_new_one(client, cookie):
    """A browser may send anything."""
    client.set_cookie("cart_queijo", cookie, path="/shop")
    assert re.fullmatch("FV-[0-9A-F]{8}", order_in_cart(client))
