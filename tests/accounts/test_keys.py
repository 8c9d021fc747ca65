"""API keys: shown once, limited by scopes, noted when used, revoked for good."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from accounts.keys import SCOPES, key_hash, key_uses
from db_models import ApiKey
from repository.database import in_unit_of_work, reading
from tests.accounts.people import PASSWORD, Person, bearer
from tests.support.service import close_app, ready_app, settings_for

# What needs which scope; a key with every other one is refused.
NEEDS = [
    ("GET", "/payments/pix", "payments:read"),
    ("GET", "/payments/pix/receipts", "payments:read"),
    ("POST", "/payments/pix", "payments:write"),
    ("POST", "/payments/pix/{payment}/cancel", "payments:write"),
    ("GET", "/api/keys", "account:write"),
    ("POST", "/api/keys", "account:write"),
    ("DELETE", "/api/keys/{key}", "account:write"),
    ("GET", "/api/sessions", "account:write"),
    ("DELETE", "/api/sessions", "account:write"),
]


def rows(app):
    """Every key that is stored."""
    with app.app_context(), reading() as work:
        return work.session.scalars(sa.select(ApiKey).order_by(ApiKey.id)).all()


def test_a_key_is_shown_once_and_kept_as_its_hash(alice):
    """Whoever reads the table, a backup or a later answer cannot use it."""
    made = alice.key("payments:read", label="caixa 1")
    assert made["key"].startswith("balcao_test_")
    assert len(made["key"]) >= len("balcao_test_") + 43
    (row,) = rows(alice.app)
    assert row.key_sha256 == key_hash(made["key"])
    assert made["prefix"] == row.prefix == made["key"][: len("balcao_test_") + 4]
    listed = alice.get("/api/keys", alice.bearer())
    assert made["key"] not in listed.text
    (shown,) = listed.get_json()["data"]
    assert shown == {name: value for name, value in made.items() if name != "key"}
    assert (shown["label"], shown["mode"]) == ("caixa 1", "test")
    assert shown["scopes"] == ["payments:read"]


def test_live_keys_look_different_and_the_two_kinds_are_apart(tmp_path, fresh_database, clock):
    """A key from a developer's notes must not move money, nor a live one be tried out."""
    url = fresh_database("sqlite")
    live_settings = settings_for(
        url, tmp_path, app_env="production", public_url="https://shop.example"
    )
    live = ready_app(live_settings, clock)
    test = ready_app(settings_for(url, tmp_path), clock)
    try:
        alice = Person(live, "alice")
        alice.sign_up()
        live_key = alice.key("payments:read")
        assert live_key["mode"] == "live"
        assert live_key["key"].startswith("balcao_live_")
        tried = Person(test, "alice")
        test_key = tried.key("payments:read")
        assert alice.get("/payments/pix", bearer(live_key["key"])).status_code == 200
        assert alice.get("/payments/pix", bearer(test_key["key"])).status_code == 401
        assert tried.get("/payments/pix", bearer(test_key["key"])).status_code == 200
        assert tried.get("/payments/pix", bearer(live_key["key"])).status_code == 401
    finally:
        close_app(live)
        close_app(test)


@pytest.mark.parametrize(("method", "path", "scope"), NEEDS)
def test_a_key_does_what_its_scopes_say_and_nothing_else(alice, method, path, scope):
    """The key of a display in the shop cannot cancel, and the one of the till makes no keys."""
    payment = alice.post("/payments/pix", json={"value": 1}, headers=alice.bearer())
    spare = alice.key("payments:read")
    path = path.format(payment=payment.get_json()["payment"]["id"], key=spare["id"])
    body: dict[str, Any] = {}
    if method == "POST":
        body = {"json": {"value": 1} if path == "/payments/pix" else {}}
    others = [one for one in SCOPES if one != scope]
    client = alice.app.test_client()
    without, right = alice.key(*others), alice.key(scope)
    refused = client.open(path, method=method, headers=bearer(without["key"]), **body)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "forbidden"), path
    assert scope in refused.get_json()["detail"]
    if path == "/api/keys" and method == "POST":
        body = {"json": {"scopes": [scope]}}
    done = client.open(path, method=method, headers=bearer(right["key"]), **body)
    assert done.status_code in (200, 201), done.text


