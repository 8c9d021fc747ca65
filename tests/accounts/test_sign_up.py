"""Sign-up: the account works at once, and a refused request stores nothing."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from accounts.passwords import hash_password
from accounts.service import create
from core.pix import br_code
from db_models import Account
from repository.database import in_unit_of_work, reading
from tests.accounts.people import PASSWORD, Person, bearer
from tests.support.service import close_app, ready_app, settings_for


def stored_logins(app):
    """The stored logins."""
    with app.app_context(), reading() as work:
        return set(work.session.scalars(sa.select(Account.login)).all())


def account_row(app, login):
    """The row of an account."""
    with app.app_context(), reading() as work:
        return work.accounts.by_login(login)


def test_a_fresh_merchant_can_be_paid_at_once(app, bank, person):
    """A new merchant needs no settings before the first payment."""
    alice = person("alice", name="Queijaria da Alice")
    answer = alice.post("/payments/pix", json={"value": "54.90"}, headers=alice.bearer())
    assert answer.status_code == 201
    payment = answer.get_json()["payment"]
    assert br_code.decode(payment["pix_code"]).merchant_name == "Queijaria da Alice"
    assert bank.confirm(payment).status_code == 200
    (listed,) = alice.get("/payments/pix", alice.bearer()).get_json()["data"]
    assert (listed["id"], listed["paid"]) == (payment["id"], True)


def test_the_answer_shows_the_account_and_no_secret(app):
    """Clients store this answer, so it must contain neither the password nor its hash."""
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


def test_the_password_is_stored_as_argon2id_with_owasps_costs(app, alice):
    """Each guess at a stolen table costs 19 MiB and two passes."""
    password_hash = account_row(app, "alice").password_hash
    assert password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_payer_has_no_pix_key_and_creates_no_payment(person):
    """A payer's token cannot sell."""
    bob = person("bob", role="payer")
    assert bob.get("/users/me/", bob.bearer()).get_json()["pix_key"] is None
    refusal = bob.post("/payments/pix", json={"value": 10}, headers=bob.bearer())
    assert (refusal.status_code, refusal.get_json()["code"]) == (403, "forbidden")


def test_a_sign_up_cannot_create_an_administrator(app):
    """Only the operator creates administrators, at the terminal."""
    charlie = Person(app, "charlie")
    answer = charlie.post(
        "/users/", json={"username": "charlie", "password": PASSWORD, "role": "admin"}
    )
    assert answer.status_code == 400
    assert "flask accounts create" in answer.get_json()["detail"]
    assert "charlie" not in stored_logins(app)


def test_a_taken_login_is_a_409_and_changes_nothing(app, alice):
    """The first Alice's password stays as it is."""
    before = account_row(app, "alice").password_hash
    answer = Person(app, "alice").post(
        "/users/", json={"username": "alice", "password": "another password"}
    )
    assert (answer.status_code, answer.get_json()["code"]) == (409, "login-taken")
    assert account_row(app, "alice").password_hash == before


def test_production_has_no_accounts_for_payers(production_app):
    """Their pages exist only with the simulated bank, so such an account would lead nowhere."""
    bob, browser = Person(production_app, "bob"), production_app.test_client()
    body = {"username": "bob", "password": PASSWORD, "role": "payer"}
    answer = bob.post("/users/", json=body)
    assert answer.status_code == 400
    problem: dict[str, Any] = answer.get_json()
    assert [error["field"] for error in problem["errors"]] == ["role"]
    page = browser.get("/signup", base_url="https://shop.example")
    assert 'name="role"' not in page.text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    sent = browser.post(
        "/signup",
        data={**body, "csrf_token": token[1]},
        headers={"Accept": "text/html"},
        base_url="https://shop.example",
    )
    assert sent.status_code == 400
    assert "Aqui só se criam contas para vender." in sent.text
    assert stored_logins(production_app) == set()
    del body["role"]
    assert bob.post("/users/", json=body).status_code == 201


SHOP = "https://shop.example"


@pytest.fixture
def app_with_a_payer(production_app):
    """The app in production on a database that came from development."""
    with production_app.app_context():
        password_hash = hash_password(PASSWORD)
        in_unit_of_work(
            lambda work: create(work, login="bob", role="payer", password_hash=password_hash)
        )
    return production_app


def sign_in_by_form(browser: Any, next_path: str = "", language: str = "") -> Any:
    """Send the sign-in page's form as bob, at the public address."""
    page = browser.get(f"/login{language}", base_url=SHOP)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    return browser.post(
        f"/api/login{language}",
        data={
            "username": "bob",
            "password": PASSWORD,
            "next": next_path,
            "csrf_token": token[1],
        },
        headers={"Accept": "text/html"},
        base_url=SHOP,
    )


