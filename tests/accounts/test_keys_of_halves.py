"""Test keys in production: they act for the merchant's test half, and never for the merchant."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from accounts import halves
from accounts.keys import SCOPES, key_hash, key_uses, new_api_key
from db_models import Account, ApiKey
from repository.database import in_unit_of_work, reading
from tests.accounts.people import PASSWORD, Person, audit_rows, bearer

OF_SETTINGS = ("account:write", "payments:read")


@pytest.fixture
def alice(production_app):
    """Alice, a merchant in production."""
    person = Person(production_app, "alice")
    person.sign_up()
    return person


@pytest.fixture
def bob(production_app):
    """Bob, another merchant."""
    person = Person(production_app, "bob")
    person.sign_up()
    return person


def make(person: Person, headers: dict[str, str], **body: Any) -> Any:
    """Ask for a key; return the answer, also a refusal."""
    fields = {"scopes": list(OF_SETTINGS), **body}
    return person.post("/api/keys", json=fields, headers=headers)


def listed(person: Person, headers: dict[str, str], query: str = "") -> list[str]:
    """The ids of the keys that a list shows."""
    answer = person.get(f"/api/keys{query}", headers)
    assert answer.status_code == 200, answer.text
    return [key["id"] for key in answer.get_json()["data"]]


def stored(person: Person) -> dict[str, str]:
    """The logins of all accounts with keys, by the key's public id."""
    with person.app.app_context(), reading() as work:
        query = sa.select(ApiKey.public_id, Account.login).join(
            Account, Account.id == ApiKey.account_id
        )
        return {row[0]: row[1] for row in work.session.execute(query)}


def test_a_key_without_livemode_is_of_the_own_mode(alice):
    live = alice.key(*OF_SETTINGS)
    test = alice.key(*OF_SETTINGS, livemode=False)
    assert live["key"].startswith("balcao_live_")
    assert test["key"].startswith("balcao_test_")
    assert (live["livemode"], live["mode"]) == (True, "live")
    assert (test["livemode"], test["mode"]) == (False, "test")
    by_live = make(alice, bearer(live["key"])).get_json()
    by_test = make(alice, bearer(test["key"])).get_json()
    assert (by_live["livemode"], by_test["livemode"]) == (True, False)
    assert make(alice, bearer(live["key"]), livemode=False).get_json()["livemode"] is False
    assert make(alice, bearer(test["key"]), livemode=False).get_json()["livemode"] is False


def test_a_test_key_acts_for_the_test_half(alice):
    """Both halves are the same shop, with ids of their own."""
    live, test = alice.key(*OF_SETTINGS), alice.key(*OF_SETTINGS, livemode=False)
    me = [alice.get("/users/me/", bearer(key["key"])).get_json() for key in (live, test)]
    assert me[0]["username"] == "alice"
    assert me[1]["username"] == f"test-{me[1]['id']}"
    assert me[0]["id"] != me[1]["id"]
    assert me[0]["name"] == me[1]["name"]
    owners = stored(alice)
    assert (owners[live["id"]], owners[test["id"]]) == ("alice", me[1]["username"])


def test_the_test_half_is_made_once_for_many_keys(alice):
    for _ in range(3):
        alice.key("payments:read", livemode=False)
    with alice.app.app_context(), reading() as work:
        merchant = work.accounts.by_login("alice")
        of_alice = sa.select(sa.func.count()).where(Account.test_of_id == merchant.id)
        assert work.session.scalar(of_alice) == 1


@pytest.mark.parametrize("livemode", ["false", "0", 0, "test"])
def test_livemode_is_a_boolean(alice, livemode):
    answer = make(alice, alice.bearer(), livemode=livemode)
    assert answer.status_code == 400
    assert answer.get_json()["errors"][0]["field"] == "livemode"


def test_a_test_key_makes_lists_and_revokes_no_live_keys(alice):
    """A program under test must not get at real money."""
    live = alice.key(*SCOPES)
    test = bearer(alice.key(*SCOPES, livemode=False)["key"])
    refusal = make(alice, test, livemode=True)
    assert (refusal.status_code, refusal.get_json()["code"]) == (403, "forbidden")
    assert "test key" in refusal.get_json()["detail"]
    assert alice.get("/api/keys?livemode=true", test).status_code == 403
    assert live["id"] not in listed(alice, test)
    assert live["id"] not in listed(alice, test, "?livemode=false")
    answer = alice.app.test_client().delete(f"/api/keys/{live['id']}", headers=test)
    assert answer.status_code == 404
    assert alice.get("/users/me/", bearer(live["key"])).status_code == 200


