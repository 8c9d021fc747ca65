"""Two shops with the same order id: two payments, and neither shop sees the other's."""

from __future__ import annotations

from tests.accounts.people import Person


def test_two_shops_with_the_same_order_id_stay_apart(app, bank):
    """Order numbers begin at 1 in every shop."""
    alice, charlie = Person(app, "alice"), Person(app, "charlie")
    payments, headers = {}, {}
    for shop in (alice, charlie):
        shop.sign_up()
        headers[shop.login] = shop.bearer()
        answer = shop.post(
            "/payments/pix",
            json={"value": "10.00", "order_id": "1"},
            headers={**headers[shop.login], "Idempotency-Key": "order-1"},
        )
        assert answer.status_code == 201
        assert "Idempotent-Replayed" not in answer.headers
        payments[shop.login] = answer.get_json()["payment"]
    assert payments["alice"]["id"] != payments["charlie"]["id"]
    assert bank.confirm(payments["alice"]).status_code == 200
    for shop, paid in ((alice, True), (charlie, False)):
        listed = shop.get("/payments/pix?order_id=1", headers[shop.login]).get_json()["data"]
        assert [payment["id"] for payment in listed] == [payments[shop.login]["id"]]
        assert listed[0]["paid"] is paid
        receipts = shop.get("/payments/pix/receipts", headers[shop.login]).get_json()["data"]
        assert len(receipts) == int(paid)
    theirs = payments["alice"]["id"]
    refusal = charlie.post(f"/payments/pix/{theirs}/cancel", headers=headers["charlie"])
    assert (refusal.status_code, refusal.get_json()["code"]) == (404, "payment-not-found")
    again = alice.post(
        "/payments/pix", json={"value": "10.00", "order_id": "1"}, headers=headers["alice"]
    )
    assert (again.status_code, again.get_json()["code"]) == (409, "order-already-has-payment")
