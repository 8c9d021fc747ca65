"""Renewing: a new payment for the order of an expired payment."""

from __future__ import annotations

import pytest

from payments import renewals
from tests.http.checks import problem, rows


@pytest.fixture
def expired(make_payment, clock):
    """A payment whose deadline passed a second ago; no sweep has run."""
    payment = make_payment(expires_in=60, order_id="A", description="Pão", metadata={"mesa": "7"})
    clock.advance(seconds=61)
    return payment


def renew(client, payment, **options):
    """Renew a payment."""
    return client.post(f"/payments/pix/{payment['id']}/renew", **options)


def test_it_is_a_new_payment_of_the_same_order_and_amount(expired, client):
    """A fresh id and code, the same minute to pay, everything else as it was."""
    answer = renew(client, expired)
    assert answer.status_code == 201
    fresh = answer.json["payment"]
    assert answer.headers["Location"] == fresh["payment_url"]
    for name in ("amount_centavos", "order_id", "description"):
        assert fresh[name] == expired[name]
    assert client.get("/payments/pix").json["data"][0]["metadata"] == {"mesa": "7"}
    for name in ("id", "watch_code", "pix_code"):
        assert fresh[name] != expired[name]
    assert (fresh["status"], fresh["remaining_ms"]) == ("pending", 60_000)
    assert client.get(f"/payments/pix/{expired['id']}/status").json["status"] == "expired"


