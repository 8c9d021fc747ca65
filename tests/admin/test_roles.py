"""Who may see the administrators' pages, and where a sign-in leads."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.accounts.people import bearer
from tests.portal.signing import PASSWORD, sign_in

PAGES = ["/admin", "/admin?fragment=overview", "/admin/accounts", "/admin/audit"]
PAGE = {"Accept": "text/html"}


@pytest.mark.parametrize("path", PAGES)
def test_nobody_is_led_to_the_sign_in_and_back(client, people, path):
    """Also in development: the demo merchant is nobody's administrator."""
    answer = client.get(path, headers=PAGE)
    assert answer.status_code == 303
    assert parse_qs(urlsplit(answer.location).query)["next"] == [path]


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("login", ["alice", "bob"])
def test_merchants_and_payers_are_refused(app, people, id_of, path, login):
    """A page says so, and neither figure nor login of anybody is in it."""
    browser = sign_in(app, login)
    for there in (path, f"/admin/accounts/{id_of('rita')}"):
        answer = browser.get(there)
        assert answer.status_code == 403
        assert answer.mimetype == "text/html"
        assert "rita" not in answer.text
        assert "Visão geral" not in answer.text


@pytest.mark.parametrize("login", ["alice", "bob"])
def test_merchants_and_payers_disable_nobody(app, people, id_of, tables, login):
    """With their own CSRF token: the role decides."""
    browser = sign_in(app, login)
    for verb in ("disable", "enable"):
        assert browser.post(f"/admin/accounts/{id_of('rita')}/{verb}").status_code == 403
    assert tables.rows("SELECT login FROM accounts WHERE disabled_at IS NOT NULL") == []


def test_an_api_key_of_a_merchant_opens_nothing_here(app, alice, client):
    """Whatever its scopes: only whoever signed in as an administrator comes in."""
    made = alice.client.post("/api/keys", json={}, headers={"X-CSRF-TOKEN": alice.token})
    key = bearer(made.get_json()["key"])
    assert client.get("/payments/pix", headers=key).status_code == 200
    assert client.get("/admin", headers=key).status_code == 403


@pytest.mark.parametrize("path", PAGES)
def test_an_administrator_sees_every_page_in_both_languages(root, path):
    """And no browser keeps it."""
    for language, word in (("pt-BR", "Contas"), ("en", "Accounts")):
        joint = "&" if "?" in path else "?"
        answer = root.get(f"{path}{joint}lang={language}")
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        if "fragment" not in path:
            assert word in answer.text


@pytest.mark.parametrize(
    ("login", "wished", "there"),
    [
        ("root", "", "/admin"),
        ("alice", "", "/portal"),
        ("bob", "", "/pay"),
        ("root", "/docs", "/docs"),
        ("bob", "//elsewhere.example", "/pay"),
    ],
)
def test_a_sign_in_leads_to_the_roles_own_page(app, people, login, wished, there):
    """Where `next` says nothing, or nothing that is ours."""
    client = app.test_client()
    page = client.get("/login", headers=PAGE).text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert token
    form = {"username": login, "password": PASSWORD, "next": wished, "csrf_token": token[1]}
    answer = client.post("/api/login", data=form, headers=PAGE)
    assert (answer.status_code, answer.location) == (303, there)


def test_a_payer_is_not_shown_the_portal_and_an_administrator_neither(app, root):
    """Each role has its own pages: an administrator is no merchant."""
    assert root.get("/portal").status_code == 403
    assert sign_in(app, "bob").get("/portal").status_code == 403
