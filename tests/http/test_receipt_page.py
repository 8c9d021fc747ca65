"""The receipt of a paid payment: a page and JSON, public by its link, with masked names."""

from __future__ import annotations

import pytest

from tests.http.checks import problem

JSON = {"Accept": "application/json"}


def receipt(client, payment, **headers):
    """Request the receipt."""
    return client.get(f"/payments/pix/{payment['id']}/receipt", headers=headers)


def test_the_receipt_has_payee_amount_and_time(make_payment, client, bank, clock):
    """The shopper may need the receipt later."""
    payment = make_payment(order_id="A", description="Queijo")
    notification = bank.body(payment)
    clock.advance(seconds=30)
    bank.tell(notification)
    answer = receipt(client, payment, **JSON)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["receipt"] == {
        "payment_id": payment["id"],
        "value": 54.9,
        "amount_centavos": 5490,
        "currency": "BRL",
        "payee": "Feira da Vila",
        "payer": "Bob d. S.",
        "order_id": "A",
        "description": "Queijo",
        "paid_at": "2026-11-20T15:00:00.000Z",
        "confirmed_at": "2026-11-20T15:00:30.000Z",
        "end_to_end_id": notification["end_to_end_id"],
        "refunds": [],
        "receipt_url": f"http://127.0.0.1:5000/payments/pix/{payment['id']}/receipt",
        "issued_at": "2026-11-20T15:00:30.000Z",
        "livemode": False,
    }


def test_every_page_names_the_time_of_the_payment_and_not_of_the_news(
    make_payment, client, bank, clock
):
    """A bank may tell of money hours later; the payer's own bank shows when it was paid."""
    payment = make_payment(expires_in=3600)
    notification = bank.body(payment)
    clock.advance(seconds=7200)
    assert bank.tell(notification).status_code == 200
    for path in ("", "/receipt"):
        page = client.get(f"/payments/pix/{payment['id']}{path}", headers={"Accept": "text/html"})
        assert "20/11/2026 às 12:00" in page.text, path
        assert "20/11/2026 às 14:00" not in page.text, path
    recovery = client.post(
        "/payment/recover-from-qr",
        data={"qr_data": payment["pix_code"]},
        headers={"Accept": "text/html"},
    )
    assert "20/11/2026 às 12:00" in recovery.text
    assert "20/11/2026 às 14:00" not in recovery.text


def test_the_page_masks_the_payer(make_payment, client, bank):
    """The link may be passed on: first name and initials, never a document."""
    payment = make_payment()
    bank.confirm(payment)
    page = receipt(client, payment)
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "Bob d. S." in page.text
    assert "54,90" in page.text
    for secret in ("Souza", "12345678909"):
        assert secret not in page.text
        assert secret not in receipt(client, payment, **JSON).text


def test_the_payers_name_may_be_missing(make_payment, client, bank):
    """Not every bank sends it."""
    for payer in (None, {"name": "   "}, {"name": "🎉"}):
        payment = make_payment()
        bank.confirm(payment, payer=payer)
        assert receipt(client, payment).status_code == 200
        assert receipt(client, payment, **JSON).status_code == 200


def test_an_unpaid_payment_has_no_receipt(make_payment, client, clock):
    """Whether pending, cancelled or expired."""
    pending, cancelled, expired = make_payment(), make_payment(), make_payment(expires_in=10)
    client.post(f"/payments/pix/{cancelled['id']}/cancel")
    clock.advance(seconds=11)
    for payment in (pending, cancelled, expired, {"id": "0" * 32}, {"id": "x"}):
        problem(receipt(client, payment), 404, "payment-not-found")
    page = receipt(client, pending, Accept="text/html")
    assert (page.status_code, page.mimetype) == (404, "text/html")


@pytest.mark.parametrize(
    ("zone", "language", "text"),
    [
        (None, "pt-BR", "20/11/2026 às 12:00<noscript> (horário de Brasília)</noscript>"),
        (None, "en", "20 Nov 2026 at 12:00<noscript> (Brasília time)</noscript>"),
        ("America/Sao_Paulo", "pt-BR", "20/11/2026 às 12:00</time>"),
        ("Asia/Tokyo", "pt-BR", "21/11/2026 às 00:00 (UTC+09:00)"),
    ],
)
def test_a_time_names_its_zone_only_where_it_may_be_another(
    make_payment, client, bank, zone, language, text
):
    """Brazilians do not think in offsets; a reader elsewhere needs one."""
    payment = make_payment()
    bank.confirm(payment)
    if zone:
        client.set_cookie("balcao_zone", zone)
    headers = {"Accept": "text/html", "Accept-Language": language}
    assert text in receipt(client, payment, **headers).text
