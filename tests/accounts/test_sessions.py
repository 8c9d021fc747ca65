"""Sessions: listed, ended one by one, and ended all at once by a new password."""

from __future__ import annotations

import pytest

from accounts import passwords, service, sign_ins
from core.errors import Unauthorized
from repository.database import in_unit_of_work, reading
from tests.accounts.people import PASSWORD, Person, actions, bearer, open_sign_ins

FRESH = "another horse battery"


def sessions(person, header):
    """The account's open sessions."""
    answer = person.get("/api/sessions", header)
    assert answer.status_code == 200
    return answer.get_json()["data"]


def change(person, header, **body):
    """Change the password as a program."""
    fields = {"current_password": PASSWORD, "new_password": FRESH, **body}
    return person.post("/users/me/password", json=fields, headers=header)


def test_the_list_shows_the_address_and_the_current_session(alice, clock):
    """Alice looks for a session that somebody else opened."""
    program = alice.bearer()
    clock.advance(seconds=5)
    browser = alice.app.test_client()
    body = {"login": "alice", "password": PASSWORD}
    agent = {"User-Agent": "Mozilla/5.0 (X11) é"}
    browser.post(
        "/api/login", json=body, headers=agent, environ_overrides={"REMOTE_ADDR": "192.0.2.7"}
    )
    newest, oldest = sessions(alice, program)
    assert (newest["channel"], newest["current"]) == ("cookie", False)
    assert (newest["address"], newest["user_agent"]) == ("192.0.2.7", "Mozilla/5.0 (X11) ?")
    assert (oldest["channel"], oldest["current"]) == ("token", True)
    assert oldest["created_at"] == "2026-11-20T15:00:00.000Z"
    assert browser.get("/api/sessions").get_json()["data"][0]["current"] is True


def test_one_session_is_ended_and_the_others_stay(alice):
    """Alice ends the session of a lost telephone."""
    phone, till = alice.tokens(), alice.tokens()
    lost = next(row for row in sessions(alice, bearer(phone["access_token"])) if row["current"])
    client = alice.app.test_client()
    header = bearer(till["access_token"])
    assert client.delete(f"/api/sessions/{lost['id']}", headers=header).status_code == 200
    assert alice.get("/users/me/", bearer(phone["access_token"])).status_code == 401
    refreshed = alice.ask_tokens(grant_type="refresh_token", refresh_token=phone["refresh_token"])
    assert refreshed.status_code == 401
    assert alice.get("/users/me/", header).status_code == 200


def test_all_the_others_are_ended_at_once(alice):
    """The session that asks stays open; an API key has no session and ends all."""
    for _ in range(3):
        alice.tokens()
    header = alice.bearer()
    client = alice.app.test_client()
    ended = client.delete("/api/sessions", headers=header)
    assert (ended.status_code, ended.get_json()["ended_sessions"]) == (200, 3)
    assert [row["current"] for row in sessions(alice, header)] == [True]
    key = bearer(alice.key("account:write")["key"])
    assert client.delete("/api/sessions", headers=key).get_json()["ended_sessions"] == 2
    assert open_sign_ins(alice.app) == 0


def test_another_password_ends_every_other_session(alice):
    """Only the session that changed the password and the API keys go on."""
    key = alice.key("payments:read")
    spied, own = alice.tokens(), alice.tokens()
    answer = change(alice, bearer(own["access_token"]))
    assert (answer.status_code, answer.get_json()["ended_sessions"]) == (200, 2)
    assert alice.get("/users/me/", bearer(spied["access_token"])).status_code == 401
    assert alice.get("/users/me/", bearer(own["access_token"])).status_code == 200
    assert alice.get("/payments/pix", bearer(key["key"])).status_code == 200
    assert alice.ask_tokens().status_code == 401
    assert alice.ask_tokens(username="alice", password=FRESH).status_code == 200
    assert "password.changed" in actions(alice.app, "alice")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"current_password": "wrong"}, "current_password"),
        ({"new_password": "x" * 7}, "new_password"),
        ({"new_password": PASSWORD}, "new_password"),
        ({"new_password": "x" * 257}, "new_password"),
        ({"user": "bob"}, "user"),
    ],
)
def test_a_refused_change_changes_nothing(alice, body, field):
    """The old password and every session still work."""
    header = alice.bearer()
    answer = change(alice, header, **body)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.get_json()["errors"]] == [field]
    assert alice.get("/users/me/", header).status_code == 200
    assert alice.ask_tokens().status_code == 200


