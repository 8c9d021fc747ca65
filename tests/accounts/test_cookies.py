"""The browser's sign-in: its cookies, the CSRF token, and the renewal of the cookies."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from accounts import csrf
from accounts.sign_ins import ROTATION_OVERLAP
from accounts.tokens import issue
from repository.database import reading
from tests.accounts.people import PASSWORD, Person, bearer, open_sign_ins

PAGE = {"Accept": "text/html"}


def cookies_of(answer):
    """The cookies that an answer sets, by name."""
    return {line.split("=", 1)[0]: line for line in answer.headers.getlist("Set-Cookie")}


def form_token(page):
    """The hidden CSRF field of a page."""
    match = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert match, page.text
    return match[1]


def expire_access_token(browser, person):
    """Replace the browser's access token by an expired one of the same sign-in."""
    with person.app.app_context(), reading() as work:
        account = work.accounts.by_login(person.login)
        (row, *_) = work.sign_ins.open_of(account.id, work.now, None, 1).items
        token = csrf.sign_in_token(row.public_id)
        expired = issue(account, row.public_id, row.refresh_id, token, timedelta(seconds=-60))
    browser.set_cookie("access_token", expired.access_token)


def test_the_cookies_are_out_of_reach_of_scripts_and_of_other_sites(alice):
    """JavaScript can read only the CSRF token."""
    answer = alice.app.test_client().post(
        "/api/login", json={"username": "alice", "password": PASSWORD}
    )
    assert answer.status_code == 200
    cookies = cookies_of(answer)
    assert {"access_token", "refresh_token", "csrf_access_token"} <= set(cookies)
    for name, line in cookies.items():
        assert "SameSite=Lax" in line, line
        assert ("HttpOnly" in line) != name.startswith("csrf_"), line
        assert "Secure" not in line, line  # over plain http a browser would drop them
        assert "Path=/" in line, line
    body = answer.get_json()
    assert alice.get("/users/me/", bearer(body["access_token"])).status_code == 200
    assert cookies["csrf_access_token"].startswith(f"csrf_access_token={body['csrf_token']};")
    assert (body["user"]["username"], answer.headers["Cache-Control"]) == ("alice", "no-store")


def test_behind_https_every_cookie_is_secure(production_app):
    """One request over plain http would show the session to anybody on the network."""
    Person(production_app, "alice").sign_up()
    answer = production_app.test_client().post(
        "/api/login", json={"username": "alice", "password": PASSWORD}
    )
    page = production_app.test_client().get("/login")
    lines = [*cookies_of(answer).values(), *cookies_of(page).values()]
    assert len(lines) >= 5
    assert all("; Secure" in line for line in lines), lines


@pytest.mark.parametrize("field", ["username", "login"])
def test_the_login_may_be_given_under_either_name_as_json_or_as_a_form(alice, field):
    """Clients of both documented systems work unchanged."""
    body = {field: "alice", "password": PASSWORD}
    for options in ({"json": body}, {"data": body}):
        answer = alice.app.test_client().post("/api/login", **options)
        assert answer.status_code == 200, answer.text
        assert answer.get_json()["token_type"] == "bearer"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"username": "alice", "password": "wrong"}, 401),
        ({"username": "alice"}, 400),
        ({"password": PASSWORD}, 400),
        ({"username": "alice", "login": "bob", "password": PASSWORD}, 400),
        ({"username": "alice", "password": PASSWORD, "remember": True}, 400),
        ({"username": 7, "password": PASSWORD}, 400),
    ],
)
def test_a_wrong_sign_in_sets_no_cookie(alice, body, status):
    """Neither the tokens nor the device cookie."""
    answer = alice.app.test_client().post("/api/login", json=body)
    assert answer.status_code == status
    assert cookies_of(answer) == {}
    assert open_sign_ins(alice.app) == 0


def test_a_cookie_may_read_and_needs_the_csrf_token_for_changes(alice):
    """Another site can make Alice's browser send the cookie; it cannot read the token."""
    browser = alice.enter()
    assert browser.get("/users/me/").get_json()["username"] == "alice"
    request = {"json": {"value": 10}}
    refusal = browser.post("/payments/pix", **request)
    assert (refusal.status_code, refusal.get_json()["code"]) == (403, "csrf-failed")
    for wrong in ("", "0" * 32, alice.csrf.upper(), alice.csrf + " x", "é", "\u00e9" * 32):
        refusal = browser.post("/payments/pix", **request, headers={"X-CSRF-TOKEN": wrong})
        assert refusal.status_code == 403, wrong
    for path in ("/api/keys", "/api/logout", "/users/me/password"):
        body = {"current_password": PASSWORD, "new_password": "another password"}
        json = body if path.endswith("password") else {}
        assert browser.post(path, json=json).status_code == 403, path
    assert browser.delete("/api/sessions").status_code == 403
    creation = browser.post("/payments/pix", **request, headers=alice.with_csrf())
    assert creation.status_code == 201
    own = alice.get("/payments/pix", alice.bearer()).get_json()["data"]
    assert [payment["id"] for payment in own] == [creation.get_json()["payment"]["id"]]