def test_a_test_key_changes_no_password_and_ends_no_session(alice):
    """The merchant's sessions are not the test half's."""
    test = bearer(alice.key(*SCOPES, livemode=False)["key"])
    token = alice.bearer()
    body = {"current_password": PASSWORD, "new_password": "another password"}
    assert alice.post("/users/me/password", json=body, headers=test).status_code == 403
    assert alice.get("/api/sessions", test).get_json()["data"] == []
    (own, *_) = alice.get("/api/sessions", token).get_json()["data"]
    client = alice.app.test_client()
    assert client.delete(f"/api/sessions/{own['id']}", headers=test).status_code == 404
    assert client.delete("/api/sessions", headers=test).get_json()["ended_sessions"] == 0
    assert alice.get("/users/me/", token).status_code == 200


def test_a_live_key_and_a_session_manage_test_keys(alice):
    live = alice.key(*OF_SETTINGS)
    test = alice.key("payments:read", livemode=False)
    client = alice.app.test_client()
    for headers in (bearer(live["key"]), alice.bearer()):
        assert listed(alice, headers) == listed(alice, headers, "?livemode=true") == [live["id"]]
        assert test["id"] in listed(alice, headers, "?livemode=false")
        other = make(alice, headers, livemode=False).get_json()
        assert client.delete(f"/api/keys/{other['id']}", headers=headers).status_code == 200
        assert alice.get("/payments/pix", bearer(other["key"])).status_code == 401
    assert alice.get("/payments/pix", bearer(test["key"])).status_code == 200


def test_a_list_of_test_keys_makes_no_test_half(alice):
    """Reading changes nothing."""
    assert listed(alice, alice.bearer(), "?livemode=false") == []
    with alice.app.app_context(), reading() as work:
        assert work.accounts.find_test_half(work.accounts.by_login("alice").id) is None


def test_a_live_key_gives_a_test_key_no_more_scopes_than_its_own(alice):
    live = bearer(alice.key("account:write", "payments:read")["key"])
    assert make(alice, live, livemode=False, scopes=["refunds:write"]).status_code == 403
    assert make(alice, live, livemode=False, scopes=["payments:read"]).status_code == 201


def test_nobody_manages_the_test_keys_of_another_merchant(alice, bob):
    test = alice.key("payments:read", livemode=False)
    for headers in (bob.bearer(), bearer(bob.key(*SCOPES, livemode=False)["key"])):
        answer = bob.app.test_client().delete(f"/api/keys/{test['id']}", headers=headers)
        assert answer.status_code == 404
        assert test["id"] not in listed(bob, headers, "?livemode=false")
    assert alice.get("/payments/pix", bearer(test["key"])).status_code == 200


@pytest.mark.parametrize("livemode", [None, True, False])
def test_a_repetition_gets_the_same_key(alice, livemode):
    headers = {**alice.bearer(), "Idempotency-Key": "once"}
    body = {} if livemode is None else {"livemode": livemode}
    first, again = (make(alice, headers, **body) for _ in range(2))
    assert first.get_json() == again.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.get_json()["livemode"] is (livemode is not False)
    assert alice.get("/users/me/", bearer(first.get_json()["key"])).status_code == 200


def test_a_repetition_with_another_mode_is_another_request(alice):
    """Or a program would get a live key where it asked for a test key."""
    headers = {**alice.bearer(), "Idempotency-Key": "once"}
    first = make(alice, headers, livemode=False)
    refusal = make(alice, headers)
    assert (first.status_code, refusal.status_code) == (201, 409)
    assert refusal.get_json()["errors"][0]["field"] == "livemode"
    assert make(alice, headers, livemode=True).status_code == 409


def test_both_halves_use_one_idempotency_key_apart(alice):
    test = bearer(alice.key(*OF_SETTINGS, livemode=False)["key"])
    both = [make(alice, {**one, "Idempotency-Key": "k"}) for one in (alice.bearer(), test)]
    assert [one.status_code for one in both] == [201, 201]
    assert [one.get_json()["livemode"] for one in both] == [True, False]


