"""In every state of a payment, the payer gets one answer and one button."""

from __future__ import annotations

import pytest

from payments import renewals
from tests.recovery.conftest import ask, picture, recover, upload


def summary_of(answer):
    """The state, status and action of an answer."""
    return answer["state"], answer["status"], answer["action"]["name"]


def test_a_pending_payment_leads_to_its_page(here):
    """The payer can pay there."""
    payment = here.create()

    answer = recover(here, payment["pix_code"])

    assert summary_of(answer) == ("waiting", "pending", "pay")
    assert answer["action"]["url"] == payment["payment_url"]
    assert answer["remaining_ms"] > 0
    assert answer["receipt_url"] is None


def test_a_paid_payment_leads_to_its_receipt(here):
    """The payer needs nothing else."""
    payment = here.paid()

    answer = recover(here, payment["pix_code"])

    assert summary_of(answer) == ("paid", "completed", "receipt")
    assert answer["settled_now"] is False
    page = here.client().get(answer["action"]["url"].removeprefix(here.url))
    assert page.status_code == 200


@pytest.mark.parametrize("by", ["text", "picture"])
def test_money_whose_notice_was_lost_is_settled_at_once(there, by):
    """The bank has the money, so asking the bank settles the payment."""
    payment = there.create()
    there.pay(payment, scenario="lost")
    assert ask(there, "verify-qr", payment["pix_code"]).get_json()["status"] == "pending"

    if by == "text":
        answer = recover(there, payment["pix_code"])
    else:
        answer = upload(there, picture(payment["pix_code"])).get_json()

    assert summary_of(answer) == ("paid", "completed", "receipt")
    assert answer["settled_now"] is True
    assert there.tables.event_names(payment["id"]) == ["payment.created", "payment.confirmed"]
    [receipt] = there.tables.receipts(payment["id"])
    assert receipt.verdict == "accepted"


def test_verifying_does_not_ask_the_bank(here):
    """`verify-qr` only reads the payment's state."""
    payment = here.create()
    here.pay(payment, scenario="lost")

    assert ask(here, "verify-qr", payment["pix_code"]).get_json()["status"] == "pending"
    assert here.payment(payment)["status"] == "pending"


def test_the_bank_is_asked_at_most_once_in_five_seconds(here):
    """A client with a picture must not be able to flood the bank through us."""
    payment = here.create()
    recover(here, payment["pix_code"])
    here.pay(payment, scenario="lost")

    assert recover(here, payment["pix_code"])["state"] == "waiting"


def test_without_the_bank_the_answer_is_the_stored_state(here):
    """The payer can try again later."""
    payment = here.create()
    here.pay(payment, scenario="lost")
    here.close_bank()

    assert summary_of(recover(here, payment["pix_code"])) == ("waiting", "pending", "pay")


def test_an_expired_payment_gets_a_new_code_for_the_same_order_in_one_tap(here):
    """If the old code was paid in time and the notice is late, only the old payment counts."""
    payment = here.create(order_id="A1", expires_in=60)
    here.pay(payment, scenario="lost")
    here.clock.advance(seconds=61)
    # The bank does not answer this lookup, so the service does not ask again at once.
    here.close_bank()
    answer = recover(here, payment["pix_code"])
    assert summary_of(answer) == ("expired", "expired", "renew")
    assert answer["action"]["method"] == "POST"

    renewal = here.client().post(answer["action"]["url"].removeprefix(here.url))
    new = renewal.get_json()["payment"]
    assert (renewal.status_code, new["order_id"], new["value"]) == (201, "A1", payment["value"])
    # A second tap returns the same new code.
    again = here.client().post(answer["action"]["url"].removeprefix(here.url))
    assert again.get_json()["payment"]["id"] == new["id"]

    here.open_bank()
    here.reconcile()
    old = here.payment(payment)
    assert (old["status"], here.payment(new)["status"]) == ("confirmed", "cancelled")
    assert summary_of(recover(here, payment["pix_code"])) == ("paid", "completed", "receipt")
    assert summary_of(recover(here, new["pix_code"])) == ("paid-elsewhere", "failed", "open")


def test_an_order_paid_by_its_new_code_offers_no_third_one(here):
    """The old picture's answer says that the order is paid, without the new payment's id."""
    payment = here.create(order_id="A1", expires_in=60)
    here.clock.advance(seconds=61)
    new = here.client().post(f"/payments/pix/{payment['id']}/renew").get_json()["payment"]
    here.pay(new)

    answer = ask(here, "recover-from-qr", payment["pix_code"])

    assert summary_of(answer.get_json()) == ("paid-elsewhere", "expired", "open")
    for secret in (new["id"], new["watch_code"]):
        assert secret not in answer.text


