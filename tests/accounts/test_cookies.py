"""The browser's sign-in: its cookies, the CSRF token beside them, and their renewal unseen."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from accounts import csrf
from accounts.sign_ins import ROTATION_OVERLAP
from accounts.tokens import issue
from repository.database import reading
from tests.accounts.people import PASSWORD, Person, bearer, open_sign_ins
from tests.support.service import close_app, ready_app, settings_for

PAGE = {"Accept": "text/html"}


def cookies_of(answer):
    """Each cookie an answer sets, by name."""
    return {line.split("=", 1)[0]: line for line in answer.headers.getlist("Set-Cookie")}


def form_token(page):
    """The hidden CSRF field of a page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


def let_run_out(browser, person):
    """Put an access token in the browser whose quarter of an hour is over, of the same sign-in."""
    with person.app.app_context(), reading() as work:
        account = work.accounts.by_login(person.login)
        (row, *_) = work.sign_ins.open_of(account.id, work.now, None, 1).items
        token = csrf.sign_in_token(row.public_id)
        spent = issue(account, row.public_id, row.refresh_id, token, timedelta(seconds=-60))
    browser.set_cookie("access_token", spent.access_token)


def test_the_cookies_are_out_of_reach_of_scripts_and_of_other_sites(alice):
    """What JavaScript may read is the CSRF token alone."""
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


def test_behind_https_every_cookie_is_secure(tmp_path, fresh_database, clock):
    """One request over plain http would hand the session to whoever listens."""
    settings = settings_for(
        fresh_database("sqlite"), tmp_path, app_env="production", public_url="https://shop.example"
    )
    app = ready_app(settings, clock)
    try:
        Person(app, "alice").sign_up()
        answer = app.test_client().post(
            "/api/login", json={"username": "alice", "password": PASSWORD}
        )
        page = app.test_client().get("/login")
        lines = [*cookies_of(answer).values(), *cookies_of(page).values()]
        assert len(lines) >= 5
        assert all("; Secure" in line for line in lines), lines
    finally:
        close_app(app)


@pytest.mark.parametrize("field", ["username", "login"])
def test_the_login_may_be_given_under_either_name_as_json_or_as_a_form(alice, field):
    """Clients of both described systems sign in as they are."""
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
    """Neither tokens nor the mark of a known browser."""
    answer = alice.app.test_client().post("/api/login", json=body)
    assert answer.status_code == status
    assert cookies_of(answer) == {}
    assert open_sign_ins(alice.app) == 0


def test_a_cookie_opens_what_reads_and_needs_its_token_for_the_rest(alice):
    """Another site can make Alice's browser send the cookie; it cannot read the token."""
    browser = alice.enter()
    assert browser.get("/users/me/").get_json()["username"] == "alice"
    sends = {"json": {"value": 10}}
    refused = browser.post("/payments/pix", **sends)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "csrf-failed")
    for wrong in ("", "0" * 32, alice.csrf.upper(), alice.csrf + " x", "é", "\u00e9" * 32):
        refused = browser.post("/payments/pix", **sends, headers={"X-CSRF-TOKEN": wrong})
        assert refused.status_code == 403, wrong
    for path in ("/api/keys", "/api/logout", "/users/me/password"):
        body = {"current_password": PASSWORD, "new_password": "another password"}
        json = body if path.endswith("password") else {}
        assert browser.post(path, json=json).status_code == 403, path
    assert browser.delete("/api/sessions").status_code == 403
    made = browser.post("/payments/pix", **sends, headers=alice.with_csrf())
    assert made.status_code == 201
    own = alice.get("/payments/pix", alice.bearer()).get_json()["data"]
    assert [payment["id"] for payment in own] == [made.get_json()["payment"]["id"]]


def test_the_token_of_another_sign_in_does_not_fit(alice):
    """A stranger with an account of his own has a token too."""
    charlie = Person(alice.app, "charlie")
    charlie.sign_up()
    charlie.enter()
    browser = alice.enter()
    answer = browser.post("/api/keys", json={}, headers=charlie.with_csrf())
    assert answer.status_code == 403


def test_the_token_may_come_as_a_forms_field(alice):
    """Pages without JavaScript send forms."""
    browser = alice.enter()
    answer = browser.post("/api/logout", data={"csrf_token": alice.csrf})
    assert answer.status_code == 200
    assert browser.get("/users/me/").status_code == 401


def test_a_bearer_beside_the_cookie_decides(alice):
    """And needs no CSRF token: no browser sends it by itself."""
    bob = Person(alice.app, "bob")
    bob.sign_up(role="payer")
    browser = alice.enter()
    assert browser.get("/users/me/", headers=bob.bearer()).get_json()["username"] == "bob"
    made = browser.post("/payments/pix", json={"value": 1}, headers=alice.bearer())
    assert made.status_code == 201
    assert browser.get("/users/me/", headers=bearer("nonsense")).status_code == 401


def test_signing_out_ends_the_session_and_takes_the_cookies(alice):
    """A cookie that somebody copied before opens nothing afterwards."""
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


