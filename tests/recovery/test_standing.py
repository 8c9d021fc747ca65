"""What the payer needs: one answer and one button, in every state a payment can be in."""

from __future__ import annotations

import pytest

from payments import service
from tests.recovery.conftest import ask, picture, recover, upload


def told(answer):
    """What matters of an answer."""
    return answer["state"], answer["status"], answer["action"]["name"]


def test_a_pending_payment_leads_to_its_page(here):
    """Nobody paid: the page is where one pays."""
    payment = here.create()

    answer = recover(here, payment["pix_code"])

    assert told(answer) == ("waiting", "pending", "pay")
    assert answer["action"]["url"] == payment["payment_url"]
    assert answer["remaining_ms"] > 0
    assert answer["receipt_url"] is None


def test_a_paid_payment_leads_to_its_receipt(here):
    """The money is there: what is missing is the paper."""
    payment = here.paid()

    answer = recover(here, payment["pix_code"])

    assert told(answer) == ("paid", "completed", "receipt")
    assert answer["settled_now"] is False
    page = here.client().get(answer["action"]["url"].removeprefix(here.url))
    assert page.status_code == 200


@pytest.mark.parametrize("by", ["text", "picture"])
def test_money_whose_notice_was_lost_is_settled_now(there, by):
    """The confirmation we lost: the bank holds the money, so asking it settles the payment."""
    payment = there.create()
    there.pay(payment, scenario="lost")
    assert ask(there, "verify-qr", payment["pix_code"]).get_json()["status"] == "pending"

    if by == "text":
        answer = recover(there, payment["pix_code"])
    else:
        answer = upload(there, picture(payment["pix_code"])).get_json()

    assert told(answer) == ("paid", "completed", "receipt")
    assert answer["settled_now"] is True
    assert there.tables.event_names(payment["id"]) == ["payment.created", "payment.confirmed"]
    [receipt] = there.tables.receipts(payment["id"])
    assert receipt.verdict == "accepted"


def test_verifying_asks_nobody(here):
    """`verify-qr` says how it stands; it is no way to make the service do something."""
    payment = here.create()
    here.pay(payment, scenario="lost")

    assert ask(here, "verify-qr", payment["pix_code"]).get_json()["status"] == "pending"
    assert here.payment(payment)["status"] == "pending"


def test_the_bank_is_asked_at_most_once_in_five_seconds(here):
    """Whoever has a picture must not be able to make us flood the bank."""
    payment = here.create()
    recover(here, payment["pix_code"])
    here.pay(payment, scenario="lost")

    assert recover(here, payment["pix_code"])["state"] == "waiting"


def test_a_bank_that_is_away_changes_nothing(here):
    """The answer is then what we know; the payer may come back."""
    payment = here.create()
    here.pay(payment, scenario="lost")
    here.close_bank()

    assert told(recover(here, payment["pix_code"])) == ("waiting", "pending", "pay")


def test_an_expired_payment_gets_a_new_code_for_the_same_order_in_one_tap(here):
    """And the old one is still watched: paid in time, told late, it counts, and alone."""
    payment = here.create(order_id="A1", expires_in=60)
    here.pay(payment, scenario="lost")
    here.clock.advance(seconds=61)
    # Somebody asked before and the bank did not answer: it is not asked again so soon.
    here.close_bank()
    answer = recover(here, payment["pix_code"])
    assert told(answer) == ("expired", "expired", "renew")
    assert answer["action"]["method"] == "POST"

    renewed = here.client().post(answer["action"]["url"].removeprefix(here.url))
    new = renewed.get_json()["payment"]
    assert (renewed.status_code, new["order_id"], new["value"]) == (201, "A1", payment["value"])
    # Tapped twice, it is the same new code.
    again = here.client().post(answer["action"]["url"].removeprefix(here.url))
    assert again.get_json()["payment"]["id"] == new["id"]

    here.open_bank()
    here.reconcile()
    old = here.payment(payment)
    assert (old["status"], here.payment(new)["status"]) == ("confirmed", "cancelled")
    assert told(recover(here, payment["pix_code"])) == ("paid", "completed", "receipt")
    assert told(recover(here, new["pix_code"])) == ("paid-elsewhere", "failed", "open")


def test_an_order_paid_by_its_new_code_offers_no_third_one(here):
    """Paying both is impossible: the old picture says that the order is paid, and by no id."""
    payment = here.create(order_id="A1", expires_in=60)
    here.clock.advance(seconds=61)
    new = here.client().post(f"/payments/pix/{payment['id']}/renew").get_json()["payment"]
    here.pay(new)

    answer = ask(here, "recover-from-qr", payment["pix_code"])

    assert told(answer.get_json()) == ("paid-elsewhere", "expired", "open")
    for secret in (new["id"], new["watch_code"]):
        assert secret not in answer.text


