"""Password guessing is slow, and an attacker cannot lock out the owner."""

from __future__ import annotations

import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.runtime.offload import Places
from tests.accounts.people import PASSWORD, Person, actions
from tests.support.service import close_app, ready_app, settings_for
from web.limits import limits

OWN, OTHER = "192.0.2.1", "192.0.2.99"


@pytest.fixture
def strict(tmp_path, fresh_database, clock):
    """A service with low limits: 3 for login and address, 6 for an address, 8 for a login."""
    settings = settings_for(
        fresh_database("sqlite"),
        tmp_path,
        sign_in_tries_max=3,
        sign_in_tries_per_address_max=6,
        sign_in_tries_per_login_max=8,
        sign_ups_per_address_max=1000,
    )
    app = ready_app(settings, clock)
    yield app
    close_app(app)


def guess(app, login, address, times=1, password="a guess"):
    """Try a password from an address; return the last answer."""
    person = Person(app, login, address=address)
    for _ in range(times):
        answer = person.ask_tokens(username=login, password=password)
    return answer


def test_the_attempts_for_a_login_from_one_address_are_limited(strict):
    """Three attempts are answered; the fourth must wait, and learns how long."""
    Person(strict, "alice").sign_up()
    assert guess(strict, "alice", OTHER, 3).status_code == 401
    refusal = guess(strict, "alice", OTHER)
    assert (refusal.status_code, refusal.get_json()["code"]) == (429, "too-many-requests")
    assert 890 <= int(refusal.headers["Retry-After"]) <= 900
    assert guess(strict, "alice", OTHER, password=PASSWORD).status_code == 429


def test_another_spelling_of_the_login_is_no_further_attempt(strict):
    """`Alice` and `alice ` sign in as `alice`, so they share the guesses at her password."""
    Person(strict, "alice").sign_up()
    for spelling in ("alice", "Alice", "alice "):
        assert guess(strict, spelling, OTHER).status_code == 401
    for spelling in ("ALICE", "ali\u200bce", "\uff41lice"):
        assert guess(strict, spelling, OTHER).status_code == 429


def test_wrong_passwords_from_another_address_do_not_lock_the_owner_out(strict):
    """A rival may try wrong passwords for the shop next door all day."""
    alice = Person(strict, "alice", address=OWN)
    alice.sign_up()
    guess(strict, "alice", OTHER, 20)
    assert alice.ask_tokens().status_code == 200


def test_a_right_password_resets_the_count(strict):
    """An occasional typing mistake never reaches the limit."""
    alice = Person(strict, "alice", address=OWN)
    alice.sign_up()
    for _ in range(2):
        guess(strict, "alice", OWN, 2)
        assert alice.ask_tokens().status_code == 200
    for _ in range(10):
        assert alice.ask_tokens().status_code == 200


def test_an_address_that_guesses_at_many_logins_waits(strict):
    """An attacker may try one password for many logins."""
    for number in range(6):
        assert guess(strict, f"shop{number}", OTHER).status_code == 401
    assert guess(strict, "shop6", OTHER).status_code == 429
    assert guess(strict, "shop6", OWN).status_code == 401


def test_while_many_addresses_guess_at_a_login_each_address_has_two_attempts(strict):
    """A botnet gets two attempts per address, and so does the owner."""
    Person(strict, "alice").sign_up()
    for number in range(4):
        assert guess(strict, "alice", f"198.51.100.{number}", 2).status_code == 401
    assert guess(strict, "alice", "203.0.113.5", 2).status_code == 401
    assert guess(strict, "alice", "203.0.113.5").status_code == 429
    anywhere = Person(strict, "alice", address="203.0.113.77")
    assert anywhere.ask_tokens().status_code == 200
    assert (
        guess(strict, "bob", "203.0.113.6", 3).status_code == 401
    )  # other logins are not affected