def test_a_key_makes_no_key_that_may_do_more_than_itself(alice):
    """Else the scope for settings would be the scope for everything."""
    key = bearer(alice.key("account:write", "payments:read")["key"])
    refused = alice.post("/api/keys", json={"scopes": ["refunds:write"]}, headers=key)
    assert refused.status_code == 403
    assert alice.post("/api/keys", json={}, headers=key).status_code == 403
    made = alice.post("/api/keys", json={"scopes": ["payments:read"]}, headers=key)
    assert made.status_code == 201


def test_a_key_is_no_person(alice):
    """It changes no password and signs nobody out of itself."""
    key = bearer(alice.key(*SCOPES)["key"])
    body = {"current_password": PASSWORD, "new_password": "another password"}
    assert alice.post("/users/me/password", json=body, headers=key).status_code == 403
    assert alice.post("/api/logout", headers=key).status_code == 400
    assert alice.get("/users/me/", key).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"scopes": []},
        {"scopes": ["everything"]},
        {"scopes": ["payments:read", "payments:read"]},
        {"scopes": "payments:read"},
        {"label": ""},
        {"label": "x" * 61},
        {"label": "a\x00b"},
        {"mode": "live"},
    ],
)
def test_a_key_that_is_asked_for_wrongly_is_not_made(alice, body):
    """A key with no scope, or one nobody knows, is a mistake that is better found at once."""
    answer = alice.post("/api/keys", json=body, headers=alice.bearer())
    assert answer.status_code == 400
    assert rows(alice.app) == []


def test_a_revoked_key_opens_nothing_and_stays_in_the_list(alice):
    """Revoking twice is no error: the one who pressed twice wants it gone."""
    key, kept = alice.key("payments:read"), alice.key("payments:read")
    client = alice.app.test_client()
    for _ in range(2):
        ended = client.delete(f"/api/keys/{key['id']}", headers=alice.bearer())
        assert ended.status_code == 200
    assert alice.get("/payments/pix", bearer(key["key"])).status_code == 401
    assert alice.get("/payments/pix", bearer(kept["key"])).status_code == 200
    shown = alice.get("/api/keys", alice.bearer()).get_json()["data"]
    assert [one["revoked_at"] is None for one in shown] == [True, False]


def test_a_strangers_keys_and_sessions_are_not_there(alice):
    """Charlie gets 404 for what is Alice's, as for what never was."""
    charlie = Person(alice.app, "charlie")
    charlie.sign_up()
    key, header = alice.key("payments:read"), charlie.bearer()
    (session, *_) = alice.get("/api/sessions", alice.bearer()).get_json()["data"]
    client = alice.app.test_client()
    for path in (f"/api/keys/{key['id']}", f"/api/sessions/{session['id']}"):
        assert client.delete(path, headers=header).status_code == 404
        assert client.delete(path[:-32] + "0" * 32, headers=header).status_code == 404
        assert client.delete(path[:-32] + "' OR 1=1", headers=header).status_code == 404
    assert charlie.get("/api/keys", header).get_json()["data"] == []
    assert alice.get("/payments/pix", bearer(key["key"])).status_code == 200