def test_the_new_password_must_not_be_the_login(app):
    """The same rule as at sign-up."""
    alice = Person(app, "alice-of-the-cheese")
    alice.sign_up()
    answer = change(alice, alice.bearer(), new_password="alice-of-the-cheese")
    assert answer.status_code == 400


def test_the_same_password_from_another_keyboard_is_the_same(app):
    """An accent is one character on one keyboard and two on another (NIST SP 800-63B)."""
    ines = Person(app, "ines", password="maçã com açúcar")
    ines.sign_up()
    decomposed = "mac\u0327a\u0303 com ac\u0327u\u0301car"
    assert ines.ask_tokens(username="ines", password=decomposed).status_code == 200
    assert ines.ask_tokens(username="ines", password="maca com acucar").status_code == 401


def test_a_sign_in_that_was_checked_before_the_change_does_not_outlive_it(alice, monkeypatch):
    """Another request changes the password after it was checked and before the row is written."""
    check_password = sign_ins.check_password

    def change_meanwhile(login, password):
        account = check_password(login, password)
        assert account is not None
        monkeypatch.setattr(sign_ins, "check_password", check_password)
        with alice.app.app_context():
            fresh = passwords.hash_password(FRESH)
            in_unit_of_work(
                lambda work: service.set_password(work, account, account.password_hash, fresh)
            )
        return account

    monkeypatch.setattr(sign_ins, "check_password", change_meanwhile)
    assert alice.ask_tokens().status_code == 401
    assert open_sign_ins(alice.app) == 0


def test_of_two_simultaneous_changes_one_wins(alice):
    """The second change was made with a password that is not valid any more."""
    with alice.app.app_context():
        with reading() as work:
            account = work.accounts.by_login("alice")

        def change_to(new):
            new_hash = passwords.hash_password(new)
            in_unit_of_work(
                lambda work: service.set_password(work, account, account.password_hash, new_hash)
            )

        change_to("first horse battery")
        with pytest.raises(Unauthorized):
            change_to("second horse battery")
    assert alice.ask_tokens(username="alice", password="first horse battery").status_code == 200


def test_a_hash_made_with_other_costs_is_renewed_at_the_next_sign_in(alice):
    """Costs grow over the years, and nobody must change the password for that."""
    from argon2 import PasswordHasher

    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with alice.app.app_context():
        in_unit_of_work(
            lambda work: work.accounts.change(
                work.accounts.by_login("alice").id, {"password_hash": old}
            )
        )
        assert alice.ask_tokens().status_code == 200
        with reading() as work:
            new_hash = work.accounts.by_login("alice").password_hash
    assert new_hash is not None
    assert "m=19456,t=2,p=1" in new_hash
    assert alice.ask_tokens().status_code == 200


def test_ended_sessions_are_deleted_after_a_month_and_open_ones_are_not(alice, clock):
    """The table does not grow for ever, and the cleaning signs nobody out."""
    alice.tokens()
    keep = alice.tokens()
    client = alice.app.test_client()
    client.delete("/api/sessions", headers=bearer(keep["access_token"]))
    with alice.app.app_context():
        clock.advance(days=29)
        assert sign_ins.forget_old(clock.now()) == 0
        clock.advance(days=1, seconds=1)
        assert sign_ins.forget_old(clock.now()) == 1
        clock.advance(days=30)
        assert sign_ins.forget_old(clock.now()) == 1
