"""What a merchant does with money without a payment: attach it to an order, or give it back."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from core.pix import br_code
from tests.db.crowd import at_once
from tests.http.checks import add_merchant, client_of, problem
from tests.support.service import PIX_KEY

STATIC = br_code.encode_static(PIX_KEY, "Feira da Vila", "Cunha", amount_centavos=5490)


def receive(here):
    """Pay R$ 54,90 with a static code at the bank; return the end_to_end_id."""
    paid = here.pay({"pix_code": STATIC})
    assert paid["status"] == "confirmed"
    return paid["end_to_end_id"]


def receipt(here, end_to_end_id):
    """The receipt by the API."""
    answer = here.client().get(f"/payments/pix/receipts/{end_to_end_id}")
    assert answer.status_code == 200, answer.text
    return answer.get_json()["receipt"]


def attach(here, end_to_end_id, client=None, **body):
    """Attach the money by the API; return the answer."""
    path = f"/payments/pix/receipts/{end_to_end_id}/attach"
    return (client or here.client()).post(path, json=body)


def give_back(here, end_to_end_id, client=None, headers=None, **body):
    """Give the money back by the API; return the answer."""
    path = f"/payments/pix/receipts/{end_to_end_id}/refunds"
    return (client or here.client()).post(path, json=body, headers=headers or {})


def audited(here, action):
    """The audit rows of an action: subject and details."""
    rows = here.tables.rows(
        "SELECT subject FROM audit_entries WHERE action = :action ORDER BY id", action=action
    )
    return [row.subject for row in rows]


def test_an_order_that_was_paid_at_the_poster_becomes_a_paid_order(here):
    """The order has a confirmed payment, and so it can never be paid again."""
    money = receive(here)

    answer = attach(here, money, order_id="1042", description="Mesa 7")

    payment = answer.get_json()["payment"]
    assert answer.status_code == 200
    assert (payment["status"], payment["order_id"], payment["value"]) == ("confirmed", "1042", 54.9)
    assert (payment["description"], payment["end_to_end_id"]) == ("Mesa 7", money)
    assert receipt(here, money)["payment_id"] == payment["id"]
    names = ["payment.created", "payment.confirmed"]
    assert here.tables.event_names(payment["id"]) == names
    second = here.client().post("/payments/pix", json={"value": 5, "order_id": "1042"})
    problem(second, 409, "order-already-has-payment")
    assert audited(here, "receipt.attached") == [money]


def test_an_open_payment_is_confirmed_by_the_money_that_came_beside_it(here):
    """Bob was shown a code and paid the sticker instead."""
    by_id, by_order = here.create(), here.create(order_id="7")

    first = attach(here, receive(here), payment_id=by_id["id"])
    second = attach(here, receive(here), order_id="7")

    assert first.get_json()["payment"]["id"] == by_id["id"]
    assert second.get_json()["payment"]["id"] == by_order["id"]
    assert here.payment(by_id)["status"] == here.payment(by_order)["status"] == "confirmed"


def test_a_merchant_may_attach_money_after_the_deadline(here):
    """The deadline protects the shop, and the shop has decided."""
    late = here.create(expires_in=10)
    here.clock.advance(seconds=11)

    answer = attach(here, receive(here), payment_id=late["id"])

    assert answer.get_json()["payment"]["status"] == "confirmed"


def test_attaching_twice_to_the_same_changes_nothing(here):
    """A clerk clicks twice, or the answer was lost."""
    money = receive(here)

    answers = [attach(here, money, order_id="1042") for _ in range(2)]
    by_id = attach(here, money, payment_id=answers[0].get_json()["payment"]["id"])

    ids = {answer.get_json()["payment"]["id"] for answer in (*answers, by_id)}
    assert len(ids) == 1
    assert audited(here, "receipt.attached") == [money]


def test_money_that_does_not_fit_is_not_attached(here):
    """Another amount, a paid payment, a cancelled one, a paid order, or money attached before."""
    money = receive(here)
    other_amount, paid, cancelled = here.create(value="54.91"), here.paid(), here.create()
    here.client().post(f"/payments/pix/{cancelled['id']}/cancel")
    paid_order = here.paid(order_id="1")
    here.create(order_id="2", value="1.00")

    for payment in (other_amount, paid, cancelled, paid_order):
        problem(attach(here, money, payment_id=payment["id"]), 409, "receipt-not-attachable")
    problem(attach(here, money, order_id="1"), 409, "order-already-has-payment")
    problem(attach(here, money, order_id="2"), 409, "receipt-not-attachable")
    assert receipt(here, money)["payment_id"] is None

    attach(here, money, order_id="3")
    problem(attach(here, money, order_id="4"), 409, "receipt-not-attachable")


def test_refused_money_is_not_attached(here):
    """It went back to its payer."""
    payment = here.create()
    refused = here.pay(payment, scenario="pay-less")["end_to_end_id"]

    problem(attach(here, refused, order_id="1"), 409, "receipt-not-attachable")
    problem(give_back(here, refused), 409, "receipt-not-attachable")


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"payment_id": "0" * 32}, 404), ({"payment_id": "x"}, 400), ({"order": 1}, 400)],
)
def test_a_target_that_is_none_is_refused(here, body, status):
    """The money stays as it is."""
    money = receive(here)

    assert attach(here, money, **body).status_code == status
    assert receipt(here, money)["payment_id"] is None


def test_another_merchant_can_do_nothing_with_the_money(here):
    """Charlie knows the id of the transfer, and learns not even that the money exists."""
    money, own = receive(here), here.create()
    charlie = client_of(here.app, add_merchant(here.app))

    problem(attach(here, money, charlie, order_id="1"), 404, "receipt-not-found")
    problem(attach(here, money, charlie, payment_id=own["id"]), 404, "receipt-not-found")
    problem(give_back(here, money, charlie), 404, "receipt-not-found")
    assert receipt(here, money)["payment_id"] is None


def test_money_given_back_is_at_its_payer_again(anywhere):
    """The receipt gets a payment, which is refunded as every payment is."""
    before = anywhere.balance()
    money = receive(anywhere)

    answer = give_back(anywhere, money, refund_id="volta1")
    again = give_back(anywhere, money, refund_id="volta1")

    refund = answer.get_json()
    assert (answer.status_code, refund["status"], refund["value"]) == (201, "done", 54.9)
    assert (again.status_code, again.get_json()) == (201, refund)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert anywhere.balance() == before
    payment = anywhere.payment({"id": refund["payment_id"]})
    assert (payment["order_id"], payment["refunded_value"]) == (None, 54.9)
    assert receipt(anywhere, money)["payment_id"] == payment["id"]
    assert audited(anywhere, "refund.asked") == ["volta1"]
    assert anywhere.audit().faults == ()


def test_a_part_is_given_back_and_then_the_rest(here):
    """The second time the receipt has its payment already; never more than came goes back."""
    before = here.balance()
    money = receive(here)

    part = give_back(here, money, value="4.90").get_json()
    rest = give_back(here, money).get_json()

    assert part["payment_id"] == rest["payment_id"]
    assert (part["amount_centavos"], rest["amount_centavos"]) == (490, 5000)
    assert here.balance() == before
    problem(give_back(here, money), 409, "not-refundable")


def test_an_idempotency_key_gives_money_back_once(here):
    """Without a refund_id the key stands for the request."""
    money = receive(here)
    key = {"Idempotency-Key": "volta-7"}

    answers = [give_back(here, money, headers=key, value="1.00") for _ in range(2)]

    assert answers[0].get_json() == answers[1].get_json()
    payment = {"id": answers[0].get_json()["payment_id"]}
    assert here.payment(payment)["refunded_value"] == 1.0


def test_attaching_and_giving_back_at_once_use_the_money_once(anywhere):
    """Two clerks decide in the same second; the money has one payment."""
    before = anywhere.balance()
    money = receive(anywhere)
    actions = [partial(attach, anywhere, money, order_id=f"order-{n}") for n in range(3)]

    answers = at_once([*actions, *[partial(give_back, anywhere, money) for _ in range(3)]])

    assert set(Counter(answer.status_code for answer in answers)) <= {200, 201, 409}
    payments = anywhere.tables.rows("SELECT txid FROM payments")
    assert len(payments) == 1
    assert anywhere.balance() in (before, before - 5490)
    assert anywhere.audit().faults == ()
