"""Credentials that a process remembers are refused as soon as any process has ended them."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from functools import partial
from urllib.parse import urlencode

import pytest

from config import parts_of
from core.clock import SystemClock
from db_models import ApiKey
from repository import recent_callers
from repository.database import in_unit_of_work
from repository.recent_callers import RecentCallers
from tests.accounts.people import PASSWORD, Person, bearer
from tests.db.crowd import at_once
from tests.db.tables import NOON
from tests.support.service import ServiceProcess, close_app, ready_app, settings_for

BODY = json.dumps({"value": 10}).encode()
HEARD_SECONDS = 20
"""Far longer than a message takes, on the busiest machine."""


class Lookups:
    """A look-up that counts its calls."""

    def __init__(self, answer="alice"):
        self.answer, self.calls = answer, 0

    def __call__(self):
        self.calls += 1
        return self.answer


def hearing():
    """A memory whose process hears of changes."""
    callers = RecentCallers()
    callers.hears = lambda: True
    return callers


def test_a_process_that_hears_nothing_looks_up_each_time():
    """Only the database knows what another process has revoked."""
    callers, look_up = hearing(), Lookups()
    callers.hears = lambda: False
    assert [callers.find("k", NOON, look_up, callers.answers) for _ in range(3)] == ["alice"] * 3
    assert look_up.calls == 3


def test_a_look_up_is_reused_until_it_is_old_or_something_changes(monkeypatch):
    """By the clock that never jumps and by the wall clock, by which sign-ins end."""
    callers, look_up = hearing(), Lookups()
    moment = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: moment)
    find = partial(callers.find, "k", look_up=look_up, cache=callers.answers)
    find(NOON)
    find(NOON + timedelta(seconds=1.9))
    assert look_up.calls == 1
    for later in (timedelta(seconds=2), timedelta(seconds=-1)):
        find(NOON + later)
    assert look_up.calls == 3
    moment = 2.0
    find(NOON - timedelta(seconds=1))
    assert look_up.calls == 4
    callers.forget()
    find(NOON - timedelta(seconds=1))
    assert look_up.calls == 5


def test_invalid_credentials_are_looked_up_each_time():
    """A key that was just made works at once."""
    callers, look_up = hearing(), Lookups(None)
    assert [callers.find("k", NOON, look_up, callers.answers) for _ in range(2)] == [None, None]
    assert look_up.calls == 2


def test_a_look_up_that_a_revocation_overtakes_is_not_reused():
    """The statement saw the valid key, and the revocation was heard before it was remembered."""
    callers = hearing()

    def overtaken():
        callers.forget()
        return "alice"

    assert callers.find("k", NOON, overtaken, callers.answers) == "alice"
    look_up = Lookups(None)
    assert callers.find("k", NOON, look_up, callers.answers) is None
    assert look_up.calls == 1


def test_a_unit_of_work_that_began_before_a_change_remembers_nothing():
    """On SQLite it goes on reading the rows of its beginning, so it finds the revoked key."""
    callers = hearing()
    answers_at_beginning = callers.answers
    callers.forget()
    assert callers.find("k", NOON, Lookups("alice"), answers_at_beginning) == "alice"
    assert callers.find("k", NOON, Lookups(None), callers.answers) is None
    assert callers.find("k", NOON, Lookups(None), answers_at_beginning) is None


def test_the_memory_is_bounded(monkeypatch):
    """A client with many valid keys must not fill the memory."""
    monkeypatch.setattr(recent_callers, "_CALLERS_MAX", 3)
    callers = hearing()
    for number in range(10):
        callers.find(number, NOON, Lookups(), callers.answers)
    assert len(callers.answers) <= 3


@pytest.fixture
def two(tmp_path, fresh_database, redis_url, monkeypatch):
    """Two apps on one database and one Redis that remember for an hour.

    So an answer that changes has changed because the message was heard.
    """
    monkeypatch.setattr(recent_callers, "CALLERS_SECONDS", 3600.0)
    monkeypatch.setattr(recent_callers, "_AGE_MAX", timedelta(hours=1))
    settings = settings_for(fresh_database("sqlite"), tmp_path, redis_url=redis_url)
    apps = [ready_app(settings, SystemClock()) for _ in range(2)]
    for app in apps:
        with app.app_context():
            wait_until(parts_of(app).ledger.callers.hears)
    yield apps
    for app in apps:
        close_app(app)


def wait_until(is_so):
    """Wait for something that comes soon."""
    limit = time.monotonic() + HEARD_SECONDS
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.fixture
def alice(two):
    """Alice at the first app, with credentials that the second one has just used."""
    person = Person(two[0], "alice")
    person.sign_up()
    return person


def status(app, headers, path="/users/me/"):
    """The status of a request with these credentials."""
    return app.test_client().get(path, headers=headers).status_code


def lookup_count(app):
    """How many look-ups the app may reuse."""
    return len(parts_of(app).ledger.callers.answers)


def assert_soon_refused(two, headers, end, path="/users/me/"):
    """Use credentials in both apps, end them, and see both refuse them: the first one at once."""
    first, second = two
    assert [status(app, headers, path) for app in (*two, *two)] == [200] * 4
    assert lookup_count(second) > 0
    end()
    assert status(first, headers, path) == 401
    wait_until(lambda: status(second, headers, path) == 401)


@pytest.mark.redis
def test_a_revoked_key_is_refused(two, alice):
    """The owner has seen it in a log, and a thief may use it at the other process."""
    key, own = alice.key("payments:read"), alice.bearer()

    def revoke():
        path = f"/api/keys/{key['id']}"
        assert two[0].test_client().delete(path, headers=own).status_code == 200

    assert_soon_refused(two, bearer(key["key"]), revoke, "/payments/pix")


@pytest.mark.redis
def test_an_ended_sign_in_is_refused(two, alice):
    """By its owner's sign-out."""
    own = alice.bearer()

    def sign_out():
        assert alice.post("/api/logout", headers=own).status_code in (200, 204)

    assert_soon_refused(two, own, sign_out)


