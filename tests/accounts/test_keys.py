"""API keys: shown once, limited by scopes, with their last use, revoked for good."""

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

# The scope that each route needs; a key with all other scopes is refused.
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
    """The stored keys."""
    with app.app_context(), reading() as work:
        return work.session.scalars(sa.select(ApiKey).order_by(ApiKey.id)).all()


def test_a_key_is_shown_once_and_kept_as_its_hash(alice):
    """The table, a backup or a later answer must not give a usable key away."""
    key = alice.key("payments:read", label="caixa 1")
    assert key["key"].startswith("balcao_test_")
    assert len(key["key"]) >= len("balcao_test_") + 43
    (row,) = rows(alice.app)
    assert row.key_sha256 == key_hash(key["key"])
    assert key["prefix"] == row.prefix == key["key"][: len("balcao_test_") + 4]
    listed = alice.get("/api/keys", alice.bearer())
    assert key["key"] not in listed.text
    (item,) = listed.get_json()["data"]
    assert item == {name: value for name, value in key.items() if name != "key"}
    assert (item["label"], item["mode"]) == ("caixa 1", "test")
    assert item["scopes"] == ["payments:read"]


def test_live_and_test_keys_differ_and_each_profile_refuses_the_other(
    tmp_path, fresh_database, clock
):
    """A developer's test key must not move money, and a live key must not be used for tests."""
    url = fresh_database("sqlite")
    live_settings = settings_for(
        url, tmp_path, app_env="production", public_url="https://shop.example", sign_up="open"
    )
    live = ready_app(live_settings, clock)
    test = ready_app(settings_for(url, tmp_path), clock)
    try:
        alice = Person(live, "alice")
        alice.sign_up()
        live_key = alice.key("payments:read")
        assert live_key["mode"] == "live"
        assert live_key["key"].startswith("balcao_live_")
        developer = Person(test, "alice")
        test_key = developer.key("payments:read")
        assert alice.get("/payments/pix", bearer(live_key["key"])).status_code == 200
        assert alice.get("/payments/pix", bearer(test_key["key"])).status_code == 401
        assert developer.get("/payments/pix", bearer(test_key["key"])).status_code == 200
        assert developer.get("/payments/pix", bearer(live_key["key"])).status_code == 401
    finally:
        close_app(live)
        close_app(test)


@pytest.mark.parametrize(("method", "path", "scope"), NEEDS)
def test_a_key_does_what_its_scopes_say_and_nothing_else(alice, method, path, scope):
    """The key of a shop's display cannot cancel, and the key of the till makes no keys."""
    payment = alice.post("/payments/pix", json={"value": 1}, headers=alice.bearer())
    spare = alice.key("payments:read")
    path = path.format(payment=payment.get_json()["payment"]["id"], key=spare["id"])
    body: dict[str, Any] = {}
    if method == "POST":
        body = {"json": {"value": 1} if path == "/payments/pix" else {}}
    others = [name for name in SCOPES if name != scope]
    client = alice.app.test_client()
    without, right = alice.key(*others), alice.key(scope)
    refusal = client.open(path, method=method, headers=bearer(without["key"]), **body)
    assert (refusal.status_code, refusal.get_json()["code"]) == (403, "forbidden"), path
    assert scope in refusal.get_json()["detail"]
    if path == "/api/keys" and method == "POST":
        body = {"json": {"scopes": [scope]}}
    answer = client.open(path, method=method, headers=bearer(right["key"]), **body)
    assert answer.status_code in (200, 201), answer.text


def test_a_key_makes_no_key_that_may_do_more_than_itself(alice):
    """Otherwise the scope for settings would include all scopes."""
    key = bearer(alice.key("account:write", "payments:read")["key"])
    refusal = alice.post("/api/keys", json={"scopes": ["refunds:write"]}, headers=key)
    assert refusal.status_code == 403
    assert alice.post("/api/keys", json={}, headers=key).status_code == 403
    answer = alice.post("/api/keys", json={"scopes": ["payments:read"]}, headers=key)
    assert answer.status_code == 201


def test_a_key_cannot_change_the_password_or_sign_out(alice):
    """A key has no password and no session."""
    key = bearer(alice.key(*SCOPES)["key"])
    body = {"current_password": PASSWORD, "new_password": "another password"}
    assert alice.post("/users/me/password", json=body, headers=key).status_code == 403
    assert alice.post("/api/logout", headers=key).status_code == 403
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
def test_an_invalid_request_makes_no_key(alice, body):
    """A key without scopes, or with an unknown scope, would fail later."""
    answer = alice.post("/api/keys", json=body, headers=alice.bearer())
    assert answer.status_code == 400
    assert rows(alice.app) == []