def test_a_stored_key_of_the_wrong_half_is_refused(alice):
    """A row of a copied database must not let a test key move real money, or the reverse."""
    alice.key("payments:read", livemode=False)
    test, live = new_api_key(), new_api_key(live=True)

    def insert(work):
        merchant = work.accounts.by_login("alice")
        half = halves.ensure_test_half(work, merchant)
        for key, account in ((test, merchant), (live, half)):
            row = {"public_id": key_hash(key)[:32], "account_id": account.id}
            more = {"key_sha256": key_hash(key), "prefix": key[:16], "scopes": "payments:read"}
            work.accounts.insert_key({**row, **more, "label": "x", "created_at": work.now})

    with alice.app.app_context():
        in_unit_of_work(insert)
    for key in (test, live):
        answer = alice.get("/payments/pix", bearer(key))
        assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")


def test_a_revoked_test_key_is_refused_at_once(alice):
    test = alice.key("account:write", livemode=False)
    client, headers = alice.app.test_client(), bearer(test["key"])
    assert client.delete(f"/api/keys/{test['id']}", headers=headers).status_code == 200
    assert alice.get("/api/keys", headers).status_code == 401


def test_the_audit_names_who_made_and_revoked_a_test_key(alice):
    """The merchant made it with its session; the test key made another one by itself."""
    test = alice.key(*OF_SETTINGS, livemode=False)
    other = make(alice, bearer(test["key"])).get_json()
    client = alice.app.test_client()
    client.delete(f"/api/keys/{other['id']}", headers=alice.bearer())
    entries = {(row.action, row.subject): row for row in audit_rows(alice.app)}
    with alice.app.app_context(), reading() as work:
        merchant = work.accounts.by_login("alice")
        half = halves.ensure_test_half(work, merchant)
    by_session = entries["key.created", test["id"]]
    assert (by_session.account_id, by_session.details["livemode"]) == (merchant.id, False)
    by_key = entries["key.created", other["id"]]
    assert (by_key.account_id, by_key.details["key"]) == (half.id, test["id"])
    assert entries["key.revoked", other["id"]].account_id == merchant.id


def test_the_last_use_of_a_test_key_is_noted(alice, clock):
    test = alice.key(*OF_SETTINGS, livemode=False)
    clock.advance(minutes=2)
    alice.get("/payments/pix", bearer(test["key"]))
    with alice.app.app_context():
        assert key_uses().write() == 1
    (row,) = alice.get("/api/keys?livemode=false", alice.bearer()).get_json()["data"]
    assert row["last_used_at"] is not None


def test_in_development_all_keys_are_test_keys(app):
    """There is no test half there, and nothing to choose."""
    carol = Person(app, "carol")
    carol.sign_up()
    for body in ({}, {"livemode": False}, {"livemode": None}):
        key = make(carol, carol.bearer(), **body).get_json()
        assert key["key"].startswith("balcao_test_")
        assert key["livemode"] is False
        assert carol.get("/users/me/", bearer(key["key"])).get_json()["username"] == "carol"
    assert len(listed(carol, carol.bearer(), "?livemode=false")) == 3
    for answer in (
        make(carol, carol.bearer(), livemode=True),
        carol.get("/api/keys?livemode=true", carol.bearer()),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (403, "forbidden")
        assert "no live keys in development" in answer.get_json()["detail"]


def test_in_development_a_live_key_is_refused_with_a_true_sentence(app):
    carol = Person(app, "carol")
    answer = carol.get("/payments/pix", bearer(new_api_key(live=True)))
    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")
    assert answer.get_json()["detail"] == (
        "This is a live key: in development only test keys work."
    )


def test_an_administrator_has_no_test_half(alice, production_app):
    """A test key can never do what administrators do."""
    with production_app.app_context():
        in_unit_of_work(
            lambda work: work.accounts.change(work.accounts.by_login("alice").id, {"role": "admin"})
        )
    answer = make(alice, alice.bearer(), livemode=False)
    assert answer.status_code == 403, answer.text
    with production_app.app_context(), reading() as work:
        assert work.accounts.find_test_half(work.accounts.by_login("alice").id) is None