@pytest.mark.redis
@pytest.mark.parametrize("kind", ["key", "sign-in"])
def test_a_disabled_account_is_refused_by_the_terminals_command(two, alice, kind):
    """The command is a process of its own, which only publishes."""
    headers = bearer(alice.key("payments:read")["key"]) if kind == "key" else alice.bearer()
    path = "/payments/pix" if kind == "key" else "/users/me/"
    first, second = two

    def disable():
        answer = first.test_cli_runner().invoke(args=["accounts", "disable", "alice"])
        assert answer.exit_code == 0, answer.output

    assert_soon_refused((first, second), headers, disable, path)


@pytest.mark.redis
def test_a_changed_password_ends_what_the_other_process_remembers(two, alice):
    """All other sign-ins end with it."""
    own, other = alice.bearer(), alice.bearer()

    def change():
        body = {"current_password": PASSWORD, "new_password": "another horse battery"}
        answer = alice.post("/users/me/password", json=body, headers=own)
        assert answer.status_code == 200, answer.text

    assert_soon_refused(two, other, change)


@pytest.mark.redis
def test_a_changed_scope_and_a_changed_name_are_seen(two, alice):
    """What is remembered is the whole answer of the database, not only that it was valid."""
    key = alice.key("payments:read", "payments:write")["key"]
    first, second = two
    for app in two:
        assert status(app, bearer(key), "/payments/pix") == 200

    def narrow(work):
        work.session.query(ApiKey).update({"scopes": "refunds:write"})

    with first.app_context():
        in_unit_of_work(narrow)
    assert status(first, bearer(key), "/payments/pix") == 403
    wait_until(lambda: status(second, bearer(key), "/payments/pix") == 403)


@pytest.mark.redis
def test_a_client_of_api_pix_is_refused_when_it_is_revoked(two):
    """Its tokens have no rows; only the client has."""
    settings = two[0].config["BALCAO"]
    form = {"grant_type": "client_credentials"}
    auth = (settings.demo_client_id, settings.demo_client_secret)
    answer = two[0].test_client().post("/api-pix/oauth/token", data=form, auth=auth)
    assert answer.status_code == 200, answer.text
    headers = bearer(answer.json["access_token"])
    path = "/api-pix/cob?inicio=2026-01-01T00:00:00Z&fim=2026-01-02T00:00:00Z"

    def revoke():
        def by_id(work):
            client = work.oauth_clients.find(settings.demo_client_id)
            assert work.oauth_clients.revoke(client.id, work.now)

        with two[0].app_context():
            in_unit_of_work(by_id)

    assert_soon_refused(two, headers, revoke, path)