@pytest.mark.parametrize("next_path", ["", "/pay", "/pay/abc", "/portal"])
@pytest.mark.parametrize(
    ("language", "account_sentence", "advice"),
    [
        ("", "Esta é uma conta de pagador.", "use o aplicativo do seu banco"),
        ("?lang=en", "This is a payer's account.", "use your bank's app"),
    ],
)
def test_production_tells_a_payer_that_its_account_has_no_pages_here(
    app_with_a_payer, next_path, language, account_sentence, advice
):
    """Neither /pay nor a wallet exists there: before, such a sign-in ended on a 404."""
    browser = app_with_a_payer.test_client()

    answer = sign_in_by_form(browser, next_path, language)
    assert (answer.status_code, answer.location) == (303, f"/login{language}")
    page = browser.get(answer.location, base_url=SHOP)

    assert page.status_code == 200
    assert account_sentence in page.text
    assert advice in page.text
    assert 'href="/pay' not in page.text
    assert 'action="/api/logout"' in page.text
    for path in ("/", "/login"):
        assert (
            account_sentence
            in browser.get(f"{path}{language}", base_url=SHOP, follow_redirects=True).text
        )


def test_a_payers_program_signs_in_in_production_too(app_with_a_payer):
    """The API refuses no account for its role; what a payer may do is the routes' question."""
    bob = Person(app_with_a_payer, "bob")

    bob.enter()
    assert bob.get("/users/me/", bob.bearer()).get_json()["role"] == "payer"


def test_the_demo_merchants_login_is_reserved_in_production(production_app):
    """A copy of a production database may run in development, which has the demo merchant."""
    answer = Person(production_app, "demo").post(
        "/users/", json={"username": "demo", "password": PASSWORD}
    )
    assert answer.status_code == 409
    assert stored_logins(production_app) == set()


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
        ("name", "Açaí & Cia", "🌽🍉"),
        ("name", "Loja", " Loja"),
        ("email", "a@b.co", "a@b"),
        ("role", "payer", "owner"),
    ],
)
def test_each_field_is_checked_on_both_sides_of_its_edge(app, field, good, bad):
    """A longer text would be cut, or fail in the database."""
    body = {"username": "ana", "password": PASSWORD}
    client = app.test_client()
    refusal = client.post("/users/", json={**body, field: bad})
    assert (refusal.status_code, refusal.get_json()["code"]) == (400, "invalid-request")
    assert [error["field"] for error in refusal.get_json()["errors"]] == [field]
    assert stored_logins(app) == {"demo"}
    assert client.post("/users/", json={**body, field: good}).status_code == 201


def test_the_password_must_not_be_the_username(app):
    """The username is the first guess of an attacker."""
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
    """A client that lost the answer repeats the request; its login is not taken by another."""
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


def test_the_idempotency_key_without_the_password_reveals_nothing(app):
    """Idempotency keys are not secret; many are counters or order numbers."""
    client, key = app.test_client(), {"Idempotency-Key": "1"}
    body = {"username": "alice", "password": PASSWORD, "email": "alice@example.com"}
    client.post("/users/", json=body, headers=key)
    answer = client.post("/users/", json={**body, "password": "a guess of his"}, headers=key)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "login-taken")
    with app.app_context(), reading() as work:
        row = work.idempotent_requests.find(work.accounts.by_login("alice").id, "1")
    assert row is not None
    assert PASSWORD not in str(row.request) + str(row.answer)


def test_sign_up_can_be_closed(tmp_path, fresh_database, clock):
    """An operator with one shop wants no accounts of strangers."""
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


def test_an_address_can_create_a_limited_number_of_accounts_in_an_hour(
    tmp_path, fresh_database, clock
):
    """Each account costs a hash and a row; other addresses are not affected."""
    settings = settings_for(fresh_database("sqlite"), tmp_path, sign_ups_per_address_max=2)
    app = ready_app(settings, clock)
    try:
        for number in range(2):
            Person(app, f"shop{number}", address="192.0.2.1").sign_up()
        body = {"username": "shop2", "password": PASSWORD}
        refusal = Person(app, "shop2", address="192.0.2.1").post("/users/", json=body)
        assert (refusal.status_code, refusal.get_json()["code"]) == (429, "too-many-requests")
        assert 0 < int(refusal.headers["Retry-After"]) <= 3600
        assert "shop2" not in stored_logins(app)
        Person(app, "shop2", address="192.0.2.2").sign_up()
    finally:
        close_app(app)


def test_a_refused_body_does_not_count_for_the_limit(tmp_path, fresh_database, clock):
    """A mistyped form has created no account."""
    settings = settings_for(fresh_database("sqlite"), tmp_path, sign_ups_per_address_max=1)
    app = ready_app(settings, clock)
    try:
        for _ in range(3):
            bad = app.test_client().post("/users/", json={"username": "a b", "password": "x"})
            assert bad.status_code == 400
        Person(app, "alice").sign_up()
    finally:
        close_app(app)


def test_users_me_shows_the_callers_account(alice):
    """Clients ask for it first, with and without the last slash."""
    header = alice.bearer()
    for path in ("/users/me/", "/users/me"):
        answer = alice.get(path, header)
        assert (answer.status_code, answer.get_json()["username"]) == (200, "alice")
    assert alice.get("/users/me/").status_code == 401
    assert alice.get("/users/me/", bearer("nonsense")).status_code == 401
