"""A form refused for its CSRF token: the page names the reason and keeps what was typed."""

from __future__ import annotations

import html

import pytest

from accounts import csrf
from tests.accounts.people import PASSWORD, Person
from tests.portal.signing import search

OWN = {"Accept": "text/html", "Origin": "http://localhost"}
FOREIGN = {"Accept": "text/html", "Origin": "https://charlie.example"}
# Our pages send no referrer, so a browser writes this Origin also for their forms.
NO_ORIGIN = {"Accept": "text/html", "Origin": "null"}
CHARGE = {"value": "9,99", "description": "Café <b>", "expires_in": "600"}


@pytest.fixture
def alice(app):
    """Alice, who sells."""
    person = Person(app, "alice")
    person.sign_up()
    return person


def words_of(answer) -> str:
    """The text of the answer, without entities."""
    return html.unescape(answer.text)


def test_a_form_of_an_earlier_sign_in_is_shown_again_with_what_was_typed(alice):
    """Alice signed in again in another tab; the old page has the token of the first sign-in."""
    alice.enter()
    old_token = alice.csrf
    browser = alice.enter()
    form = {**CHARGE, "csrf_token": old_token}
    answer = browser.post("/portal/payments/new", data=form, headers=OWN)
    words = words_of(answer)
    assert answer.status_code == 403
    assert "Você entrou de novo em outra aba" in words
    assert "Agora você está como alice." in words
    assert "não é para esta conta" not in words
    assert 'name="value" value="9,99"' in answer.text
    assert 'name="description" value="Café &lt;b&gt;"' in answer.text
    assert '<input type="hidden" name="expires_in" value="600">' in answer.text
    token = search(answer.text, r'name="csrf_token" value="([^"]+)"')
    assert token == alice.csrf


def test_a_form_without_a_token_says_that_it_is_incomplete(alice):
    """The field is missing, as from a page that was saved to a file."""
    answer = alice.enter().post("/portal/payments/new", data=CHARGE, headers=OWN)
    assert answer.status_code == 403
    assert "O formulário chegou incompleto" in answer.text


def test_a_form_after_the_session_ended_waits_for_a_new_sign_in(alice):
    """What Alice typed stays on the page while she signs in again in another tab."""
    browser = alice.enter()
    form = {**CHARGE, "csrf_token": alice.csrf}
    browser.post("/api/logout", headers=alice.with_csrf())
    answer = browser.post("/portal/payments/new", data=form, headers=OWN)
    assert answer.status_code == 401
    assert "Sua sessão terminou" in answer.text
    assert 'name="value" value="9,99"' in answer.text


@pytest.mark.parametrize("is_signed_in", [True, False])
def test_what_another_site_sends_is_never_shown_again(alice, is_signed_in):
    """Charlie's site could else have Alice confirm an amount that Charlie chose."""
    browser = alice.enter() if is_signed_in else alice.app.test_client()
    path = "/portal/payments/new" if is_signed_in else "/api/login"
    form = {**CHARGE, "username": "charlie", "password": PASSWORD}
    answer = browser.post(path, data=form, headers=FOREIGN)
    assert answer.status_code == 403
    assert "não veio de uma página nossa" in answer.text
    assert "9,99" not in answer.text
    assert "charlie" not in answer.text


@pytest.mark.parametrize("origin", ["null", "http://localhost"])
@pytest.mark.parametrize(
    ("site", "is_ours"),
    [("same-origin", True), ("same-site", False), ("cross-site", False), ("none", False)],
)
def test_sec_fetch_site_decides_before_the_origin(alice, site, is_ours, origin):
    """A browser sends `Origin: null` from our own pages, and so can Charlie's site."""
    headers = {**NO_ORIGIN, "Origin": origin, "Sec-Fetch-Site": site}
    answer = alice.enter().post("/portal/payments/new", data=CHARGE, headers=headers)
    assert answer.status_code == 403
    assert ("O formulário chegou incompleto" in answer.text) is is_ours
    assert ("não veio de uma página nossa" in answer.text) is not is_ours
    assert ('name="value" value="9,99"' in answer.text) is is_ours
    assert ("9,99" in answer.text) is is_ours


@pytest.mark.parametrize("path", ["/portal/payments/new", "/api/login"])
def test_a_form_from_nobody_knows_where_names_the_reason_and_keeps_nothing(
    alice, monkeypatch, path
):
    """An old browser sends `Origin: null` without Sec-Fetch-Site; no operator can mend that."""
    lines = []
    monkeypatch.setattr(csrf, "_refused_origins", set())
    monkeypatch.setattr(csrf.log, "warning", lambda *words, **_: lines.append(words))
    alice.enter()
    old_token = alice.csrf
    browser = alice.enter() if path.startswith("/portal") else alice.app.test_client()
    form = {**CHARGE, "username": "charlie", "password": PASSWORD, "csrf_token": old_token}
    answer = browser.post(path, data=form, headers=NO_ORIGIN)
    is_portal = path.startswith("/portal")
    reason = "Você entrou de novo em outra aba" if is_portal else "não enviou os cookies"
    assert answer.status_code == 403
    assert reason in answer.text
    assert "não veio de uma página nossa" not in answer.text
    assert "9,99" not in answer.text
    assert "charlie" not in answer.text
    assert "Enviar de novo" not in answer.text
    assert lines == []


def test_passwords_are_typed_again(alice):
    """The page asks for the password and never contains it; the key is kept."""
    browser = alice.enter()
    form = {"pix_key": "alice@feira.example", "password": PASSWORD, "csrf_token": "x"}
    answer = browser.post("/portal/settings/pix-key", data=form, headers=OWN)
    assert PASSWORD not in answer.text
    assert 'name="password" type="password"' in answer.text
    assert 'value="alice@feira.example"' in answer.text


@pytest.mark.parametrize("path", ["/api/login", "/signup", "/forgot"])
def test_a_visitor_without_cookies_learns_it_and_keeps_the_user_name(alice, path):
    """The sign-in, the sign-up and the forgotten password, with the cookies blocked."""
    form = {"username": "alice", "password": PASSWORD, "csrf_token": "x"}
    answer = alice.app.test_client().post(path, data=form, headers=OWN)
    assert answer.status_code == 403
    assert "Seu navegador não enviou os cookies" in answer.text
    assert 'value="alice"' in answer.text
    assert PASSWORD not in answer.text


@pytest.mark.parametrize(
    ("seconds", "is_too_old"), [(csrf.FORM_SECONDS - 60, False), (csrf.FORM_SECONDS + 60, True)]
)
def test_a_sign_in_page_says_when_it_is_too_old(alice, monkeypatch, seconds, is_too_old):
    """Twelve hours; then the user name stays and the token is new."""
    browser = alice.app.test_client()
    page = browser.get("/login", headers=OWN).text
    token = search(page, r'people__form.*\n.*name="csrf_token" value="([^"]+)"')
    monkeypatch.setattr(csrf, "FORM_SECONDS", csrf.FORM_SECONDS - seconds)
    form = {"username": "alice", "password": PASSWORD, "csrf_token": token}
    answer = browser.post("/api/login", data=form, headers=OWN)
    assert (answer.status_code == 403) == is_too_old
    assert ("A página ficou aberta tempo demais" in answer.text) == is_too_old


def test_a_program_gets_the_reason_as_json(alice):
    """Programs read `code`; people who debug them read `detail`."""
    answer = alice.enter().post("/api/keys", json={}, headers={"X-CSRF-TOKEN": "0" * 32})
    assert answer.get_json()["code"] == "csrf-failed"
    assert "another sign-in" in answer.get_json()["detail"]