@pytest.mark.redis
def test_a_change_that_is_rolled_back_or_touches_nobody_disturbs_nothing(two, alice):
    """A payment is no change of callers; its creation must not empty the memory."""
    own = alice.bearer()
    assert status(two[0], own) == 200
    before = lookup_count(two[0])
    assert before > 0
    assert two[0].test_client().post("/payments/pix", json={"value": 10}).status_code == 201
    assert lookup_count(two[0]) == before


@pytest.mark.redis
@pytest.mark.slow
def test_without_redis_two_processes_forget_within_seconds(module_server, fresh_database, tmp_path):
    """Redis dies, the key is revoked at one process, and the other one asks the database again."""
    redis = module_server("redis")
    shared = {"REDIS_URL": redis.url, "DATABASE_URL": fresh_database("mysql")}
    with (
        ServiceProcess(tmp_path / "one", **shared) as one,
        ServiceProcess(tmp_path / "two", PUBLIC_URL=one.url, **shared) as two,
    ):
        person = Session(one)
        for redis_is_there in (True, False):
            key = person.key()
            for _ in range(20):
                assert two.request("GET", "/payments/pix", headers=bearer(key["key"]))[0] == 200
            if not redis_is_there:
                redis.kill()
            path = f"/api/keys/{key['id']}"
            assert one.request("DELETE", path, headers=person.headers)[0] == 200
            refused = partial(two.request, "GET", "/payments/pix", headers=bearer(key["key"]))
            assert one.request("GET", "/payments/pix", headers=bearer(key["key"]))[0] == 401
            wait_until(lambda refused=refused: refused()[0] == 401)


@pytest.mark.mysql
@pytest.mark.slow
def test_without_redis_a_process_stores_nothing_after_another_one_has_revoked_the_key(
    fresh_database, tmp_path
):
    """Both remember the key, and clients send creations to both, in greenlets of their hubs."""
    shared = {"DATABASE_URL": fresh_database("mysql")}
    with (
        ServiceProcess(tmp_path / "one", **shared) as one,
        ServiceProcess(tmp_path / "two", PUBLIC_URL=one.url, **shared) as two,
    ):
        person = Session(one)
        for _ in range(3):
            race_of_creators(person, person.key("payments:write"), (one, two))


def race_of_creators(person, key, both):
    """Creators at two processes; the first one revokes their key meanwhile."""
    headers = {**bearer(key["key"]), "Content-Type": "application/json"}
    answers, revoked_at, is_over = [], [], threading.Event()

    def create(process):
        while not is_over.is_set():
            sent_at = time.monotonic()
            answers.append((sent_at, process.request("POST", "/payments/pix", BODY, headers)[0]))

    def revoke():
        try:
            wait_until(lambda: len(answers) > 60)
            path = f"/api/keys/{key['id']}"
            assert both[0].request("DELETE", path, headers=person.headers)[0] == 200
            revoked_at.append(time.monotonic())
            before = len(answers)
            wait_until(lambda: len(answers) > before + 60)
        finally:
            is_over.set()

    at_once([revoke, *(partial(create, process) for process in both * 3)])
    assert {status for _, status in answers} == {201, 401}
    assert [sent for sent, status in answers if status == 201 and sent > revoked_at[0]] == []


class Session:
    """Alice as a program at a process."""

    def __init__(self, process):
        self._process = process
        self._post("/users/", {"username": "alice", "password": PASSWORD})
        form = urlencode({"username": "alice", "password": PASSWORD}).encode()
        sent = {"Content-Type": "application/x-www-form-urlencoded"}
        _, answer, _ = process.request("POST", "/token", form, sent)
        self.headers = bearer(json.loads(answer)["access_token"])

    def key(self, scope="payments:read"):
        """A new API key."""
        return self._post("/api/keys", {"scopes": [scope]}, self.headers)

    def _post(self, path, body, headers=None):
        sent = {"Content-Type": "application/json", **(headers or {})}
        status, answer, _ = self._process.request("POST", path, json.dumps(body).encode(), sent)
        assert status == 201, answer
        return json.loads(answer)
