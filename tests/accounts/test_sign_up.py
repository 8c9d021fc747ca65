"""Signing up: an account that works at once, and nothing stored for what is refused."""

from __future__ import annotations

from uuid import UUID

import pytest
import sqlalchemy as sa

from core.pix import br_code
from db_models import Account
from repository.database import reading
from tests.accounts.people import PASSWORD, Person, bearer
from tests.support.service import close_app, ready_app, settings_for


def stored_logins(app):
    """Every login that is stored."""
    with app.app_context(), reading() as work:
        return set(work.session.scalars(sa.select(Account.login)).all())


def stored(app, login):
    """One account's row."""
    with app.app_context(), reading() as work:
        return work.accounts.by_login(login)


def test_a_fresh_merchant_can_be_paid_at_once(app, bank, person):
    """Between signing up and the first money lies nothing that has to be set."""
    alice = person("alice", name="Queijaria da Alice")
    answer = alice.post("/payments/pix", json={"value": "54.90"}, headers=alice.bearer())
    assert answer.status_code == 201
    payment = answer.get_json()["payment"]
    assert br_code.decode(payment["pix_code"]).merchant_name == "Queijaria da Alice"
    assert bank.confirm(payment).status_code == 200
    (listed,) = alice.get("/payments/pix", alice.bearer()).get_json()["data"]
    assert (listed["id"], listed["paid"]) == (payment["id"], True)


def test_the_answer_shows_the_account_and_no_secret(app):
    """A client keeps this answer; neither the password nor its hash may be in it."""
    answer = Person(app, "alice").post(
        "/users/",
        json={"username": "alice", "password": PASSWORD, "email": "alice@example.com"},
    )
    assert answer.status_code == 201
    body = answer.get_json()
    assert (body["username"], body["name"], body["email"]) == (
        "alice",
        "alice",
        "alice@example.com",
    )
    assert (body["role"], body["is_active"]) == ("merchant", True)
    assert UUID(body["pix_key"]).version == 4
    assert len(body["id"]) == 32
    assert PASSWORD not in answer.text
    assert "argon2" not in answer.text
    assert answer.headers["Location"] == "/users/me/"
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_password_is_kept_as_argon2id_with_owasps_costs(app, alice):
    """Whoever reads the table has 19 MiB and two passes between him and each guess."""
    kept = stored(app, "alice").password_hash
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_payer_has_no_pix_key_and_creates_no_payment(person):
    """Roles are apart: a payer's token does not sell."""
    bob = person("bob", role="payer")
    assert bob.get("/users/me/", bob.bearer()).get_json()["pix_key"] is None
    refused = bob.post("/payments/pix", json={"value": 10}, headers=bob.bearer())
    assert (refused.status_code, refused.get_json()["code"]) == (403, "forbidden")


def test_nobody_becomes_an_administrator_by_asking(app):
    """The role decides who sees everybody's money."""
    charlie = Person(app, "charlie")
    answer = charlie.post(
        "/users/", json={"username": "charlie", "password": PASSWORD, "role": "admin"}
    )
    assert answer.status_code == 400
    assert "flask accounts create" in answer.get_json()["detail"]
    assert "charlie" not in stored_logins(app)


def test_a_taken_login_is_a_409_and_changes_nothing(app, alice):
    """The first Alice keeps her password."""
    before = stored(app, "alice").password_hash
    answer = Person(app, "alice").post(
        "/users/", json={"username": "alice", "password": "another password"}
    )
    assert (answer.status_code, answer.get_json()["code"]) == (409, "login-taken")
    assert stored(app, "alice").password_hash == before


def test_the_demo_merchants_login_is_never_given_away(tmp_path, fresh_database, clock):
    """In production there is no demo merchant; a copy of that database run in development has."""
    settings = settings_for(
        fresh_database("sqlite"), tmp_path, app_env="production", public_url="https://shop.example"
    )
    app = ready_app(settings, clock)
    try:
        answer = Person(app, "demo").post(
            "/users/", json={"username": "demo", "password": PASSWORD}
        )
        assert answer.status_code == 409
        assert stored_logins(app) == set()
    finally:
        close_app(app)


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("username", "a" * 64, "a" * 65),
        ("username", "a", ""),
        ("username", "ana.maria+loja_1@ex-emplo", "ana maria"),
        ("username", "a-", "-a"),
        ("password", "x" * 8, "x" * 7),
        ("password", "x" * 256, "x" * 257),
        ("name", "n" * 120, "n" * 121),
        ("name", "Açaí & Cia", "北京"),
        ("name", "Loja", " Loja"),
        ("email", "a@b.co", "a@b"),
        ("role", "payer", "owner"),
    ],
)
def test_each_field_is_checked_on_both_sides_of_its_edge(app, field, good, bad):
    """One character more than is kept would be cut, or fail in the database."""
    body = {"username": "ana", "password": PASSWORD}
    client = app.test_client()
    refused = client.post("/users/", json={**body, field: bad})
    assert (refused.status_code, refused.get_json()["code"]) == (400, "invalid-request")
    assert [error["field"] for error in refused.get_json()["errors"]] == [field]
    assert stored_logins(app) == {"demo"}
    assert client.post("/users/", json={**body, field: good}).status_code == 201


