"""Sessions, which are payments in the described system, and proofs, which are pictures."""

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
from tests.portal.signing import CONFIRMED, make_account, sign_in
from tests.recovery.conftest import NO_LIMITS, form
from tests.support.service import close_app, ready_app, settings_for


@pytest.fixture
def app(any_database_url, tmp_path, clock):
    """A service without limits per address."""
    new_app = ready_app(settings_for(any_database_url, tmp_path, **NO_LIMITS), clock)
    new_app.extensions["tables"] = Tables(any_database_url)
    yield new_app
    close_app(new_app)


@pytest.fixture
def alice(app):
    """Alice's browser in the portal."""
    make_account(app, "alice")
    return sign_in(app, "alice")


@pytest.fixture
def session(alice):
    """Create a session of Alice."""

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
    """A JPEG with metadata, as phones send it."""
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
    """The rows of every table about payments."""
    tables = app.extensions["tables"]
    names = ("payments", "payment_events", "receipts", "refunds", "payment_traces")
    return {name: [tuple(r) for r in tables.rows(f"SELECT * FROM {name}")] for name in names}  # noqa: S608


def proof_ids(app):
    """The public ids of all proofs."""
    rows = app.extensions["tables"].rows("SELECT public_id FROM recovery_uploads ORDER BY id")
    return [row[0] for row in rows]


def test_a_session_is_a_payment_with_the_described_fields(app, session):
    """A client of the described system finds every field that has a meaning here."""
    new_session = session("7", customer_id=42)

    assert new_session["session_id"] == new_session["payment_id"] == new_session["transaction_id"]
    assert new_session["md5_hash"] == md5_of(new_session["qr_data"])
    assert new_session["bill_number"] == new_session["session_id"][:25]
    assert (new_session["order_id"], new_session["customer_id"], new_session["currency"]) == (
        "7",
        "42",
        "BRL",
    )
    assert (new_session["amount"], new_session["amount_centavos"], new_session["status"]) == (
        54.9,
        5490,
        "pending",
    )
    lifetime = parse_rfc3339(new_session["expires_at"]) - parse_rfc3339(new_session["created_at"])
    assert lifetime == timedelta(seconds=1800)
    assert (
        new_session["payment_screenshot_path"] is new_session["payment_verification_status"] is None
    )
    for text in (new_session["qr_data"], new_session["khqr_data"]):
        answer = app.test_client().post("/api/payment/verify-qr", json={"qr_data": text})
        assert answer.get_json()["session_id"] == new_session["session_id"]


def test_an_order_may_be_a_number(session):
    """The described system's `order_id` is an INT."""
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
def test_a_value_that_the_service_does_not_support_is_refused(client, body, field):
    """Pix is not paid in dollars, and a client cannot set the status."""
    answer = client.post("/api/payment/create-session", json=body)

    assert answer.status_code == 400
    assert [error["field"] for error in answer.get_json(force=True)["errors"]] == [field]


def test_an_order_has_one_live_session_and_a_key_repeats_the_first_answer(client):
    """Several attempts for one order create one payment."""
    body = {"order_id": "A1", "amount": 10}
    headers = {"Idempotency-Key": "k1"}
    first = client.post("/api/payment/create-session", json=body, headers=headers)
    again = client.post("/api/payment/create-session", json=body, headers=headers)
    other = client.post("/api/payment/create-session", json=body)

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
    assert again.get_json() == first.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.get_json(force=True)["code"] == "order-already-has-payment"


def test_a_merchant_lists_its_own_sessions_with_their_newest_proof(app, alice, session):
    """The list is paged, newest first; Charlie's list has none of Alice's sessions."""
    sessions = [session(f"A{n}") for n in range(3)]
    assert prove(app, sessions[0]["session_id"]).status_code == 201
    make_account(app, "charlie")
    charlie = sign_in(app, "charlie")

    first = alice.client.get("/api/payment/sessions?limit=2").get_json()
    rest = alice.client.get(f"/api/payment/sessions?limit=2&after={first['next']}").get_json()
    by_status = alice.client.get("/api/payment/sessions?status=completed").get_json()

    listed = [item["session_id"] for item in first["data"] + rest["data"]]
    assert listed == [item["session_id"] for item in reversed(sessions)]
    assert rest["next"] is None
    assert by_status["data"] == []
    assert rest["data"][0]["payment_verification_status"] == "pending"
    assert rest["data"][0]["payment_screenshot_path"].endswith("/picture")
    assert charlie.client.get("/api/payment/sessions").get_json()["data"] == []


def test_a_proof_changes_no_payment_whatever_its_verdict(app, alice, session):
    """In the described system a picture completes a payment; here no payment row changes."""
    new_session = session()
    before = payment_tables(app)

    upload = prove(app, new_session["session_id"])
    assert (upload.status_code, upload.get_json()["status"]) == (201, "pending")
    assert upload.get_json()["payment_verification_status"] == "pending"
    [proof] = proof_ids(app)
    assert proof not in upload.text
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
    actions = [entry.action for entry in audit_rows(app, "alice") if "proof" in entry.action]
    assert actions == ["proof.verified", "proof.rejected", "proof.verified"]