def test_a_revoked_key_is_refused_and_stays_in_the_list(alice):
    """Revoking twice is no error, because people press twice."""
    key, other = alice.key("payments:read"), alice.key("payments:read")
    client = alice.app.test_client()
    for _ in range(2):
        ended = client.delete(f"/api/keys/{key['id']}", headers=alice.bearer())
        assert ended.status_code == 200
    assert alice.get("/payments/pix", bearer(key["key"])).status_code == 401
    assert alice.get("/payments/pix", bearer(other["key"])).status_code == 200
    items = alice.get("/api/keys", alice.bearer()).get_json()["data"]
    assert [item["revoked_at"] is None for item in items] == [True, False]


def test_another_accounts_keys_and_sessions_are_a_404(alice):
    """Charlie gets the same 404 for Alice's ids as for ids that never existed."""
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
    ids = [alice.key("payments:read", label=f"key {n}")["id"] for n in range(5)]
    listed, after = [], ""
    while True:
        page = alice.get(f"/api/keys?limit=2{after}", header).get_json()
        listed += [key["id"] for key in page["data"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert listed == ids[::-1]
    assert alice.get("/api/keys?after=nonsense", header).status_code == 400
    assert alice.get("/api/keys?limit=0", header).status_code == 400
    assert alice.get("/api/keys?limit=101", header).status_code == 400
    assert alice.get("/api/keys?page=2", header).status_code == 400


def test_an_account_has_at_most_keys_max_keys(alice, monkeypatch):
    """A program that makes a key at each start is stopped."""
    monkeypatch.setattr("accounts.service.KEYS_MAX", 2)
    header = alice.bearer()
    keys = [alice.key("payments:read") for _ in range(2)]
    assert alice.post("/api/keys", json={}, headers=header).status_code == 409
    alice.app.test_client().delete(f"/api/keys/{keys[0]['id']}", headers=header)
    assert alice.post("/api/keys", json={}, headers=header).status_code == 201


def test_the_last_use_is_kept_to_the_minute_and_no_request_waits_for_it(alice, clock):
    """A request writes nothing; the job writes all uses at once, each key once a minute."""
    key = alice.key("payments:read")

    def use():
        alice.get("/payments/pix", bearer(key["key"]))
        before = rows(alice.app)[0].last_used_at
        with alice.app.app_context():
            key_uses().write()
        return before, rows(alice.app)[0].last_used_at

    first = clock.now()
    assert use() == (None, first)
    clock.advance(seconds=59.9)
    assert use() == (first, first)
    clock.advance(seconds=0.1)
    assert use() == (first, first + timedelta(seconds=60))
    last_use = alice.get("/api/keys", alice.bearer()).get_json()["data"][0]["last_used_at"]
    assert last_use == "2026-11-20T15:01:00.000Z"


def test_two_processes_that_used_a_key_write_the_later_time_once_a_minute(alice, clock):
    """A process that did not see the other's write must not overwrite it."""
    alice.key("payments:read")
    (row,) = rows(alice.app)
    at = clock.now()

    def note_use(moment):
        with alice.app.app_context():
            in_unit_of_work(lambda work: work.accounts.note_key_use(row.id, moment))

    for seconds in (0, 30, 59, 60):
        note_use(at + timedelta(seconds=seconds))
    assert rows(alice.app)[0].last_used_at == at + timedelta(seconds=60)


def test_old_keys_without_live_or_test_still_work(alice):
    """An upgrade must not lock every shop out."""
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


def test_a_repetition_under_the_idempotency_key_gets_the_same_key(alice):
    """A lost answer held the only copy of the key; what is stored does not reveal the key."""
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
        row = work.idempotent_requests.find(work.accounts.by_login("alice").id, "till-1")
    assert row is not None
    assert key.removeprefix("balcao_test_") not in str(row.answer) + str(row.request)
    other = alice.post("/api/keys", json={**body, "label": "door"}, headers=header)
    assert (other.status_code, other.get_json()["code"]) == (409, "idempotency-conflict")
    alice.app.test_client().delete(f"/api/keys/{first.get_json()['id']}", headers=header)
    refusal = alice.post("/api/keys", json=body, headers=header)
    assert (refusal.status_code, refusal.get_json()["code"]) == (409, "conflict")


def test_another_account_under_the_same_idempotency_key_gets_another_key(alice):
    """Each account has its own idempotency keys."""
    charlie = Person(alice.app, "charlie")
    charlie.sign_up()
    keys = []
    for shop in (alice, charlie):
        header = {**shop.bearer(), "Idempotency-Key": "1"}
        keys.append(shop.post("/api/keys", json={}, headers=header).get_json()["key"])
    assert keys[0] != keys[1]
    assert charlie.get("/users/me/", bearer(keys[1])).get_json()["username"] == "charlie"
