"""Sessions and proofs: the described system's words for a payment, and pictures to look at."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from PIL import Image

from core.clock import parse_rfc3339
from core.pix.khqr import md5_of
from db_models.recovery_upload import PROOFS_PER_PAYMENT_MAX
from payments.qr_image import qr_png
from tests.accounts.people import Person, audit_rows
from tests.db.tables import Tables
from tests.portal.signing import make_account, sign_in
from tests.recovery.conftest import NO_LIMITS, form
from tests.support.service import close_app, ready_app, settings_for


@pytest.fixture
def app(any_database_url, tmp_path, clock):
    """A service without the limits that belong to one address."""
    made = ready_app(settings_for(any_database_url, tmp_path, **NO_LIMITS), clock)
    made.extensions["tables"] = Tables(any_database_url)
    yield made
    close_app(made)


@pytest.fixture
def alice(app):
    """Alice's browser in the portal."""
    make_account(app, "alice")
    return sign_in(app, "alice")


@pytest.fixture
def session(alice):
    """Make a session of Alice's."""

    def make(order="A1", by=alice, **fields):
        answer = by.client.post(
            "/api/payment/create-session",
            json={"order_id": order, "amount": "54.90", **fields},
            headers={"X-CSRF-TOKEN": by.token},
        )
        assert answer.status_code == 201, answer.text
        return answer.get_json()

    return make


def photo(shade=120, size=(400, 300)):
    """A JPEG as phones send them, with metadata in it."""
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x010F] = "Bob's phone"
    Image.new("RGB", size, (shade * 20 % 256, 40, 200)).save(out, "JPEG", exif=exif)
    return out.getvalue()


def prove(app, session_id, data=None, **fields):
    """Send a proof as Bob, who has no account."""
    return app.test_client().post(
        "/api/payment/upload-screenshot",
        data=form(photo() if data is None else data, session_id=session_id, **fields),
    )


def payment_tables(app):
    """Every row that says what a payment is and what happened to it."""
    tables = app.extensions["tables"]
    names = ("payments", "payment_events", "receipts", "refunds", "payment_traces")
    return {name: [tuple(r) for r in tables.rows(f"SELECT * FROM {name}")] for name in names}  # noqa: S608


def proof_ids(app):
    """The proofs by the names their addresses have."""
    rows = app.extensions["tables"].rows("SELECT public_id FROM recovery_uploads ORDER BY id")
    return [row[0] for row in rows]


def test_a_session_is_a_payment_with_the_described_fields(app, session):
    """A client of the described system finds every field that means something here."""
    made = session("7", customer_id=42)

    assert made["session_id"] == made["payment_id"] == made["transaction_id"]
    assert made["md5_hash"] == md5_of(made["qr_data"])
    assert made["bill_number"] == made["session_id"][:25]
    assert (made["order_id"], made["customer_id"], made["currency"]) == ("7", "42", "BRL")
    assert (made["amount"], made["amount_centavos"], made["status"]) == (54.9, 5490, "pending")
    lifetime = parse_rfc3339(made["expires_at"]) - parse_rfc3339(made["created_at"])
    assert lifetime == timedelta(seconds=1800)
    assert made["payment_screenshot_path"] is made["payment_verification_status"] is None
    for text in (made["qr_data"], made["khqr_data"]):
        found = app.test_client().post("/api/payment/verify-qr", json={"qr_data": text})
        assert found.get_json()["session_id"] == made["session_id"]


def test_an_order_may_be_a_number_as_the_described_system_has_them(session):
    """Its `order_id` is an INT."""
    assert session(123)["order_id"] == "123"
    assert session(2**53)["order_id"] == str(2**53)
    assert session(7.0)["order_id"] == "7"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"order_id": "1", "amount": 10, "currency": "USD"}, "currency"),
        ({"order_id": "1", "amount": 10, "currency": "KHR"}, "currency"),
        ({"order_id": "1", "amount": 0}, "amount"),
        ({"order_id": "1", "amount": 10.001}, "amount"),
        ({"amount": 10}, "order_id"),
        ({"order_id": True, "amount": 10}, "order_id"),
        ({"order_id": -1, "amount": 10}, "order_id"),
        ({"order_id": 2**53 + 1, "amount": 10}, "order_id"),
        ({"order_id": 1.5, "amount": 10}, "order_id"),
        ({"order_id": "1", "amount": 10, "status": "completed"}, "status"),
        ({"order_id": "1", "amount": 10, "customer_id": "x" * 65}, "customer_id"),
    ],
)
def test_what_has_no_meaning_here_is_refused(client, body, field):
    """Dollars are not Pix, and nobody writes a status."""
    answer = client.post("/api/payment/create-session", json=body)

    assert answer.status_code == 400
    assert [one["field"] for one in answer.get_json(force=True)["errors"]] == [field]