def test_the_pages_button_leads_to_the_new_page(expired, client):
    """The button is a form, so the answer is a redirect."""
    answer = renew(client, expired, headers={"Accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 303
    page = client.get(answer.headers["Location"], headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert expired["id"] not in answer.headers["Location"]


def test_the_pages_language_is_kept(expired, client):
    """Only a known language is put into a URL."""
    headers = {"Accept": "text/html"}
    url = f"/payments/pix/{expired['id']}/renew"
    answer = client.post(f"{url}?lang=en", headers=headers)
    assert answer.headers["Location"].endswith("?lang=en")
    hostile = client.post(f"{url}?lang=%0d%0aSet-Cookie:x", headers=headers)
    assert "Set-Cookie" not in str(hostile.headers)


def test_renewing_twice_gives_the_same_payment(expired, client, app):
    """Two taps on one button."""
    first = renew(client, expired).json["payment"]
    before = rows(app)
    assert renew(client, expired).json["payment"]["id"] == first["id"]
    assert rows(app) == before


def test_a_chain_of_renewals_ends_in_the_newest(expired, client, clock):
    """An old tab leads to the newest payment too."""
    second = renew(client, expired).json["payment"]
    clock.advance(seconds=1801)
    third = renew(client, expired).json["payment"]
    assert third["id"] not in (expired["id"], second["id"])
    assert renew(client, second).json["payment"]["id"] == third["id"]
    assert renew(client, expired).json["payment"]["id"] == third["id"]


def test_a_charge_of_a_week_is_renewed_for_a_week(make_payment, client, clock):
    """The shop gave this payer a week, and half an hour would end before a slip is opened."""
    weekly = make_payment(expires_in=7 * 86_400)
    clock.advance(days=8)
    assert renew(client, weekly).json["payment"]["remaining_ms"] == 7 * 86_400_000


def test_a_payment_whose_deadline_was_moved_is_renewed_for_the_usual_time(
    make_payment, client, clock
):
    """The test strip's *Expirar em 10 s* must not make a renewal of ten seconds."""
    payment = make_payment(expires_in=3600)
    assert client.post(f"/payments/pix/{payment['id']}/expire-soon").status_code == 303
    clock.advance(seconds=11)
    assert renew(client, payment).json["payment"]["remaining_ms"] == 1_800_000


def test_an_old_payment_is_not_renewed_at_its_old_price(expired, client, app, clock):
    """Thirty days after the deadline the price is still offered; a second later it is not."""
    page, html = f"/payments/pix/{expired['id']}", {"Accept": "text/html"}
    clock.advance(days=30, seconds=-1)
    assert "/renew" in client.get(page, headers=html).text
    assert "/renew" in recovered(client, expired).text
    clock.advance(seconds=1)
    before = rows(app)
    assert "30 days" in problem(renew(client, expired), 409, "not-renewable")["detail"]
    assert rows(app) == before
    assert "/renew" not in client.get(page, headers=html).text
    answer = recovered(client, expired)
    assert answer.status_code == 200
    assert "/renew" not in answer.text
    assert "novo código à loja" in answer.text


def recovered(client, payment):
    """What the recovery page says of the payment's code."""
    body = {"qr_data": payment["pix_code"]}
    headers = {"Accept": "text/html"}
    return client.post("/payment/recover-from-qr", data=body, headers=headers)


def test_renewals_do_not_make_an_old_price_young(expired, client, clock):
    """Whoever renews every month would keep a price for years."""
    newest = expired
    for _ in range(3):
        newest = renew(client, newest).json["payment"]
        clock.advance(days=10)
    refusal = problem(renew(client, newest), 409, "not-renewable")
    assert "30 days" in refusal["detail"]


def test_a_long_chain_is_followed_to_its_limit_and_no_further(expired, client, clock, monkeypatch):
    """Anyone with the link may renew: no request may walk a chain that grows without an end."""
    monkeypatch.setattr(renewals, "RENEWALS_MAX", 3)
    newest = expired
    for _ in range(3):
        newest = renew(client, expired).json["payment"]
        clock.advance(seconds=1801)
    fourth = renew(client, expired).json["payment"]
    assert "3 times" in problem(renew(client, expired), 409, "not-renewable")["detail"]
    assert renew(client, newest).json["payment"]["id"] == fourth["id"]
    clock.advance(seconds=1801)
    assert renew(client, fourth).status_code == 201


def test_a_pending_paid_or_cancelled_payment_is_not_renewed(make_payment, client, bank, app):
    """Only after expiry."""
    pending, paid, cancelled = make_payment(), make_payment(), make_payment()
    bank.confirm(paid)
    client.post(f"/payments/pix/{cancelled['id']}/cancel")
    before = rows(app)
    for payment, status in ((pending, "pending"), (paid, "confirmed"), (cancelled, "cancelled")):
        assert status in problem(renew(client, payment), 409, "not-renewable")["detail"]
    assert rows(app) == before


def test_an_order_that_was_paid_through_its_renewal_is_not_renewed_again(expired, client, bank):
    """An old tab must not sell the order twice."""
    bank.confirm(renew(client, expired).json["payment"])
    problem(renew(client, expired), 409, "not-renewable")


def test_an_order_that_got_another_payment_since_is_not_renewed(expired, client):
    """The shop created the new payment itself."""
    assert client.post("/payments/pix", json={"value": 9, "order_id": "A"}).status_code == 201
    problem(renew(client, expired), 409, "order-already-has-payment")


def test_a_browser_is_told_why_on_a_page(make_payment, client):
    """A person pressed the button."""
    answer = renew(client, make_payment(), headers={"Accept": "text/html"})
    assert (answer.status_code, answer.mimetype) == (409, "text/html")


def test_money_for_the_old_payment_paid_in_time_cancels_the_renewal(expired, client, bank, clock):
    """The order is paid; nobody may pay it again."""
    fresh = renew(client, expired).json["payment"]
    answer = bank.confirm(expired, paid_at=expired["created_at"])
    assert answer.status_code == 200
    assert client.get(f"/payments/pix/{fresh['id']}/status").json["status"] == "cancelled"
    problem(renew(client, fresh), 409, "not-renewable")


def test_an_unknown_payment_is_a_404(client):
    """Also if the id has the wrong format."""
    for name in ("x", "0" * 32):
        problem(renew(client, {"id": name}), 404, "payment-not-found")