def test_a_browser_that_signed_in_before_has_its_own_count(strict):
    """An attacker in the same office, with the same address, fills every other count."""
    alice = Person(strict, "alice", address=OWN)
    alice.sign_up()
    browser = alice.enter()
    browser.post("/api/logout", headers=alice.with_csrf())
    guess(strict, "alice", OWN, 10)
    for number in range(10):
        guess(strict, f"shop{number}", OWN)
    assert alice.ask_tokens().status_code == 429  # without the device cookie
    body = {"login": "alice", "password": PASSWORD}
    options = {"json": body, "environ_overrides": {"REMOTE_ADDR": OWN}}
    assert browser.post("/api/login", **options).status_code == 200


def test_a_copied_device_cookie_allows_only_a_few_guesses(strict):
    """Three for its login; none for another login, and none if it was changed."""
    alice = Person(strict, "alice", address=OWN)
    alice.sign_up()
    browser = alice.enter()
    cookie = browser.get_cookie("device")
    assert cookie is not None
    mark = cookie.value

    def status_of_guesses(login, cookie, times):
        client = strict.test_client()
        client.set_cookie("device", cookie)
        for _ in range(times):
            answer = client.post(
                "/api/login",
                json={"login": login, "password": "a guess"},
                environ_overrides={"REMOTE_ADDR": OTHER},
            )
        return answer.status_code

    guess(strict, "alice", OTHER, 4)
    guess(strict, "bob", OTHER, 4)
    assert status_of_guesses("alice", mark, 3) == 401
    assert status_of_guesses("alice", mark, 1) == 429
    assert status_of_guesses("bob", mark, 1) == 429
    assert status_of_guesses("alice", mark[:-2] + "xx", 1) == 429
    assert status_of_guesses("alice", "e" * 2000, 1) == 429


def test_the_ipv6_addresses_of_one_customer_count_as_one(strict):
    """A customer has 2**64 addresses."""
    assert guess(strict, "alice", "2001:db8:1:2::1", 3).status_code == 401
    assert guess(strict, "alice", "2001:db8:1:2:ffff::9").status_code == 429
    assert guess(strict, "alice", "2001:db8:1:3::1").status_code == 401
    assert guess(strict, "alice", "::ffff:192.0.2.50", 3).status_code == 401
    assert guess(strict, "alice", "192.0.2.50").status_code == 429


def test_an_unknown_login_costs_as_much_time_as_a_known_one(strict):
    """Else the time would reveal which logins exist. CPU time, as other tests may run meanwhile."""
    Person(strict, "alice").sign_up()

    def seconds(login):
        times = []
        for number in range(7):
            started = time.process_time()
            assert guess(strict, login, f"198.51.{number}.1").status_code == 401
            times.append(time.process_time() - started)
        return statistics.median(times)

    alice, nobody = seconds("alice"), seconds("nobody")
    assert 0.5 < nobody / alice < 2, (alice, nobody)


def test_changing_the_password_is_limited_like_signing_in(strict):
    """Nobody may guess the password in a browser that was left open."""
    alice = Person(strict, "alice", address=OWN)
    alice.sign_up()
    header = alice.bearer()
    body = {"current_password": "a guess", "new_password": "another horse battery"}
    statuses = [
        alice.post("/users/me/password", json=body, headers=header).status_code for _ in range(4)
    ]
    assert statuses == [400, 400, 400, 429]
    assert actions(strict, "alice").count("password.refused") == 3


def test_reaching_a_limit_is_counted_for_metrics_and_for_the_administrator(strict):
    """The operator has to see that it happens."""
    guess(strict, "alice", OTHER, 5)
    text = strict.test_client().get("/metrics").text
    assert 'balcao_limits_reached_total{limit="sign-in"} 2.0' in text
    with strict.app_context():
        assert limits().hits("sign-in", "sign-up") == {"sign-in": 2, "sign-up": 0}


def test_a_refused_attempt_costs_no_password_hash(strict, monkeypatch):
    """The limit also protects the processor."""
    guess(strict, "alice", OTHER, 3)
    calls = []
    monkeypatch.setattr("accounts.passwords._places.run", lambda *args: calls.append(args))
    assert guess(strict, "alice", OTHER).status_code == 429
    assert calls == []