def test_the_list_goes_page_by_page(alice):
    """Newest first; the cursor of another list is refused."""
    header = alice.bearer()
    made = [alice.key("payments:read", label=f"key {n}")["id"] for n in range(5)]
    seen, after = [], ""
    while True:
        page = alice.get(f"/api/keys?limit=2{after}", header).get_json()
        seen += [key["id"] for key in page["data"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == made[::-1]
    assert alice.get("/api/keys?after=nonsense", header).status_code == 400
    assert alice.get("/api/keys?limit=0", header).status_code == 400
    assert alice.get("/api/keys?limit=101", header).status_code == 400
    assert alice.get("/api/keys?page=2", header).status_code == 400


def test_an_account_has_so_many_keys_and_no_more(alice, monkeypatch):
    """A program that makes a key at each start is found out."""
    monkeypatch.setattr("accounts.service.KEYS_MAX", 2)
    header = alice.bearer()
    made = [alice.key("payments:read") for _ in range(2)]
    assert alice.post("/api/keys", json={}, headers=header).status_code == 409
    alice.app.test_client().delete(f"/api/keys/{made[0]['id']}", headers=header)
    assert alice.post("/api/keys", json={}, headers=header).status_code == 201


def test_the_last_use_is_kept_to_the_minute_and_no_request_waits_for_it(alice, clock):
    """Reading writes nothing; what was noted is written in one go, at most once a minute each."""
    key = alice.key("payments:read")

    def used():
        alice.get("/payments/pix", bearer(key["key"]))
        before = rows(alice.app)[0].last_used_at
        with alice.app.app_context():
            key_uses().write()
        return before, rows(alice.app)[0].last_used_at

    first = clock.now()
    assert used() == (None, first)
    clock.advance(seconds=59.9)
    assert used() == (first, first)
    clock.advance(seconds=0.1)
    assert used() == (first, first + timedelta(seconds=60))
    shown = alice.get("/api/keys", alice.bearer()).get_json()["data"][0]["last_used_at"]
    assert shown == "2026-11-20T15:01:00.000Z"


def test_two_processes_that_used_a_key_write_the_later_time_once_a_minute(alice, clock):
    """The row decides: a process that did not see the other's write overwrites nothing."""
    alice.key("payments:read")
    (row,) = rows(alice.app)
    at = clock.now()

    def used_at(moment):
        with alice.app.app_context():
            in_unit_of_work(lambda work: work.accounts.note_key_use(row.id, moment))

    for seconds in (0, 30, 59, 60):
        used_at(at + timedelta(seconds=seconds))
    assert rows(alice.app)[0].last_used_at == at + timedelta(seconds=60)


def test_keys_from_before_there_were_kinds_still_open(alice):
    """An upgrade must not close every shop."""
    old = "balcao_" + "a" * 43
    with alice.app.app_context():
        in_unit_of_work(
            lambda work: work.accounts.insert_key(
                {
                    "account_id": work.accounts.by_login("alice").id,
                    "key_sha256": key_hash(old),
                    "prefix": "balcao_",
                    "scopes": " ".join(SCOPES),
                    "label": "old",
                    "created_at": work.now,
                }
            )
        )
    assert alice.post("/payments/pix", json={"value": 1}, headers=bearer(old)).status_code == 201
    assert alice.get("/api/keys", bearer(old)).get_json()["data"][0]["mode"] is None


def test_the_same_key_is_answered_again_under_its_idempotency_key(alice):
    """The answer that was lost held the only copy; nothing that is stored gives it away."""
    header = {**alice.bearer(), "Idempotency-Key": "till-1"}
    body = {"label": "till", "scopes": ["payments:read"]}
    first = alice.post("/api/keys", json=body, headers=header)
    again = alice.post("/api/keys", json=body, headers=header)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.get_json() == first.get_json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(rows(alice.app)) == 1
    key = first.get_json()["key"]
    assert alice.get("/payments/pix", bearer(key)).status_code == 200
    with alice.app.app_context(), reading() as work:
        kept = work.idempotent_requests.find(work.accounts.by_login("alice").id, "till-1")
    assert kept is not None
    assert key.removeprefix("balcao_test_") not in str(kept.answer) + str(kept.request)
    other = alice.post("/api/keys", json={**body, "label": "door"}, headers=header)
    assert (other.status_code, other.get_json()["code"]) == (409, "idempotency-conflict")
    alice.app.test_client().delete(f"/api/keys/{first.get_json()['id']}", headers=header)
    gone = alice.post("/api/keys", json=body, headers=header)
    assert (gone.status_code, gone.get_json()["code"]) == (409, "conflict")


def test_another_account_under_the_same_idempotency_key_gets_another_key(alice):
    """Idempotency keys are each account's own."""
    charlie = Person(alice.app, "charlie")
    charlie.sign_up()
    made = []
    for shop in (alice, charlie):
        header = {**shop.bearer(), "Idempotency-Key": "1"}
        made.append(shop.post("/api/keys", json={}, headers=header).get_json()["key"])
    assert made[0] != made[1]
    assert charlie.get("/users/me/", bearer(made[1])).get_json()["username"] == "charlie"
