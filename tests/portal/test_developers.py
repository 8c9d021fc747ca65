"""The developers' page: mode, address, keys, and the merchant's own refused requests."""

from __future__ import annotations

import re

import pytest

from accounts.refusals import KEPT_FOR, KEPT_PER_MERCHANT, NOTES_PER_MINUTE, refusal_notes
from blueprints.portal.developer_routes import REFUSALS_UNFOLDED
from tests.portal.signing import CONFIRMED, PASSWORD, search, sign_in
from tests.support.service import close_app, ready_app, settings_for
from web.docs_routes import error_rows

PAGE = "/portal/developers"
PAGE_MAX = 8
"""Statements: the sign-in, refusals, keys, clients, webhooks, events, and the badge of signals."""


@pytest.fixture
def program(app):
    """Send a request as a program of this person: program("alice", "GET", path) → answer."""

    def send(login, method, path, **options):
        client = app.test_client()
        form = {"username": login, "password": PASSWORD}
        token = client.post("/token", data=form).get_json()["access_token"]
        header = {"Authorization": f"Bearer {token}"}
        return app.test_client().open(path, method=method, headers=header, **options)

    return send


def write(app):
    """Run the job that writes the noted refusals."""
    with app.app_context():
        refusal_notes().write()


def refusals_on(page):
    """The rows of refused requests on a page."""
    return re.findall(r'<li class="item refusal">.*?</li>', page, re.DOTALL)


def test_a_refused_request_is_shown_with_what_explains_it(app, alice, program):
    """Code, field and request id, with a link to the error's explanation that exists."""
    body = {"value": "12.345", "description": "private words"}
    answer = program("alice", "POST", "/payments/pix", json=body)
    assert answer.status_code == 400
    write(app)

    (row,) = refusals_on(alice.get(PAGE).text)
    code = answer.get_json()["code"]
    for text in ("POST /payments/pix", ">400<", "<code>value</code>", "com um token de acesso"):
        assert text in row
    assert search(row, r'<code id="request-1">([^<]+)<') == answer.headers["X-Request-ID"]
    assert search(row, r'href="([^"]+)"') == f"/docs/errors#{code}"
    assert f'id="{code}"' in app.test_client().get("/docs/errors").text
    assert "12.345" not in row
    assert "private words" not in row


def test_another_merchants_refused_requests_are_absent(app, alice, charlie, program):
    """Charlie sees his own only, and nothing of Alice's paths and ids."""
    program("alice", "GET", "/payments/pix/receipts?limit=0")
    program("charlie", "GET", "/payments/pix?limit=0")
    write(app)
    (hers,), (his,) = (refusals_on(one.get(PAGE).text) for one in (alice, charlie))
    assert "GET /payments/pix/receipts<" in hers
    assert "GET /payments/pix<" in his


def test_a_merchant_without_refusals_reads_what_will_appear(alice):
    """An empty list must not look broken."""
    page = alice.get(f"{PAGE}?lang=en").text
    assert refusals_on(page) == []
    assert "No request was refused in the last 7 days." in page


def test_a_revoked_key_is_named_as_revoked(app, alice):
    """The merchant finds the program that was forgotten when the key was revoked."""
    page = alice.post("/portal/settings/keys", {"label": "Site", "scopes": ["payments:read"]}).text
    key = search(page, r'value="(balcao_test_[^"]+)"')
    assert "1 chave em uso." in alice.get(PAGE).text
    path = search(page, r'action="(/portal/settings/keys/[0-9a-f]{32}/revoke)"')
    assert alice.post(path, CONFIRMED).status_code == 303
    header = {"Authorization": f"Bearer {key}"}
    assert app.test_client().get("/payments/pix", headers=header).status_code == 401
    write(app)

    page = alice.get(PAGE).text
    assert "Nenhuma chave ainda." in page
    (row,) = refusals_on(page)
    assert ">401<" in row
    assert f"Site <code>{key[:16]}…</code> (revogada)" in row
    assert key not in page


def test_the_page_shows_all_stored_rows_and_folds_the_older_ones(app, alice, program, clock):
    """At most 200, with no row after seven days, also before the job has deleted it."""
    for _ in range(REFUSALS_UNFOLDED + 1):
        program("alice", "GET", "/payments/pix?limit=0")
    write(app)
    page = alice.get(PAGE).text
    unfolded, _, folded_part = page.partition('<details class="fold">')
    assert (len(refusals_on(unfolded)), len(refusals_on(folded_part))) == (REFUSALS_UNFOLDED, 1)
    assert len(set(re.findall(r'<code id="(request-\d+)"', page))) == REFUSALS_UNFOLDED + 1
    assert REFUSALS_UNFOLDED < NOTES_PER_MINUTE < KEPT_PER_MERCHANT
    clock.advance(seconds=KEPT_FOR.total_seconds() + 1)
    assert refusals_on(sign_in(app, "alice").get(PAGE).text) == []


def test_the_page_takes_at_most_seven_statements(app, alice, program, count_statements):
    """Also with rows: their keys come with them."""
    for _ in range(3):
        program("alice", "GET", "/payments/pix?limit=0")
    write(app)
    with count_statements() as statements:
        assert len(refusals_on(alice.get(PAGE).text)) == 3
    assert len(statements) <= PAGE_MAX, statements


def test_every_page_says_that_it_is_a_test(app, alice):
    """Nobody should take the simulated bank's money for real money."""
    for path in ("/portal", "/portal/payments", "/portal/settings", PAGE):
        assert "Ambiente de teste" in alice.get(path).text
    page = alice.get(PAGE).text
    assert '"livemode": false' in page
    assert "balcao_test_" in page
    assert "balcao_live_" not in page


def test_in_production_the_page_says_that_the_money_is_real(fresh_database, tmp_path, clock):
    """A merchant who thinks that this is a test would give goods away."""
    settings = settings_for(
        fresh_database("sqlite"),
        tmp_path,
        app_env="production",
        sign_up="open",
        public_url="https://shop.example",
    )
    app = ready_app(settings, clock)
    try:
        body = {"username": "alice", "password": PASSWORD}
        assert app.test_client().post("/users/", json=body).status_code == 201
        client = app.test_client(use_cookies=True)
        base = {"base_url": "https://shop.example"}
        assert client.post("/api/login", json=body, **base).status_code == 200
        page = client.get(PAGE, headers={"Accept": "text/html"}, **base).text
    finally:
        close_app(app)
    assert '"livemode": true' in page
    assert "balcao_live_" in page
    assert 'value="https://shop.example"' in page
    assert "Ambiente de teste" not in page


def test_every_code_of_an_error_has_its_place_in_the_list(app):
    """Otherwise a link of the page would lead to the top of a long page."""
    with app.app_context():
        codes = {code for code, _status, _title in error_rows()}
    assert {"refused", "internal-error", "unauthorized", "too-many-requests"} <= codes