def test_the_csrf_token_of_another_sign_in_is_refused(alice):
    """Charlie has a CSRF token too, of his own sign-in."""
    charlie = Person(alice.app, "charlie")
    charlie.sign_up()
    charlie.enter()
    browser = alice.enter()
    answer = browser.post("/api/keys", json={}, headers=charlie.with_csrf())
    assert answer.status_code == 403


def test_the_csrf_token_may_be_a_form_field(alice):
    """Pages without JavaScript send forms."""
    browser = alice.enter()
    answer = browser.post("/api/logout", data={"csrf_token": alice.csrf})
    assert answer.status_code == 200
    assert browser.get("/users/me/").status_code == 401


def test_a_bearer_token_wins_over_the_cookie(alice):
    """It needs no CSRF token, because no browser sends it by itself."""
    bob = Person(alice.app, "bob")
    bob.sign_up(role="payer")
    browser = alice.enter()
    assert browser.get("/users/me/", headers=bob.bearer()).get_json()["username"] == "bob"
    creation = browser.post("/payments/pix", json={"value": 1}, headers=alice.bearer())
    assert creation.status_code == 201
    assert browser.get("/users/me/", headers=bearer("nonsense")).status_code == 401


def test_signing_out_ends_the_session_and_deletes_the_cookies(alice):
    """A copy of the cookie is refused afterwards."""
    browser = alice.enter()
    copied = browser.get_cookie("access_token").value
    assert alice.get("/users/me/", bearer(copied)).status_code == 200
    answer = browser.post("/api/logout", headers=alice.with_csrf())
    assert answer.status_code == 200
    assert browser.get_cookie("access_token") is None
    assert browser.get_cookie("refresh_token") is None
    assert alice.get("/users/me/", bearer(copied)).status_code == 401
    assert open_sign_ins(alice.app) == 0
    again = browser.post("/api/logout", headers=alice.with_csrf())
    assert again.status_code == 401


def test_an_expired_access_token_is_renewed_by_the_refresh_cookie(alice):
    """Nobody types the password every 15 minutes, and forms of old pages still work."""
    browser = alice.enter()
    first = browser.get_cookie("refresh_token").value
    expire_access_token(browser, alice)
    answer = browser.get("/users/me/")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert browser.get_cookie("refresh_token").value != first
    expire_access_token(browser, alice)
    creation = browser.post("/payments/pix", json={"value": 1}, headers=alice.with_csrf())
    assert creation.status_code == 201
    expire_access_token(browser, alice)
    assert browser.post("/payments/pix", json={"value": 1}).status_code == 403
    assert open_sign_ins(alice.app) == 1


def test_a_stolen_refresh_cookie_ends_the_session_when_it_is_used_late(alice, clock):
    """The owner's browser has refreshed before the thief tries: both are signed out."""
    browser, thief = alice.enter(), alice.app.test_client()
    thief.set_cookie("refresh_token", browser.get_cookie("refresh_token").value)
    expire_access_token(browser, alice)
    assert browser.get("/users/me/").status_code == 200
    clock.advance(seconds=ROTATION_OVERLAP.total_seconds() + 1)
    assert thief.get("/users/me/").status_code == 401
    assert browser.get("/users/me/").status_code == 401
    assert open_sign_ins(alice.app) == 0


def test_public_answers_renew_no_cookies(alice):
    """Caches store these answers, and would give one person's cookies to others."""
    browser = alice.enter()
    creation = browser.post("/payments/pix", json={"value": 1}, headers=alice.with_csrf())
    code = creation.get_json()["payment"]["qr_code"]
    expire_access_token(browser, alice)
    for path in (f"/payments/pix/qr_code/{code}.png", "/healthz", "/static/css/base.css"):
        with browser.get(path) as answer:
            assert (answer.status_code, cookies_of(answer)) == (200, {}), path


def test_the_cookies_of_an_ended_sign_in_are_deleted(alice):
    """Otherwise the demo shop would refuse each click of that browser."""
    browser = alice.enter()
    alice.app.test_client().delete("/api/sessions", headers=alice.bearer())
    answer = browser.get("/users/me/")
    assert answer.status_code == 401
    assert browser.get_cookie("access_token") is None
    assert browser.get_cookie("refresh_token") is None