def test_an_order_for_which_the_shop_made_another_code_offers_none(here):
    """Renewing would be refused, because the order already has a code that can be paid."""
    payment = here.create(order_id="A1", expires_in=60)
    here.clock.advance(seconds=61)
    other = here.create(order_id="A1")

    answer = ask(here, "recover-from-qr", payment["pix_code"])

    assert summary_of(answer.get_json()) == ("replaced", "expired", "open")
    assert other["id"] not in answer.text


def test_a_renewal_that_would_be_refused_is_not_offered(here):
    """Without an order, late money for the second code does not cancel the third code."""
    payment = here.create(expires_in=60)
    here.clock.advance(seconds=61)
    second = renew(here, payment)
    here.pay(second, scenario="lost")
    here.clock.advance(seconds=1801)
    renew(here, payment)
    here.reconcile()
    assert here.payment(second)["status"] == "confirmed"

    assert summary_of(recover(here, payment["pix_code"])) == ("paid-elsewhere", "expired", "open")
    assert here.client().post(f"/payments/pix/{payment['id']}/renew").status_code == 409


def test_a_code_renewed_too_often_leads_to_the_shop(here, monkeypatch):
    """Recovery follows the chain of renewals as far as renewing does."""
    monkeypatch.setattr(renewals, "RENEWALS_MAX", 1)
    payment = here.create(expires_in=60)
    here.clock.advance(seconds=61)
    second = renew(here, payment)
    here.clock.advance(seconds=1801)
    assert summary_of(recover(here, payment["pix_code"])) == ("expired", "expired", "renew")
    renew(here, second)
    assert summary_of(recover(here, payment["pix_code"])) == ("replaced", "expired", "open")


def renew(here, payment):
    """Renew the payment and return the new one."""
    answer = here.client().post(f"/payments/pix/{payment['id']}/renew")
    assert answer.status_code == 201
    return answer.get_json()["payment"]


def test_a_cancelled_payment_says_so(here):
    """The payer cannot pay this code."""
    payment = here.create()
    here.client().post(f"/payments/pix/{payment['id']}/cancel")

    assert summary_of(recover(here, payment["pix_code"])) == ("cancelled", "failed", "open")


def test_money_that_came_too_late_says_when_it_goes_back(here):
    """The payer must not pay again because the money has left the account."""
    payment = here.create(expires_in=60)
    here.clock.advance(seconds=30)
    here.pay(payment, scenario="paid-after-deadline")
    here.clock.advance(seconds=61)

    answer = recover(here, payment["pix_code"])

    assert summary_of(answer) == ("refused", "expired", "renew")
    assert answer["refused_at"] is not None
    assert "minutes" in answer["message"]


def test_money_of_another_amount_goes_back_and_the_code_can_still_be_paid(here):
    """The order is not lost because of a wrong amount."""
    payment = here.create()
    here.pay(payment, scenario="pay-less")

    answer = recover(here, payment["pix_code"])

    assert summary_of(answer) == ("refused", "pending", "pay")


def test_limits_are_by_address_and_by_payment(fresh_database, tmp_path):
    """One address cannot guess codes, and many addresses cannot flood one payment."""
    from blueprints.recovery.limits import PER_PAYMENT_MAX
    from tests.support.town import town

    limits = {"recovery_tries_per_minute": 3, "recovery_pictures_per_minute": 2}
    with town(fresh_database("sqlite"), tmp_path, **limits) as here:
        payment = here.create()

        def send(address, path="verify-qr", **options):
            options = options or {"json": {"qr_data": payment["pix_code"]}}
            return here.client().post(
                f"/api/payment/{path}", environ_overrides={"REMOTE_ADDR": address}, **options
            )

        assert [send("192.0.2.1").status_code for _ in range(4)] == [200, 200, 200, 429]
        limited = send("192.0.2.1")
        assert int(limited.headers["Retry-After"]) > 0
        assert limited.get_json(force=True)["code"] == "too-many-requests"
        from_many = [send(f"192.0.2.{n}").status_code for n in range(10, 10 + PER_PAYMENT_MAX)]
        assert from_many.count(429) == 3
        other = here.create()
        other_payment_answer = send("192.0.2.200", json={"qr_data": other["pix_code"]})
        assert other_payment_answer.status_code == 200

        from tests.recovery.conftest import form

        uploads = [
            send(
                "198.51.100.1",
                "upload-screenshot-with-qr",
                data=form(picture(other["pix_code"])),
            ).status_code
            for _ in range(3)
        ]
        assert uploads == [200, 200, 429]