def test_a_proof_loses_its_metadata(app, alice, session):
    """A photo's metadata has its place and phone; the merchant sees only the pixels."""
    prove(app, session()["session_id"])
    [proof] = proof_ids(app)

    picture = alice.get(f"/portal/proofs/{proof}/picture")

    assert picture.status_code == 200
    assert picture.headers["Cache-Control"] == "no-store"
    assert picture.headers["Content-Disposition"].startswith("inline; filename=")
    assert picture.headers["X-Content-Type-Options"] == "nosniff"
    assert b"Bob" not in picture.data
    assert b"Exif" not in picture.data
    with Image.open(io.BytesIO(picture.data)) as image:
        assert (image.format, image.size) == ("JPEG", (400, 300))


def test_only_the_payments_merchant_sees_judges_or_deletes_a_proof(app, alice, session):
    """Neither Charlie, another merchant, nor Bob, who sent the proof, can see it."""
    new_session = session()
    prove(app, new_session["session_id"])
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
    without_csrf = alice.client.post(f"{path}/delete", headers={"Accept": "text/html"})
    assert without_csrf.status_code == 403
    assert proof_ids(app) == [proof]


def test_a_judged_proof_moves_from_the_queue_to_the_judged_list(app, alice, session):
    """Its note is shown there, escaped; an invalid verdict is refused."""
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


def test_a_payment_has_at_most_five_proofs_and_each_file_once(app, session):
    """A person with a link must not be able to fill the disk."""
    new_session = session()
    first = prove(app, new_session["session_id"], photo(0))
    again = prove(app, new_session["session_id"], photo(0))
    more = [prove(app, new_session["session_id"], photo(n)).status_code for n in range(1, 6)]

    assert (first.status_code, again.status_code) == (201, 200)
    assert more == [201] * (PROOFS_PER_PAYMENT_MAX - 1) + [409]
    assert len(proof_ids(app)) == PROOFS_PER_PAYMENT_MAX


def test_a_proof_needs_a_session_that_exists(app, session):
    """An unknown session gets 404, a missing one 400."""
    session()
    for unknown in ("0" * 32, "not-an-id", "", "A" * 5000):
        assert prove(app, unknown).status_code == 404
    without_session = app.test_client().post("/api/payment/upload-screenshot", data=form(photo()))
    assert without_session.status_code == 400
    assert [e["field"] for e in without_session.get_json(force=True)["errors"]] == ["session_id"]
    assert proof_ids(app) == []


def test_a_deleted_picture_is_gone_at_once(app, alice, session):
    """The row is deleted too."""
    prove(app, session()["session_id"])
    [proof] = proof_ids(app)

    assert "Apagar a imagem do comprovante?" in alice.post(f"/portal/proofs/{proof}/delete").text
    assert proof_ids(app) == [proof]
    assert alice.post(f"/portal/proofs/{proof}/delete", CONFIRMED).status_code == 303

    assert proof_ids(app) == []
    assert alice.get(f"/portal/proofs/{proof}/picture").status_code == 404


def test_pictures_are_deleted_after_proof_days_and_not_earlier(app, session, clock):
    """PROOF_DAYS is 90; after exactly 90 days the pictures still exist."""
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


def test_an_administrator_deletes_the_proofs_of_expired_sessions(app, alice, session, clock):
    """Proofs of paid and live sessions stay; only an administrator may clean up."""
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
    cleanup = clean(admin)
    assert (cleanup.status_code, cleanup.get_json()["deleted"]) == (200, 1)
    assert clean(admin).get_json()["deleted"] == 0
    assert len(proof_ids(app)) == 2
    assert payment_tables(app) == before
    assert "proofs.cleaned" in [entry.action for entry in audit_rows(app, "root")]


def test_sessions_need_a_merchant(app, alice):
    """Production requires credentials, and a key needs its scope."""
    person = Person(app, "dora")
    person.sign_up()
    reader = {"Authorization": f"Bearer {person.key('payments:read')['key']}"}
    body = json.dumps({"order_id": "1", "amount": 10})
    headers = {**reader, "Content-Type": "application/json"}
    forbidden = app.test_client().post("/api/payment/create-session", data=body, headers=headers)
    assert forbidden.status_code == 403
    assert app.test_client().get("/api/payment/sessions", headers=reader).status_code == 200
    wrong = {"Authorization": "Bearer nothing"}
    assert app.test_client().get("/api/payment/sessions", headers=wrong).status_code == 401


def test_the_same_picture_for_two_sessions_is_two_proofs(app, session):
    """A proof for one order is no proof for another."""
    one, other = session("1"), session("2")
    data = qr_png(one["qr_data"])
    assert [prove(app, s["session_id"], data).status_code for s in (one, other)] == [201, 201]
    assert len(proof_ids(app)) == 2