def test_an_invalid_cookie_never_acts_for_the_demo_merchant(client):
    """Only requests without credentials act for the demo merchant."""
    client.set_cookie("access_token", "nonsense")
    assert client.post("/payments/pix", json={"value": 1}).status_code == 401
    other = client.application.test_client()
    other.set_cookie("refresh_token", "nonsense")
    assert other.get("/payments/pix").status_code == 401


def test_the_pages_form_signs_in_and_leads_back(alice):
    """Without JavaScript: the page, its form, a 303, the requested page."""
    browser = alice.app.test_client()
    page = browser.get("/login?next=/users/me/", headers=PAGE)
    fields = {"username": "alice", "password": PASSWORD, "next": "/users/me/"}
    options = {"headers": {**PAGE, "Origin": "null"}}
    answer = browser.post("/api/login", data={**fields, "csrf_token": form_token(page)}, **options)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/users/me/")
    assert browser.get("/users/me/").get_json()["username"] == "alice"


@pytest.mark.parametrize(
    ("next_path", "leads_to"),
    [
        ("/portal?state=paid", "/portal?state=paid"),
        ("", "/portal"),
        ("//evil.example", "/portal"),
        ("https://evil.example/", "/portal"),
        ("/\\evil.example", "/portal"),
        ("\\\\evil.example", "/portal"),
        ("/\t/evil.example", "/portal"),
        ("javascript:alert(1)", "/portal"),
        ("/%0d%0aSet-Cookie:x", "/%0d%0aSet-Cookie:x"),
        ("/a\r\nSet-Cookie: x=1", "/portal"),
        ("/" + "a" * 3000, "/portal"),
    ],
)
def test_a_sign_in_never_leads_away_from_here(alice, next_path, leads_to):
    """A link to the sign-in page must not end on another site's copy of it."""
    browser = alice.app.test_client()
    fields = {"username": "alice", "password": PASSWORD, "next": next_path}
    answer = browser.post("/api/login", data=fields, headers=PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, leads_to)


def test_a_form_from_another_site_signs_nobody_in(alice):
    """A merchant who is signed in as the attacker would type secrets into that account."""
    fields = {"username": "alice", "password": PASSWORD}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        browser = alice.app.test_client()
        answer = browser.post("/api/login", data=fields, headers=headers)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "csrf-failed")
        assert cookies_of(answer) == {}
    browser = alice.app.test_client()
    token = form_token(browser.get("/login", headers=PAGE))
    other = alice.app.test_client()
    other.get("/login", headers=PAGE)
    for sender, csrf_token in ((other, token), (browser, token[:-1]), (browser, "")):
        answer = sender.post(
            "/api/login", data={**fields, "csrf_token": csrf_token}, headers={"Origin": "null"}
        )
        assert answer.status_code == 403
    body = {"username": "eve", "password": PASSWORD}
    refusal = browser.post("/signup", data=body, headers={"Origin": "null"})
    assert refusal.status_code == 403


def test_a_wrong_password_shows_the_page_again_with_what_was_typed(alice):
    """The status is 401, and the page does not repeat the password."""
    answer = alice.app.test_client().post(
        "/api/login", data={"username": "alice", "password": "not the one"}, headers=PAGE
    )
    assert answer.status_code == 401
    assert "Usuário ou senha não conferem." in answer.text
    assert 'value="alice"' in answer.text
    assert "not the one" not in answer.text


def test_the_sign_up_form_makes_the_account_and_signs_it_in(app):
    """A new visitor's whole way, with forms only."""
    browser = app.test_client()
    page = browser.get("/signup?next=/users/me/", headers=PAGE)
    fields = {
        "csrf_token": form_token(page),
        "next": "/users/me/",
        "username": "alice",
        "name": "Queijaria da Alice",
        "email": "",
        "password": PASSWORD,
        "role": "merchant",
    }
    refusal = browser.post("/signup", data={**fields, "username": "demo"}, headers=PAGE)
    assert refusal.status_code == 409
    assert "Este usuário já existe" in refusal.text
    assert PASSWORD not in refusal.text
    wrong = browser.post("/signup", data={**fields, "password": "short"}, headers=PAGE)
    assert wrong.status_code == 400
    assert 'id="password-hint"' in wrong.text
    answer = browser.post("/signup", data=fields, headers=PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/users/me/")
    assert browser.get("/users/me/").get_json()["name"] == "Queijaria da Alice"
