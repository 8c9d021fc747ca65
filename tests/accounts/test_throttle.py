"""Guessing is slow, and nobody can lock out another."""

from __future__ import annotations

import statistics
import time

import pytest

from tests.accounts.people import PASSWORD, Person, actions
from tests.support.service import close_app, ready_app, settings_for
from web.limits import limits

OWN, OTHER = "192.0.2.1", "192.0.2.99"


@pytest.fixture
def strict(tmp_path, fresh_database, clock):
    """A service with small limits: 3 tries of a pair, 6 of an address, 8 of a login."""
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
    """Try a password from an address; the last status."""
    person = Person(app, login, address=address)
    for _ in range(times):
        answer = person.ask_tokens(username=login, password=password)
    return answer


def test_the_tries_of_a_login_from_an_address_end(strict):
    """The edge: three are answered, the fourth waits, and is told how long."""
    Person(strict, "alice").sign_up()
    assert guess(strict, "alice", OTHER, 3).status_code == 401
    refused = guess(strict, "alice", OTHER)
    assert (refused.status_code, refused.get_json()["code"]) == (429, "too-many-requests")
    assert 890 <= int(refused.headers["Retry-After"]) <= 900
    assert guess(strict, "alice", OTHER, password=PASSWORD).status_code == 429


def test_whoever_fills_a_login_from_one_address_does_not_lock_its_owner_out(strict):
    """The oldest trick: wrong passwords for the shop next door, all day long."""
    alice = Person(strict, "alice", address=OWN)
    alice.sign_up()
    guess(strict, "alice", OTHER, 20)
    assert alice.ask_tokens().status_code == 200


def test_a_right_password_forgets_the_wrong_ones_before_it(strict):
    """Whoever mistypes now and then never meets the limit."""
    alice = Person(strict, "alice", address=OWN)
    alice.sign_up()
    for _ in range(2):
        guess(strict, "alice", OWN, 2)
        assert alice.ask_tokens().status_code == 200
    for _ in range(10):
        assert alice.ask_tokens().status_code == 200


def test_an_address_that_guesses_at_many_logins_waits(strict):
    """One password for every login: each login is tried once."""
    for number in range(6):
        assert guess(strict, f"shop{number}", OTHER).status_code == 401
    assert guess(strict, "shop6", OTHER).status_code == 429
    assert guess(strict, "shop6", OWN).status_code == 401


def test_a_login_that_many_addresses_guess_at_leaves_each_few_tries_and_never_none(strict):
    """A botnet gets two tries for each address; the owner, wherever she is, gets two as well."""
    Person(strict, "alice").sign_up()
    for number in range(4):
        assert guess(strict, "alice", f"198.51.100.{number}", 2).status_code == 401
    assert guess(strict, "alice", "203.0.113.5", 2).status_code == 401
    assert guess(strict, "alice", "203.0.113.5").status_code == 429
    anywhere = Person(strict, "alice", address="203.0.113.77")
    assert anywhere.ask_tokens().status_code == 200
    assert guess(strict, "bob", "203.0.113.6", 3).status_code == 401  # others' logins are as before


def test_a_browser_that_signed_in_before_is_not_held_up_by_its_neighbours(strict):
    """The attacker sits in the same office, behind the same address, and fills every count."""
    alice = Person(strict, "alice", address=OWN)
    alice.sign_up()
    browser = alice.enter()
    browser.post("/api/logout", headers=alice.with_csrf())
    guess(strict, "alice", OWN, 10)
    for number in range(10):
        guess(strict, f"shop{number}", OWN)
    assert alice.ask_tokens().status_code == 429  # a program without the mark waits
    body = {"login": "alice", "password": PASSWORD}
    options = {"json": body, "environ_overrides": {"REMOTE_ADDR": OWN}}
    assert browser.post("/api/login", **options).status_code == 200


def test_the_mark_of_a_known_browser_is_no_licence_to_guess(strict):
    """Copied, it is worth three tries; for another login, none; changed, none."""
    alice = Person(strict, "alice", address=OWN)
    alice.sign_up()
    browser = alice.enter()
    cookie = browser.get_cookie("device")
    assert cookie is not None
    mark = cookie.value

    def tries(login, cookie, times):
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
    assert tries("alice", mark, 3) == 401
    assert tries("alice", mark, 1) == 429
    assert tries("bob", mark, 1) == 429
    assert tries("alice", mark[:-2] + "xx", 1) == 429
    assert tries("alice", "e" * 2000, 1) == 429


def test_the_addresses_of_one_ipv6_customer_are_one(strict):
    """A customer has 2**64 of them."""
    assert guess(strict, "alice", "2001:db8:1:2::1", 3).status_code == 401
    assert guess(strict, "alice", "2001:db8:1:2:ffff::9").status_code == 429
    assert guess(strict, "alice", "2001:db8:1:3::1").status_code == 401
    assert guess(strict, "alice", "::ffff:192.0.2.50", 3).status_code == 401
    assert guess(strict, "alice", "192.0.2.50").status_code == 429


def test_an_unknown_login_costs_as_much_time_as_a_known_one(strict):
    """The clock would tell what the answer does not; in CPU, as others may be at work here."""
    Person(strict, "alice").sign_up()

    def seconds(login):
        taken = []
        for number in range(7):
            started = time.process_time()
            assert guess(strict, login, f"198.51.{number}.1").status_code == 401
            taken.append(time.process_time() - started)
        return statistics.median(taken)

    known, unknown = seconds("alice"), seconds("nobody")
    assert 0.5 < unknown / known < 2, (known, unknown)


def test_changing_the_password_is_limited_like_signing_in(strict):
    """A browser left open is not the place to guess the password in."""
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
    """Somebody has to see that it happens."""
    guess(strict, "alice", OTHER, 5)
    text = strict.test_client().get("/metrics").text
    assert 'balcao_limits_reached_total{limit="sign-in"} 2.0' in text
    with strict.app_context():
        assert limits().hits("sign-in", "sign-up") == {"sign-in": 2, "sign-up": 0}


def test_a_refused_try_costs_no_password_hash(strict, monkeypatch):
    """Else the limit would protect the password and not the processor."""
    guess(strict, "alice", OTHER, 3)
    asked = []
    monkeypatch.setattr("accounts.passwords.offload", lambda *given: asked.append(given))
    assert guess(strict, "alice", OTHER).status_code == 429
    assert asked == []


@pytest.mark.parametrize("kind", ["redis", "own"])
def test_two_processes_count_together_where_they_share_redis(
    tmp_path, fresh_database, clock, request, kind
):
    """Without it each counts for itself, and ten processes are ten times the tries."""
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
    """Signing in goes on, and so does the limit."""
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
