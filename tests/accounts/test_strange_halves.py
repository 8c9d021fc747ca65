"""A test half tries every route with every id of its merchant's, and the merchant with its half's.

The routes and the ids are those of `test_strangers`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from accounts import modes
from accounts.halves import ensure_test_half
from accounts.keys import SCOPES
from accounts.service import make_key
from config import parts_of
from db_models import Environment
from repository.database import in_unit_of_work
from tests.accounts import test_strangers
from tests.accounts.people import Person, bearer
from tests.accounts.test_strangers import (
    BODIES,
    BY_LINK,
    ORDER,
    OWN_NAMES,
    REFUSED,
    SECRET_WORDS,
    routes,
    state,
)
from tests.pix_api.clients import new_client
from tests.providers.enrolled import enrol, new_account
from tests.support.service import (
    PIX_KEY,
    TEST_BANK_SECRET,
    close_app,
    ready_app,
    settings_for,
)

alices = test_strangers.alices
OF_BOTH = {
    "DELETE /api/sessions/<string:session_id>": "in both modes the person who signed in",
    "POST /portal/settings/sessions/<string:session_id>/end": "the same",
}
REVOKE = "DELETE /api/keys/<string:key_id>"
"""In both modes the merchant's sign-in revokes every key; a live key revokes test keys."""
REVOKES = frozenset({REVOKE, "POST /portal/settings/keys/<string:key_id>/revoke"})


@pytest.fixture
def app(fresh_database, tmp_path, clock):
    """The service in production, with a bank of test halves."""
    app = ready_app(
        settings_for(
            fresh_database("sqlite"),
            tmp_path,
            app_env="production",
            sign_up="open",
            public_url="http://127.0.0.1:5000",
            webhook_allow_private="true",
            test_bank_url="http://127.0.0.1:9",
            test_bank_webhook_secret=TEST_BANK_SECRET,
        ),
        clock,
    )
    yield app
    close_app(app)


@pytest.fixture
def alice(app):
    """The account with all the ids."""
    return merchant(app, "alice", PIX_KEY)


def merchant(app: Flask, login: str, pix_key: str) -> Person:
    """A merchant with a Pix key."""
    person = Person(app, login)
    person.sign_up()
    change(app, login, {"pix_key": pix_key})
    return person


def change(app: Flask, login: str, values: dict[str, Any]) -> int:
    """Write columns of an account; returns its row id."""

    def do(work):
        row = work.accounts.by_login(login).id
        work.accounts.change(row, values)
        return row

    with app.app_context():
        return in_unit_of_work(do)


@dataclass
class OtherHalf:
    """The credentials of the half that owns nothing."""

    name: str
    pix: dict[str, str]
    headers: dict[str, str]
    browser: Any = None
    may: frozenset[str] = frozenset()
    """What it may do by design."""

    def ask(self, app: Flask, method: str, path: str, body: Any) -> TestResponse:
        """Send the request."""
        if path.startswith("/api-pix/v2"):
            client, headers = app.test_client(), self.pix
        else:
            client, headers = self.browser or app.test_client(), self.headers
        kind = "data" if path.startswith("/portal") else "json"
        options = {} if method == "GET" else {kind: body}
        return client.open(path, method=method, headers=headers, **options)


@pytest.fixture(params=["test half", "merchant"])
def others(app, alice, alices, request) -> list[OtherHalf]:
    """The other half of the account that has all the ids: its test half, or its merchant."""
    if request.param == "test half":
        # The fixture's account at a bank is for tests, so it belongs to the test half.
        live = enrol(app, "alice", new_account(Environment.LIVE))
        alices.ids["provider_id"] = [live.public_id]

        def ensure(work):
            half = ensure_test_half(work, work.accounts.by_login("alice"))
            return half.login

        with app.app_context():
            half_login = in_unit_of_work(ensure)
        pix = bearer(new_client(app, half_login).token(app))

        def make(work):
            half = work.accounts.by_login(half_login)
            return make_key(work, half, "tests", tuple(SCOPES), by=None)[1]

        with app.app_context():
            key = in_unit_of_work(make)
        assert key.startswith("balcao_test_")
        browser = alice.enter()
        page = browser.post("/portal/mode", data={"mode": "test", "csrf_token": alice.csrf})
        assert page.status_code == 303, page.text
        csrf = {"X-CSRF-TOKEN": f"{modes.TOKEN_PREFIX}{alice.csrf}"}
        return [
            OtherHalf("test key", pix, bearer(key)),
            OtherHalf("browser in test mode", pix, csrf, browser, frozenset({REVOKE})),
        ]
    zoe = merchant(app, "zoe", "zoe@shop.example")
    change(app, "alice", {"test_of_id": change(app, "zoe", {})})
    with app.app_context():
        parts_of(app).presenter.halves._halves.clear()
    pix = bearer(new_client(app, "zoe").token(app))
    browser = zoe.enter()
    live_key = bearer(zoe.key(*SCOPES, livemode=True)["key"])
    return [
        OtherHalf("live token", pix, zoe.bearer(), None, REVOKES),
        OtherHalf("live key", pix, live_key, None, REVOKES),
        OtherHalf("browser", pix, zoe.with_csrf(), browser, REVOKES),
    ]


def test_every_route_with_an_id_refuses_the_other_half(app, alices, others):
    """And nothing has changed."""
    allowed = {*BY_LINK, *OWN_NAMES, *OF_BOTH}
    before = state(app)
    wrong = []
    requests = 0
    for name, method, rule in routes(app):
        if not rule.arguments or name in allowed:
            continue
        for path in alices.addresses(app, rule):
            for other in others:
                if name in other.may:
                    continue
                answer = other.ask(app, method, path, BODIES.get(name, {}))
                requests += 1
                if answer.status_code not in REFUSED or SECRET_WORDS in answer.text:
                    wrong.append((other.name, method, path, answer.status_code))
    assert wrong == []
    assert requests > 50
    assert state(app) == before


def test_every_list_has_ids_of_its_own_half_alone(app, alices, others):
    """What the person and the shop share is no id of money."""
    shared = {"name", "color", "filename", "slug", "login", "session_id", "account_id", "chave"}
    ids = {name: values for name, values in alices.ids.items() if name not in shared}
    hers = {SECRET_WORDS, ORDER, *itertools.chain(*ids.values())}
    leaks = []
    for name, method, rule in routes(app):
        if rule.arguments or method != "GET":
            continue
        for other in others:
            answer = other.ask(app, method, rule.rule, None)
            assert answer.status_code != 500, (name, answer.text)
            leaks += [(other.name, name, text) for text in hers if text in answer.text]
    assert leaks == []