def test_the_password_must_not_be_the_username(app):
    """It is the first guess of everybody."""
    answer = app.test_client().post(
        "/users/", json={"username": "alicealice"} | {"password": "alicealice"}
    )
    assert answer.status_code == 400
    assert stored_logins(app) == {"demo"}


@pytest.mark.parametrize("path", ["/users/", "/users"])
def test_the_last_slash_may_be_missing(app, path):
    """A 308 would lose the body of many clients."""
    body = {"username": "alice", "password": PASSWORD}
    assert app.test_client().post(path, json=body).status_code == 201


def test_the_same_sign_up_again_under_its_key_gets_the_first_answer(app):
    """A client whose answer was lost asks again, and must not be told that its login is taken."""
    client, key = app.test_client(), {"Idempotency-Key": "sign-up-1"}
    body = {"username": "alice", "password": PASSWORD, "name": "Alice"}
    first = client.post("/users/", json=body, headers=key)
    again = client.post("/users/", json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.get_json() == first.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = client.post("/users/", json={**body, "name": "Anna"}, headers=key)
    assert (other.status_code, other.get_json()["code"]) == (409, "idempotency-conflict")
    assert [error["field"] for error in other.get_json()["errors"]] == ["name"]


def test_a_stranger_with_the_key_but_not_the_password_learns_nothing(app):
    """Idempotency keys are no secrets: counters, order numbers."""
    client, key = app.test_client(), {"Idempotency-Key": "1"}
    body = {"username": "alice", "password": PASSWORD, "email": "alice@example.com"}
    client.post("/users/", json=body, headers=key)
    answer = client.post("/users/", json={**body, "password": "a guess of his"}, headers=key)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "login-taken")
    with app.app_context(), reading() as work:
        kept = work.idempotent_requests.find(work.accounts.by_login("alice").id, "1")
    assert kept is not None
    assert PASSWORD not in str(kept.request) + str(kept.answer)


def test_signing_up_can_be_closed(tmp_path, fresh_database, clock):
    """A shop of one's own is no place where strangers make accounts."""
    app = ready_app(settings_for(fresh_database("sqlite"), tmp_path, sign_up="closed"), clock)
    try:
        client = app.test_client()
        answer = client.post("/users/", json={"username": "alice", "password": PASSWORD})
        assert (answer.status_code, answer.get_json()["code"]) == (403, "forbidden")
        assert client.get("/signup").status_code == 403
        assert "/signup" not in client.get("/login").text
        assert stored_logins(app) == {"demo"}
    finally:
        close_app(app)


def test_an_address_makes_so_many_accounts_in_an_hour_and_no_more(tmp_path, fresh_database, clock):
    """Each costs 19 MiB of work and a row; the next address is not held up."""
    settings = settings_for(fresh_database("sqlite"), tmp_path, sign_ups_per_address_max=2)
    app = ready_app(settings, clock)
    try:
        for number in range(2):
            Person(app, f"shop{number}", address="192.0.2.1").sign_up()
        body = {"username": "shop2", "password": PASSWORD}
        refused = Person(app, "shop2", address="192.0.2.1").post("/users/", json=body)
        assert (refused.status_code, refused.get_json()["code"]) == (429, "too-many-requests")
        assert 0 < int(refused.headers["Retry-After"]) <= 3600
        assert "shop2" not in stored_logins(app)
        Person(app, "shop2", address="192.0.2.2").sign_up()
    finally:
        close_app(app)


def test_a_body_that_is_refused_uses_nothing_of_the_limit(tmp_path, fresh_database, clock):
    """Whoever mistypes twice has not made two accounts."""
    settings = settings_for(fresh_database("sqlite"), tmp_path, sign_ups_per_address_max=1)
    app = ready_app(settings, clock)
    try:
        for _ in range(3):
            bad = app.test_client().post("/users/", json={"username": "a b", "password": "x"})
            assert bad.status_code == 400
        Person(app, "alice").sign_up()
    finally:
        close_app(app)


def test_the_caller_is_told_who_they_are(alice):
    """What a client asks first, with and without the last slash."""
    header = alice.bearer()
    for path in ("/users/me/", "/users/me"):
        answer = alice.get(path, header)
        assert (answer.status_code, answer.get_json()["username"]) == (200, "alice")
    assert alice.get("/users/me/").status_code == 401
    assert alice.get("/users/me/", bearer("nonsense")).status_code == 401
