"""`/api/start_payment`, `/watch/<code>`, `/generate_qr/<login>`: start, show, poll."""

from __future__ import annotations

import io

import pytest
import sqlalchemy as sa
import zxingcpp
from PIL import Image

from core.pix import br_code
from repository.database import ledger
from tests.transactions.merchant import ABSENT, as_payment

WATCHED = {
    "state", "status", "sequence", "amount", "amount_centavos", "currency", "expires_at",
    "remaining_ms", "completed_at", "checked_at",
}  # fmt: skip


def started(alice, **fields):
    """A payment that was just started."""
    answer = alice.call("POST", "/api/start_payment", json={"amount": 10, **fields})
    assert answer.status_code == 201, answer.text
    return answer.get_json()


def test_starting_gives_a_code_to_pay_by_and_one_to_watch(alice, client):
    """The till shows the one and asks about the other."""
    made = started(alice, description="Table 4")
    assert made["code"] != made["watch_code"]
    assert made["pay_url"].endswith(f"/pay/{made['code']}")
    assert made["payment_url"].endswith(f"/payments/pix/{made['code']}")
    assert client.get(made["qr_code_url"]).status_code == 200
    assert client.get(made["watch_url"]).get_json()["state"] == "created"
    assert client.get(made["pay_url"]).status_code == 303  # to the sign-in, and back
    assert alice.call("POST", "/api/start_payment/", json={"amount": 1}).status_code == 201


def test_starting_takes_no_more_than_its_fields(alice):
    """What is not said here cannot be said here."""
    for body in ({}, {"amount": 0}, {"amount": 1, "order_id": "1"}, {"value": 1}):
        assert alice.call("POST", "/api/start_payment", json=body).status_code == 400
    assert alice.listed(path="/api/transactions")["data"] == []


def test_watching_follows_the_state_and_shows_nothing_else(alice, client, bank, clock):
    """Whoever has the code may look; it opens no other door, and names no other thing."""
    paid, gone, late = started(alice), started(alice), started(alice, description="Secret")
    bank.confirm(as_payment(paid))
    alice.put(gone, "cancelled")
    clock.advance(seconds=1801)
    shown = [client.get(f"/watch/{one['watch_code']}") for one in (paid, gone, late)]
    assert [one.get_json()["state"] for one in shown] == ["completed", "failed", "failed"]
    assert [one.get_json()["status"] for one in shown] == ["confirmed", "cancelled", "expired"]
    for one, made in zip(shown, (paid, gone, late), strict=True):
        assert set(one.get_json()) == WATCHED
        for secret in (made["id"], made["watch_code"], "Secret", "alice"):
            assert secret not in one.text
    assert shown[0].get_json()["completed_at"] is not None
    assert shown[1].get_json()["remaining_ms"] == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_watch_code_changes_nothing(alice, client, method):
    """Reading alone."""
    made = started(alice)
    assert client.open(made["watch_url"], method=method).status_code == 405
    for path in (f"/transactions/{made['watch_code']}", f"/payments/pix/{made['watch_code']}"):
        assert alice.call("GET", path).status_code == 404


def test_a_poll_is_a_304_until_something_happens(alice, client, bank):
    """A till asks every second; an answer that has not changed costs no body."""
    made = started(alice)
    path = f"/watch/{made['watch_code']}"
    first = client.get(path)
    known = {"If-None-Match": first.headers["ETag"]}
    assert first.headers["Cache-Control"] == "no-cache, private"
    unchanged = client.get(path, headers=known)
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    bank.confirm(as_payment(made))
    changed = client.get(path, headers=known)
    assert (changed.status_code, changed.get_json()["state"]) == (200, "completed")
    assert client.get(f"{path}/").status_code == 200


@pytest.mark.parametrize("code", [ABSENT, "x", "%00", "A" * 32, "0" * 33, "..%2f..", "'"])
def test_an_unknown_watch_code_is_a_404(client, code):
    """In every form."""
    assert client.get(f"/watch/{code}").status_code == 404


def test_a_payments_id_is_no_watch_code(alice, client):
    """The two are apart: a receipt's link must not become a key, nor the other way round."""
    made = started(alice)
    assert client.get(f"/watch/{made['id']}").status_code == 404


def test_a_look_takes_one_statement(alice, app, client):
    """Many look, and often: found, unchanged and unknown alike; nonsense costs none."""
    made = started(alice)
    known = {"If-None-Match": client.get(made["watch_url"]).headers["ETag"]}
    asked = [(made["watch_code"], {}), (made["watch_code"], known), (ABSENT, {}), ("x", {})]
    with app.app_context():
        engine = ledger().reading_engine
    counts = []
    for code, headers in asked:
        statements: list[str] = []

        def hear(_connection, _cursor, statement, *_rest, heard=statements):
            heard.append(statement)

        sa.event.listen(engine, "before_cursor_execute", hear)
        client.get(f"/watch/{code}", headers=headers)
        sa.event.remove(engine, "before_cursor_execute", hear)
        counts.append(len([one for one in statements if one.startswith("SELECT")]))
    assert counts == [1, 1, 1, 0]


def read(answer):
    """What stands in a QR picture."""
    assert answer.mimetype == "image/png"
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(answer.data)))
    return br_code.decode(found.text)


def test_a_merchants_login_gives_its_static_code(alice, client):
    """Printed once, stuck to the till; with or without an amount."""
    key = alice.call("GET", "/users/me/").get_json()["pix_key"]
    free, fixed = read(client.get("/generate_qr/alice")), read(
        client.get("/generate_qr/alice?value=12.50")
    )  # fmt: skip
    assert free.key == fixed.key == key
    assert (free.amount_centavos, fixed.amount_centavos) == (None, 1250)


def test_whoever_has_no_pix_key_has_no_code(alice, bob, client):
    """A payer, nobody, and a name that is none."""
    assert alice.person.login == "alice"
    for login in ("bob", "nobody", "a b", "%00", "x" * 200):
        assert client.get(f"/generate_qr/{login}").status_code == 404, login
    assert client.get("/generate_qr/alice?value=0").status_code == 400