def test_an_order_has_one_live_session_and_a_key_repeats_the_first_answer(client):
    """Several attempts at one order are one payment."""
    body = {"order_id": "A1", "amount": 10}
    keyed = {"Idempotency-Key": "k1"}
    first = client.post("/api/payment/create-session", json=body, headers=keyed)
    again = client.post("/api/payment/create-session", json=body, headers=keyed)
    other = client.post("/api/payment/create-session", json=body)

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
    assert again.get_json() == first.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.get_json(force=True)["code"] == "order-already-has-payment"


def test_a_merchant_lists_its_own_sessions_with_their_newest_proof(app, alice, session):
    """Newest first, by pages; Charlie's list holds none of them."""
    made = [session(f"A{n}") for n in range(3)]
    assert prove(app, made[0]["session_id"]).status_code == 201
    make_account(app, "charlie")
    charlie = sign_in(app, "charlie")

    first = alice.client.get("/api/payment/sessions?limit=2").get_json()
    rest = alice.client.get(f"/api/payment/sessions?limit=2&after={first['next']}").get_json()
    by_status = alice.client.get("/api/payment/sessions?status=completed").get_json()

    listed = [one["session_id"] for one in first["data"] + rest["data"]]
    assert listed == [one["session_id"] for one in reversed(made)]
    assert rest["next"] is None
    assert by_status["data"] == []
    assert rest["data"][0]["payment_verification_status"] == "pending"
    assert rest["data"][0]["payment_screenshot_path"].endswith("/picture")
    assert charlie.client.get("/api/payment/sessions").get_json()["data"] == []


def test_a_proof_changes_no_payment_whatever_is_said_of_it(app, alice, session):
    """The described system's hole: there a picture settles; here no table of payments moves."""
    made = session()
    before = payment_tables(app)

    sent = prove(app, made["session_id"])
    assert (sent.status_code, sent.get_json()["status"]) == (201, "pending")
    assert sent.get_json()["payment_verification_status"] == "pending"
    [proof] = proof_ids(app)
    assert proof not in sent.text
    for verdict in ("verified", "rejected", "verified"):
        judged = alice.post(
            f"/portal/proofs/{proof}/review", {"verdict": verdict, "note": "conferido na conta"}
        )
        assert judged.status_code == 303

    assert payment_tables(app) == before
    listed = alice.client.get("/api/payment/sessions").get_json()["data"][0]
    assert (listed["payment_verification_status"], listed["notes"], listed["status"]) == (
        "verified",
        "conferido na conta",
        "pending",
    )
    deeds = [entry.action for entry in audit_rows(app, "alice") if "proof" in entry.action]
    assert deeds == ["proof.verified", "proof.rejected", "proof.verified"]


def test_a_proof_is_drawn_again_without_what_the_file_said_of_its_maker(app, alice, session):
    """A photo says where it was taken and by whose phone; the merchant sees the picture alone."""
    prove(app, session()["session_id"])
    [proof] = proof_ids(app)

    shown = alice.get(f"/portal/proofs/{proof}/picture")

    assert shown.status_code == 200
    assert shown.headers["Cache-Control"] == "no-store"
    assert shown.headers["Content-Disposition"].startswith("inline; filename=")
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    assert b"Bob" not in shown.data
    assert b"Exif" not in shown.data
    with Image.open(io.BytesIO(shown.data)) as image:
        assert (image.format, image.size) == ("JPEG", (400, 300))


def test_only_the_payments_merchant_sees_judges_or_drops_a_proof(app, alice, session):
    """Charlie sells elsewhere; Bob, who sent it, has no way back to it either."""
    made = session()
    prove(app, made["session_id"])
    [proof] = proof_ids(app)
    make_account(app, "charlie")
    make_account(app, "bob", "payer")
    charlie, bob = sign_in(app, "charlie"), sign_in(app, "bob")
    path = f"/portal/proofs/{proof}"

    assert charlie.get(f"{path}/picture").status_code == 404
    assert charlie.post(f"{path}/review", {"verdict": "verified"}).status_code == 404
    assert charlie.post(f"{path}/delete").status_code == 404
    assert "Pedido A1" not in charlie.get("/portal/proofs").text
    assert bob.get(f"{path}/picture").status_code == 403
    assert app.test_client().get(f"{path}/picture").status_code == 303
    assert alice.get(f"{path}/picture").status_code == 200
    assert "Pedido A1" in alice.get("/portal/proofs").text
    without = alice.client.post(f"{path}/delete", headers={"Accept": "text/html"})
    assert without.status_code == 403
    assert proof_ids(app) == [proof]


def test_the_queue_shows_what_waits_and_then_what_was_judged(app, alice, session):
    """What is judged leaves the queue; its note stays to be read; a wrong verdict is no verdict."""
    prove(app, session()["session_id"])
    [proof] = proof_ids(app)
    path = f"/portal/proofs/{proof}/review"
    assert ">1<" in alice.get("/portal/payments").text.replace("\n", "")

    assert alice.post(path, {"verdict": "pending"}).status_code == 400
    assert alice.post(path, {"verdict": "verified", "note": "n" * 501}).status_code == 400
    note = "<b>ok</b>"
    assert alice.post(path, {"verdict": "rejected", "note": note}).status_code == 303

    assert "Pedido A1" not in alice.get("/portal/proofs").text
    judged = alice.get("/portal/proofs?judged=1").text
    assert "Pedido A1" in judged
    assert "&lt;b&gt;ok&lt;/b&gt;" in judged


