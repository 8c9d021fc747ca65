"""Who may see the administrators' pages, and where a sign-in redirects to."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.accounts.people import bearer
from tests.portal.signing import PASSWORD, sign_in

PAGES = ["/admin", "/admin?fragment=overview", "/admin/accounts", "/admin/audit"]
PAGE = {"Accept": "text/html"}


@pytest.mark.parametrize("path", PAGES)
def test_without_a_sign_in_a_page_redirects_to_the_login(client, people, path):
    """Also in development, because the demo merchant is not an administrator."""
    answer = client.get(path, headers=PAGE)
    assert answer.status_code == 303
    assert parse_qs(urlsplit(answer.location).query)["next"] == [path]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("login", ["alice", "bob"])
def test_merchants_and_payers_are_refused(app, people, id_of, path, login):
    """The error page has no figures and no logins."""
    browser = sign_in(app, login)
    for url in (path, f"/admin/accounts/{id_of('rita')}"):
        answer = browser.get(url)
        assert answer.status_code == 403
        assert answer.mimetype == "text/html"
        assert "rita" not in answer.text
        assert "Visão geral" not in answer.text


@pytest.mark.parametrize("login", ["alice", "bob"])
def test_merchants_and_payers_cannot_disable_accounts(app, people, id_of, tables, login):
    """Even with their own CSRF token."""
    browser = sign_in(app, login)
    for verb in ("disable", "enable"):
        assert browser.post(f"/admin/accounts/{id_of('rita')}/{verb}").status_code == 403
    assert tables.rows("SELECT login FROM accounts WHERE disabled_at IS NOT NULL") == []


def test_a_merchants_api_key_is_refused(app, alice, client):
    """With any scopes: only a signed-in administrator has access."""
    answer = alice.client.post("/api/keys", json={}, headers={"X-CSRF-TOKEN": alice.token})
    key = bearer(answer.get_json()["key"])
    assert client.get("/payments/pix", headers=key).status_code == 200
    assert client.get("/admin", headers=key).status_code == 403


@pytest.mark.parametrize("path", PAGES)
def test_an_administrator_sees_every_page_in_both_languages(root, path):
    """No browser may store the pages."""
    for language, word in (("pt-BR", "Contas"), ("en", "Accounts")):
        separator = "&" if "?" in path else "?"
        answer = root.get(f"{path}{separator}lang={language}")
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        if "fragment" not in path:
            assert word in answer.text


@pytest.mark.parametrize(
    ("login", "next_url", "location"),
    [
        ("root", "", "/admin"),
        ("alice", "", "/portal"),
        ("bob", "", "/pay"),
        ("root", "/docs", "/docs"),
        ("bob", "//elsewhere.example", "/pay"),
    ],
)
def test_a_sign_in_redirects_to_the_roles_own_page(app, people, login, next_url, location):
    """Unless `next` is a path of this service."""
    client = app.test_client()
    page = client.get("/login", headers=PAGE).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token
    form = {"username": login, "password": PASSWORD, "next": next_url, "csrf_token": token[1]}
    answer = client.post("/api/login", data=form, headers=PAGE)
    assert (answer.status_code, answer.location) == (303, location)


def test_payers_and_administrators_cannot_open_the_portal(app, root):
    """Each role has its own pages."""
    assert root.get("/portal").status_code == 403
    assert sign_in(app, "bob").get("/portal").status_code == 403