def test_an_order_for_which_the_shop_made_another_code_offers_none(here):
    """Renewing would be refused: the order already has a code that can be paid."""
    payment = here.create(order_id="A1", expires_in=60)
    here.clock.advance(seconds=61)
    other = here.create(order_id="A1")

    answer = ask(here, "recover-from-qr", payment["pix_code"])

    assert told(answer.get_json()) == ("replaced", "expired", "open")
    assert other["id"] not in answer.text


def test_what_renewing_would_refuse_is_not_offered(here):
    """Without an order nothing cancels the third code when the second one's money comes late."""
    payment = here.create(expires_in=60)
    here.clock.advance(seconds=61)
    second = renewed(here, payment)
    here.pay(second, scenario="lost")
    here.clock.advance(seconds=1801)
    renewed(here, payment)
    here.reconcile()
    assert here.payment(second)["status"] == "confirmed"

    assert told(recover(here, payment["pix_code"])) == ("paid-elsewhere", "expired", "open")
    assert here.client().post(f"/payments/pix/{payment['id']}/renew").status_code == 409


def test_a_code_renewed_too_often_leads_to_the_shop(here, monkeypatch):
    """The chain is followed as far as renewing follows it: beyond that only the shop knows."""
    monkeypatch.setattr(service, "RENEWALS_MAX", 1)
    payment = here.create(expires_in=60)
    here.clock.advance(seconds=61)
    second = renewed(here, payment)
    here.clock.advance(seconds=1801)
    assert told(recover(here, payment["pix_code"])) == ("expired", "expired", "renew")
    renewed(here, second)
    assert told(recover(here, payment["pix_code"])) == ("replaced", "expired", "open")


def renewed(here, payment):
    """The payment that renews this one."""
    answer = here.client().post(f"/payments/pix/{payment['id']}/renew")
    assert answer.status_code == 201
    return answer.get_json()["payment"]


def test_a_cancelled_payment_says_so(here):
    """Nothing to pay here any more."""
    payment = here.create()
    here.client().post(f"/payments/pix/{payment['id']}/cancel")

    assert told(recover(here, payment["pix_code"])) == ("cancelled", "failed", "open")


def test_money_that_came_too_late_says_when_it_goes_back(here):
    """The payer sees it gone from the account and must not pay again in fear."""
    payment = here.create(expires_in=60)
    here.clock.advance(seconds=30)
    here.pay(payment, scenario="paid-after-deadline")
    here.clock.advance(seconds=61)

    answer = recover(here, payment["pix_code"])

    assert told(answer) == ("refused", "expired", "renew")
    assert answer["refused_at"] is not None
    assert "minutes" in answer["message"]


def test_money_of_another_amount_goes_back_and_the_code_can_still_be_paid(here):
    """A wrong amount is no reason to lose the order."""
    payment = here.create()
    here.pay(payment, scenario="pay-less")

    answer = recover(here, payment["pix_code"])

    assert told(answer) == ("refused", "pending", "pay")


def test_limits_are_by_address_and_by_payment(fresh_database, tmp_path):
    """One address cannot search, and many cannot stand on one payment."""
    from blueprints.recovery.limits import PER_PAYMENT_MAX
    from tests.support.town import town

    limits = {"recovery_tries_per_minute": 3, "recovery_pictures_per_minute": 2}
    with town(fresh_database("sqlite"), tmp_path, **limits) as here:
        payment = here.create()

        def sent(address, path="verify-qr", **options):
            options = options or {"json": {"qr_data": payment["pix_code"]}}
            return here.client().post(
                f"/api/payment/{path}", environ_overrides={"REMOTE_ADDR": address}, **options
            )

        assert [sent("192.0.2.1").status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = sent("192.0.2.1")
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.get_json(force=True)["code"] == "too-many-requests"
        by_many = [sent(f"192.0.2.{n}").status_code for n in range(10, 10 + PER_PAYMENT_MAX)]
        assert by_many.count(429) == 3
        other = here.create()
        fresh = sent("192.0.2.200", json={"qr_data": other["pix_code"]})
        assert fresh.status_code == 200

        from tests.recovery.conftest import form

        uploads = [
            sent(
                "198.51.100.1",
                "upload-screenshot-with-qr",
                data=form(picture(other["pix_code"])),
            ).status_code
            for _ in range(3)
        ]
        assert uploads == [200, 200, 429]
