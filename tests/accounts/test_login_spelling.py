"""Logins and e-mails have one spelling, however a phone writes them."""

from __future__ import annotations

import io

import pytest
import sqlalchemy as sa
from flask_migrate import downgrade, upgrade

from accounts import passwords
from app import create_app
from db_models import Account
from db_models.base import db
from repository.database import reading
from server.schema import MIGRATIONS
from tests.accounts.people import PASSWORD, Person
from tests.support.service import close_app, settings_for

OLD = ("Maria", "Pedro", "pedro", "PEDRO", "Zoe", "ZOE")
SPELLINGS = ["alice", "Alice", "ALICE", "alice ", " alice", "Ali\u200bce", "\uff21lice"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_signs_in_at_every_door(app, alice, spelling):
    """A phone begins the word with a capital letter and adds a space."""
    assert alice.ask_tokens(username=spelling, password=PASSWORD).status_code == 200
    for field in ("login", "username"):
        body = {field: spelling, "password": PASSWORD}
        answer = alice.post("/api/login", json=body)
        assert answer.status_code == 200, answer.text
        assert answer.get_json()["user"]["username"] == "alice"
    both = {"login": spelling, "username": "alice", "password": PASSWORD}
    assert alice.post("/api/login", json=both).status_code == 200


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_spelling_is_a_second_account(app, alice, spelling):
    """Nobody can pose as a shop by a capital letter."""
    answer = alice.post("/users/", json={"username": spelling, "password": PASSWORD})
    assert (answer.status_code, answer.get_json()["code"]) == (409, "login-taken")


def test_a_new_login_and_its_email_are_stored_in_small_letters(app):
    """The account shows the name as it was written, and is found by its one spelling."""
    body = {"username": "Carol ", "password": PASSWORD, "email": " Carol@Example.COM"}
    answer = Person(app, "carol").post("/users/", json=body)
    assert answer.status_code == 201, answer.text
    user = answer.get_json()
    assert (user["username"], user["email"]) == ("carol", "carol@example.com")
    assert user["name"] == "Carol"


def test_the_password_is_not_the_login_in_another_spelling(app):
    """It is the first thing that a stranger tries."""
    body = {"username": "Carolina", "password": "cAROLINA"}
    answer = Person(app, "carol").post("/users/", json=body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.get_json()["errors"]] == ["password"]


def test_the_shops_qr_code_has_every_spelling(app, alice):
    """Somebody types the address from a sign."""
    small = app.test_client().get("/generate_qr/alice")
    for spelling in ("Alice", "ALICE", "alice%20"):
        large = app.test_client().get(f"/generate_qr/{spelling}")
        assert (large.status_code, large.data) == (200, small.data)


def test_the_commands_know_every_spelling(app, alice):
    """The operator copies the login from a message."""
    runner = app.test_cli_runner()
    twin = runner.invoke(
        args=["accounts", "create", "Alice", "--password-stdin"], input=io.BytesIO(b"long enough\n")
    )
    assert twin.exit_code == 1
    assert "The login alice is taken." in twin.output
    assert runner.invoke(args=["accounts", "disable", " ALICE"]).exit_code == 0
    with app.app_context(), reading() as work:
        assert work.accounts.by_login("alice").disabled_at is not None


@pytest.fixture
def before(any_empty_database_url, tmp_path, clock):
    """The app on a database of the previous revision, with accounts in capital letters."""
    app = create_app(settings_for(any_empty_database_url, tmp_path), clock)
    with app.app_context():
        upgrade(directory=str(MIGRATIONS), revision="0011")
        columns = "public_id, login, role, name, city, grace_seconds, created_at, email"
        insert = sa.text(
            f"INSERT INTO accounts ({columns}, password_hash, mails_payments) VALUES "  # noqa: S608
            "(:id, :login, 'merchant', :name, 'Cunha', 0, '2026-01-31 12:00:00', "
            ":email, :hash, :no)"
        )
        hashes = {name: passwords.hash_password(f"password of {name}") for name in OLD}
        with db.engine.begin() as connection:
            for number, login in enumerate(OLD):
                row = {"id": f"{number:032}", "login": login, "name": f"Loja  {login}"}
                row |= {"email": f"{login}@Example.com", "hash": hashes[login]}
                connection.execute(insert, {**row, "no": False})
    yield app
    close_app(app)


def test_old_accounts_with_capital_letters_sign_in_as_before_and_after(before):
    """Of twins, the one in small letters or the oldest is found by any spelling."""
    app = before
    with app.app_context():
        upgrade(directory=str(MIGRATIONS))
    for login in OLD:
        assert _is_password_of(app, login, login), login
    for spelling, owner in (("maria ", "Maria"), ("pEdro", "pedro"), ("zoe", "Zoe")):
        assert _is_password_of(app, spelling, owner), spelling
    with app.app_context(), reading() as work:
        rows = {row.login: row for row in work.session.scalars(sa.select(Account)).all()}
    assert rows["Maria"].email == "maria@example.com"
    assert rows["Maria"].name_key == "loja maria"
    holders = {row.held_name_key: login for login, row in rows.items() if row.held_name_key}
    assert holders == {"loja maria": "Maria", "loja pedro": "Pedro", "loja zoe": "Zoe"}
    twin = Person(app, "maria").post("/users/", json={"username": "maria", "password": PASSWORD})
    assert twin.status_code == 409
    with app.app_context():
        downgrade(directory=str(MIGRATIONS), revision="0011")
        upgrade(directory=str(MIGRATIONS))
    assert _is_password_of(app, "MARIA", "Maria")


def _is_password_of(app, spelling, owner):
    """Whether this spelling and the owner's password sign in."""
    body = {"username": spelling, "password": f"password of {owner}"}
    answer = app.test_client().post("/api/login", json=body)
    return answer.status_code == 200 and answer.get_json()["user"]["username"] == owner