def test_a_browser_whose_access_token_ran_out_goes_on_unseen(alice):
    """Nobody types the password every quarter of an hour, and old pages can still be sent."""
    browser = alice.enter()
    first = browser.get_cookie("refresh_token").value
    let_run_out(browser, alice)
    answer = browser.get("/users/me/")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert browser.get_cookie("refresh_token").value != first
    let_run_out(browser, alice)
    made = browser.post("/payments/pix", json={"value": 1}, headers=alice.with_csrf())
    assert made.status_code == 201
    let_run_out(browser, alice)
    assert browser.post("/payments/pix", json={"value": 1}).status_code == 403
    assert open_sign_ins(alice.app) == 1


def test_a_stolen_refresh_cookie_ends_the_session_when_it_is_used_late(alice, clock):
    """The thief comes after the owner's browser went on: both are out."""
    browser, thief = alice.enter(), alice.app.test_client()
    thief.set_cookie("refresh_token", browser.get_cookie("refresh_token").value)
    let_run_out(browser, alice)
    assert browser.get("/users/me/").status_code == 200
    clock.advance(seconds=ROTATION_OVERLAP.total_seconds() + 1)
    assert thief.get("/users/me/").status_code == 401
    assert browser.get("/users/me/").status_code == 401
    assert open_sign_ins(alice.app) == 0


def test_what_anybody_may_see_renews_nothing(alice):
    """Those answers are kept by caches; a cookie in one would be everybody's."""
    browser = alice.enter()
    made = browser.post("/payments/pix", json={"value": 1}, headers=alice.with_csrf())
    code = made.get_json()["payment"]["qr_code"]
    let_run_out(browser, alice)
    for path in (f"/payments/pix/qr_code/{code}.png", "/healthz", "/static/css/base.css"):
        with browser.get(path) as answer:
            assert (answer.status_code, cookies_of(answer)) == (200, {}), path


def test_a_browser_is_told_to_forget_what_opens_nothing_any_more(alice):
    """A dead cookie would refuse the demo shop's shopper with every click."""
    browser = alice.enter()
    alice.app.test_client().delete("/api/sessions", headers=alice.bearer())
    answer = browser.get("/users/me/")
    assert answer.status_code == 401
    assert browser.get_cookie("access_token") is None
    assert browser.get_cookie("refresh_token") is None


def test_a_cookie_that_opens_nothing_is_never_the_demo_merchant(client):
    """Whoever sends credentials means somebody by them."""
    client.set_cookie("access_token", "nonsense")
    assert client.post("/payments/pix", json={"value": 1}).status_code == 401
    other = client.application.test_client()
    other.set_cookie("refresh_token", "nonsense")
    assert other.get("/payments/pix").status_code == 401


def test_the_pages_form_signs_in_and_leads_back(alice):
    """Without JavaScript: the page, its form, 303, the page that was wanted."""
    browser = alice.app.test_client()
    page = browser.get("/login?next=/users/me/", headers=PAGE)
    fields = {"username": "alice", "password": PASSWORD, "next": "/users/me/"}
    sent = {"headers": {**PAGE, "Origin": "null"}}
    answer = browser.post("/api/login", data={**fields, "csrf_token": form_token(page)}, **sent)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/users/me/")
    assert browser.get("/users/me/").get_json()["username"] == "alice"


@pytest.mark.parametrize(
    ("wished", "leads_to"),
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
def test_a_sign_in_never_leads_away_from_here(alice, wished, leads_to):
    """A link to our own sign-in page must not end on a copy of it."""
    browser = alice.app.test_client()
    fields = {"username": "alice", "password": PASSWORD, "next": wished}
    answer = browser.post("/api/login", data=fields, headers=PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, leads_to)


def test_a_form_from_another_site_signs_nobody_in(alice):
    """Signed in as the attacker unknowingly, a merchant would type secrets into his account."""
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
    for sender, given in ((other, token), (browser, token[:-1]), (browser, "")):
        answer = sender.post(
            "/api/login", data={**fields, "csrf_token": given}, headers={"Origin": "null"}
        )
        assert answer.status_code == 403
    body = {"username": "eve", "password": PASSWORD}
    refused = browser.post("/signup", data=body, headers={"Origin": "null"})
    assert refused.status_code == 403


def test_a_wrong_password_shows_the_page_again_with_what_was_typed(alice):
    """With its status, and without the password."""
    answer = alice.app.test_client().post(
        "/api/login", data={"username": "alice", "password": "not the one"}, headers=PAGE
    )
    assert answer.status_code == 401
    assert "Usuário ou senha não conferem." in answer.text
    assert 'value="alice"' in answer.text
    assert "not the one" not in answer.text


def test_the_sign_up_form_makes_the_account_and_signs_it_in(app):
    """The whole way of somebody new, as forms."""
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
    taken = browser.post("/signup", data={**fields, "username": "demo"}, headers=PAGE)
    assert taken.status_code == 409
    assert "Este usuário já existe" in taken.text
    assert PASSWORD not in taken.text
    wrong = browser.post("/signup", data={**fields, "password": "short"}, headers=PAGE)
    assert wrong.status_code == 400
    assert 'id="password-hint"' in wrong.text
    answer = browser.post("/signup", data=fields, headers=PAGE)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/users/me/")
    assert browser.get("/users/me/").get_json()["name"] == "Queijaria da Alice"