@pytest.mark.parametrize(
    "header",
    ["198.51.100.8:{port}", "[2001:db8::8]:{port}", '"[2001:db8:9::8]:{port}"', "_{port}"],
)
def test_the_port_in_a_forwarded_address_avoids_no_limit(tmp_path, fresh_database, clock, header):
    """Azure's gateway and others write the port of each connection behind the address."""
    settings = settings_for(
        fresh_database("sqlite"), tmp_path, sign_in_tries_max=3, trusted_proxies=1
    )
    app = ready_app(settings, clock)
    try:
        body = {"username": "alice", "password": "a guess"}
        statuses = [
            app.test_client()
            .post("/token", data=body, headers={"X-Forwarded-For": header.format(port=port)})
            .status_code
            for port in range(40_000, 40_004)
        ]
        assert statuses == [401, 401, 401, 429]
    finally:
        close_app(app)


@pytest.mark.parametrize("kind", ["redis", "own"])
def test_two_processes_count_together_where_they_share_redis(
    tmp_path, fresh_database, clock, request, kind
):
    """Without Redis each process counts for itself: ten processes allow ten times as much."""
    more = {"redis_url": request.getfixturevalue("redis_url")} if kind == "redis" else {}
    settings = settings_for(fresh_database("sqlite"), tmp_path, sign_in_tries_max=3, **more)
    first, second = ready_app(settings, clock), ready_app(settings, clock)
    try:
        assert guess(first, "alice", OTHER, 3).status_code == 401
        expected = 429 if kind == "redis" else 401
        assert guess(second, "alice", OTHER).status_code == expected
    finally:
        close_app(first)
        close_app(second)


def test_while_redis_is_away_each_process_counts_for_itself(
    tmp_path, fresh_database, clock, private_server
):
    """Sign-in still works, and so does the limit."""
    server = private_server("redis")
    settings = settings_for(
        fresh_database("sqlite"), tmp_path, sign_in_tries_max=3, redis_url=server.url
    )
    app = ready_app(settings, clock)
    try:
        alice = Person(app, "alice", address=OWN)
        alice.sign_up()
        server.stop()
        assert alice.ask_tokens().status_code == 200
        assert guess(app, "alice", OTHER, 3).status_code == 401
        assert guess(app, "alice", OTHER).status_code == 429
        Person(app, "bob").sign_up()
    finally:
        close_app(app)


def test_many_attempts_at_once_are_counted_before_their_passwords_are_hashed(strict, monkeypatch):
    """Six may fail; the seventh that comes meanwhile is refused, although none has failed yet."""
    inside, may_end = threading.Semaphore(0), threading.Event()

    def wait(_function, *_args, owner):
        inside.release()
        assert may_end.wait(30)
        return False

    monkeypatch.setattr("accounts.passwords._places.run", wait)
    with ThreadPoolExecutor(6) as threads:
        answers = [threads.submit(guess, strict, f"shop{number}", OTHER) for number in range(6)]
        for _ in range(6):
            assert inside.acquire(timeout=30)
        refusal = guess(strict, "shop6", OTHER)
        may_end.set()
        assert [answer.result().status_code for answer in answers] == [401] * 6
    assert (refusal.status_code, refusal.headers["Retry-After"]) == (429, "2")
    monkeypatch.undo()
    assert guess(strict, "shop7", OTHER).status_code == 429
    assert guess(strict, "shop7", OWN).status_code == 401


def test_while_all_places_for_hashing_are_taken_the_answer_comes_at_once(strict, monkeypatch):
    """A page says so too; a program learns when to come back; nothing was counted as wrong."""
    full = Places(1, 0, share_max=1, wait_seconds=0)
    monkeypatch.setattr("accounts.passwords._places", full)
    with full.gate.place(0):
        answer = guess(strict, "alice", OTHER)
        assert (answer.status_code, answer.get_json()["code"]) == (503, "busy")
        assert answer.headers["Retry-After"] == "2"
        body = {"username": "bob", "password": PASSWORD, "role": "merchant"}
        assert strict.test_client().post("/users/", json=body).status_code == 503
    with full.gate.place(0, OTHER):
        assert guess(strict, "alice", OTHER).status_code == 429
        assert guess(strict, "alice", OWN).status_code == 503
    assert guess(strict, "alice", OTHER).status_code == 401
