"""`/api/start_payment`, `/watch/<code>` and `/generate_qr/<login>`."""

from __future__ import annotations

import io

import pytest
import sqlalchemy as sa
import zxingcpp
from PIL import Image

from core.pix import br_code
from repository.database import ledger
from tests.support.scanner import QR_CODES
from tests.transactions.merchant import ABSENT, as_payment

WATCHED_FIELDS = {
    "state", "status", "sequence", "amount", "amount_centavos", "currency", "expires_at",
    "remaining_ms", "completed_at", "checked_at",
}  # fmt: skip


def start_payment(alice, **fields):
    """Start a payment as Alice."""
    answer = alice.call("POST", "/api/start_payment", json={"amount": 10, **fields})
    assert answer.status_code == 201, answer.text
    return answer.get_json()


def test_a_started_payment_has_a_code_to_pay_and_one_to_watch(alice, client):
    """The till shows the first and polls the second."""
    payment = start_payment(alice, description="Table 4")
    assert payment["code"] != payment["watch_code"]
    assert payment["pay_url"].endswith(f"/pay/{payment['code']}")
    assert payment["payment_url"].endswith(f"/payments/pix/{payment['code']}")
    assert client.get(payment["qr_code_url"]).status_code == 200
    assert client.get(payment["watch_url"]).get_json()["state"] == "created"
    assert client.get(payment["pay_url"]).status_code == 303  # to the sign-in, and back
    assert alice.call("POST", "/api/start_payment/", json={"amount": 1}).status_code == 201


def test_start_payment_refuses_other_fields(alice):
    """No payment is created."""
    for body in ({}, {"amount": 0}, {"amount": 1, "order_id": "1"}, {"value": 1}):
        assert alice.call("POST", "/api/start_payment", json=body).status_code == 400
    assert alice.list_page(path="/api/transactions")["data"] == []


def test_watching_follows_the_state_and_shows_nothing_else(alice, client, bank, clock):
    """The answer contains no id, login or description."""
    paid, cancelled, late = (
        start_payment(alice),
        start_payment(alice),
        start_payment(alice, description="Secret"),
    )
    bank.confirm(as_payment(paid))
    alice.set_status(cancelled, "cancelled")
    clock.advance(seconds=1801)
    payments = (paid, cancelled, late)
    answers = [client.get(f"/watch/{payment['watch_code']}") for payment in payments]
    assert [answer.get_json()["state"] for answer in answers] == ["completed", "failed", "failed"]
    assert [answer.get_json()["status"] for answer in answers] == [
        "confirmed",
        "cancelled",
        "expired",
    ]
    for answer, payment in zip(answers, payments, strict=True):
        assert set(answer.get_json()) == WATCHED_FIELDS
        for secret in (payment["id"], payment["watch_code"], "Secret", "alice"):
            assert secret not in answer.text
    assert answers[0].get_json()["completed_at"] is not None
    assert answers[1].get_json()["remaining_ms"] == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_watch_code_changes_nothing(alice, client, method):
    """It allows only GET, and is no payment id."""
    payment = start_payment(alice)
    assert client.open(payment["watch_url"], method=method).status_code == 405
    for path in (
        f"/transactions/{payment['watch_code']}",
        f"/payments/pix/{payment['watch_code']}",
    ):
        assert alice.call("GET", path).status_code == 404


def test_a_poll_is_a_304_until_something_happens(alice, client, bank):
    """A till polls every second; an unchanged answer has no body."""
    payment = start_payment(alice)
    path = f"/watch/{payment['watch_code']}"
    first = client.get(path)
    etag_headers = {"If-None-Match": first.headers["ETag"]}
    assert first.headers["Cache-Control"] == "no-cache, private"
    unchanged = client.get(path, headers=etag_headers)
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    bank.confirm(as_payment(payment))
    changed = client.get(path, headers=etag_headers)
    assert (changed.status_code, changed.get_json()["state"]) == (200, "completed")
    assert client.get(f"{path}/").status_code == 200


@pytest.mark.parametrize("code", [ABSENT, "x", "%00", "A" * 32, "0" * 33, "..%2f..", "'"])
def test_an_unknown_watch_code_is_a_404(client, code):
    """Well-formed and malformed codes alike."""
    assert client.get(f"/watch/{code}").status_code == 404


def test_a_payments_id_is_not_a_watch_code(alice, client):
    """A payment's link must not allow watching, nor a watch code the payment's page."""
    payment = start_payment(alice)
    assert client.get(f"/watch/{payment['id']}").status_code == 404


def test_a_poll_takes_one_statement(alice, app, client):
    """Found, unchanged and unknown codes take one statement; a malformed code takes none."""
    payment = start_payment(alice)
    etag_headers = {"If-None-Match": client.get(payment["watch_url"]).headers["ETag"]}
    requests = [
        (payment["watch_code"], {}),
        (payment["watch_code"], etag_headers),
        (ABSENT, {}),
        ("x", {}),
    ]
    with app.app_context():
        engine = ledger().reading_engine
    counts = []
    for code, headers in requests:
        statements: list[str] = []

        def record(_connection, _cursor, statement, *_rest, log=statements):
            log.append(statement)

        sa.event.listen(engine, "before_cursor_execute", record)
        client.get(f"/watch/{code}", headers=headers)
        sa.event.remove(engine, "before_cursor_execute", record)
        counts.append(len([text for text in statements if text.startswith("SELECT")]))
    assert counts == [1, 1, 1, 0]


def decode_qr(answer):
    """Decode the BR Code in a QR picture."""
    assert answer.mimetype == "image/png"
    (symbol,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(answer.data)), formats=QR_CODES)
    return br_code.decode(symbol.text)


def test_a_merchants_login_gives_its_static_code(alice, client):
    """The code is printed once for the till, with or without an amount."""
    key = alice.call("GET", "/users/me/").get_json()["pix_key"]
    free, fixed = decode_qr(client.get("/generate_qr/alice")), decode_qr(
        client.get("/generate_qr/alice?value=12.50")
    )  # fmt: skip
    assert free.key == fixed.key == key
    assert (free.amount_centavos, fixed.amount_centavos) == (None, 1250)


def test_an_account_without_a_pix_key_has_no_code(alice, bob, client):
    """A payer, an unknown login, and malformed logins."""
    assert alice.person.login == "alice"
    for login in ("bob", "nobody", "a b", "%00", "x" * 200):
        assert client.get(f"/generate_qr/{login}").status_code == 404, login
    assert client.get("/generate_qr/alice?value=0").status_code == 400