def test_a_payment_keeps_five_proofs_and_the_same_file_once(app, session):
    """Whoever has a link must not be able to fill the disk."""
    made = session()
    first = prove(app, made["session_id"], photo(0))
    again = prove(app, made["session_id"], photo(0))
    more = [prove(app, made["session_id"], photo(n)).status_code for n in range(1, 6)]

    assert (first.status_code, again.status_code) == (201, 200)
    assert more == [201] * (PROOFS_PER_PAYMENT_MAX - 1) + [409]
    assert len(proof_ids(app)) == PROOFS_PER_PAYMENT_MAX


def test_a_proof_needs_a_session_that_exists(app, session):
    """Nothing is looked at for a session that is none."""
    session()
    for unknown in ("0" * 32, "not-an-id", "", "A" * 5000):
        assert prove(app, unknown).status_code == 404
    missing = app.test_client().post("/api/payment/upload-screenshot", data=form(photo()))
    assert missing.status_code == 400
    assert [e["field"] for e in missing.get_json(force=True)["errors"]] == ["session_id"]
    assert proof_ids(app) == []


def test_the_merchant_drops_a_picture_and_it_is_gone(app, alice, session):
    """On request means now, in the database as well."""
    prove(app, session()["session_id"])
    [proof] = proof_ids(app)

    assert alice.post(f"/portal/proofs/{proof}/delete").status_code == 303

    assert proof_ids(app) == []
    assert alice.get(f"/portal/proofs/{proof}/picture").status_code == 404


def test_pictures_are_dropped_after_their_days_and_not_a_moment_sooner(app, session, clock):
    """PROOF_DAYS is 90: on the last of them they are still there."""
    from blueprints.recovery.proofs import forget_old_proofs

    settings = app.config["BALCAO"]
    prove(app, session()["session_id"])
    with app.app_context():
        clock.advance(days=90)
        assert forget_old_proofs(settings) == 0
        clock.advance(seconds=1)
        assert forget_old_proofs(settings) == 1
        assert forget_old_proofs(settings) == 0
    assert proof_ids(app) == []


def test_an_administrator_cleans_up_what_belongs_to_expired_sessions(app, alice, session, clock):
    """A paid one's and a live one's stay; a merchant may not clean up, nor may nobody."""
    old = session("old")
    paid, live = session("paid"), None
    prove(app, old["session_id"], photo(1))
    prove(app, paid["session_id"], photo(2))
    from tests.support.service import BankInTest

    payment = {"id": paid["session_id"], "value": paid["amount"]}
    assert BankInTest(app.test_client(), clock).confirm(payment).status_code == 200
    clock.advance(seconds=1801)
    alice = sign_in(app, "alice")
    live = session("live", by=alice)
    prove(app, live["session_id"], photo(3))
    make_account(app, "root", "admin")
    admin = sign_in(app, "root")
    before = payment_tables(app)

    def clean(by):
        return by.client.post("/api/payment/cleanup", headers={"X-CSRF-TOKEN": by.token})

    assert app.test_client().post("/api/payment/cleanup").status_code == 401
    assert clean(alice).status_code == 403
    done = clean(admin)
    assert (done.status_code, done.get_json()["deleted"]) == (200, 1)
    assert clean(admin).get_json()["deleted"] == 0
    assert len(proof_ids(app)) == 2
    assert payment_tables(app) == before
    assert "proofs.cleaned" in [entry.action for entry in audit_rows(app, "root")]


def test_sessions_need_a_merchant(app, alice):
    """In production nobody acts without credentials; a key needs its scope."""
    person = Person(app, "dora")
    person.sign_up()
    reader = {"Authorization": f"Bearer {person.key('payments:read')['key']}"}
    body = json.dumps({"order_id": "1", "amount": 10})
    headers = {**reader, "Content-Type": "application/json"}
    refused = app.test_client().post("/api/payment/create-session", data=body, headers=headers)
    assert refused.status_code == 403
    assert app.test_client().get("/api/payment/sessions", headers=reader).status_code == 200
    wrong = {"Authorization": "Bearer nothing"}
    assert app.test_client().get("/api/payment/sessions", headers=wrong).status_code == 401


def test_the_same_picture_for_two_sessions_is_two_proofs(app, session):
    """What was sent for one order says nothing of another."""
    one, other = session("1"), session("2")
    data = qr_png(one["qr_data"])
    assert [prove(app, s["session_id"], data).status_code for s in (one, other)] == [201, 201]
    assert len(proof_ids(app)) == 2
