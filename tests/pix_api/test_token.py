"""`POST /api-pix/oauth/token`: each way to prove oneself, each error, and its bounds."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from hypothesis import given, settings, strategies
from werkzeug.test import TestResponse

from accounts import oauth_clients
from accounts.oauth_clients import SCOPES
from accounts.oauth_tokens import (
    TOKEN_SECONDS,
    read_token,
)
from core.errors import Forbidden
from db_models import OAuthClient
from repository.database import in_unit_of_work, reading
from tests.accounts.people import actions
from tests.pix_api.clients import (
    GRANT,
    TOKEN,
    PixClient,
    basic,
    demo_client,
    new_client,
    refusal,
    who,
)
from tests.portal.signing import make_account
from tests.support.clocks import FrozenClock
from tests.support.service import DEMO_PASSWORD, close_app, ready_app, settings_for


def ask(app: Flask, **options: Any) -> TestResponse:
    """Send a token request."""
    return app.test_client().post(TOKEN, **options)


WAYS = {
    "Basic and a form": lambda c: {"headers": c.basic(), "data": GRANT},
    "Basic and JSON": lambda c: {"headers": c.basic(), "json": GRANT},
    "Basic with plain credentials": lambda c: {
        "headers": basic(f"{c.client_id}:{c.secret}"),
        "data": GRANT,
    },
    "Basic, and the same in the body": lambda c: {
        "headers": c.basic(),
        "data": {**GRANT, "client_id": c.client_id, "client_secret": c.secret},
    },
    "a form": lambda c: {"data": {**GRANT, "client_id": c.client_id, "client_secret": c.secret}},
    "JSON": lambda c: {"json": {**GRANT, "client_id": c.client_id, "client_secret": c.secret}},
    "JSON with null and foreign members": lambda c: {
        "json": {
            **GRANT,
            "client_id": c.client_id,
            "client_secret": c.secret,
            "scope": None,
            "audience": ["x"],
        }
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_a_client_proves_itself_in_each_way_that_sdks_use(app, pix_client, way):
    """SDKs of Brazilian banks differ in this; each must work unmodified."""
    answer = ask(app, **WAYS[way](pix_client))
    assert answer.status_code == 200, answer.text
    body = answer.get_json()
    assert list(body) == ["token_type", "access_token", "expires_in", "scope"]
    assert body["token_type"] == "Bearer"
    assert type(body["expires_in"]) is int
    assert body["expires_in"] == TOKEN_SECONDS == 3600
    assert body["scope"] == "cob.read cob.write pix.read"
    assert answer.headers["Cache-Control"] == "no-store"
    assert who(app, body["access_token"]) == "alice"


@pytest.mark.parametrize(
    "path", [TOKEN, f"{TOKEN}/", "/api-pix/v2/oauth/token", "/api-pix/v2/oauth/token/"]
)
def test_the_token_is_at_each_path_that_sdks_call(app, pix_client, path):
    """Some SDKs join a version or a slash to the path."""
    answer = app.test_client().post(path, data=GRANT, headers=pix_client.basic())
    assert answer.status_code == 200


def test_a_request_may_ask_for_less_scopes_but_not_for_more(app, pix_client):
    """A token must not do what its client may not."""
    answer = pix_client.ask(app, scope="pix.read  cob.read pix.read")
    assert answer.get_json()["scope"] == "pix.read cob.read"
    token = answer.get_json()["access_token"]
    assert who(app, token, "pix.read") == "alice"
    with pytest.raises(Forbidden, match=r"cob\.write"):
        who(app, token, "cob.write")
    for scope in ("cobv.read", "cob.read cobv.read", "everything", "cob.readé", "x" * 5000, "\x7f"):
        refusal(pix_client.ask(app, scope=scope), 400, "invalid_scope")
    assert pix_client.ask(app, scope="").get_json()["scope"] == "cob.read cob.write pix.read"


def test_wrong_credentials_are_401_with_a_challenge(app, pix_client):
    """RFC 6749, 5.2, and RFC 7617: a library reads the challenge and the error."""
    stranger = new_client(app, "demo")
    wrong = [
        {"headers": PixClient(pix_client.client_id, stranger.secret).basic(), "data": GRANT},
        {"headers": PixClient("a" * 32, pix_client.secret).basic(), "data": GRANT},
        {
            "headers": PixClient(pix_client.client_id.upper(), pix_client.secret).basic(),
            "data": GRANT,
        },
        {
            "headers": PixClient(f"{pix_client.client_id} ", pix_client.secret).basic(),
            "data": GRANT,
        },
        {
            "headers": PixClient(pix_client.client_id, f"{pix_client.secret}\x00").basic(),
            "data": GRANT,
        },
        {
            "headers": PixClient(f"{pix_client.client_id}\x00", pix_client.secret).basic(),
            "data": GRANT,
        },
        {"headers": PixClient(pix_client.client_id, "").basic(), "data": GRANT},
        {"headers": PixClient(pix_client.client_id, "x" * 2000).basic(), "data": GRANT},
        {"headers": basic(pix_client.client_id), "data": GRANT},
        {"headers": basic(b"\xff\xfe:\xff"), "data": GRANT},
        {"headers": {"Authorization": "Basic"}, "data": GRANT},
        {"headers": {"Authorization": "Basic !!!"}, "data": GRANT},
        {"headers": {"Authorization": "Basic é"}, "data": GRANT},
        {"headers": {"Authorization": f"Bearer {pix_client.token(app)}"}, "data": GRANT},
        {"data": {**GRANT, "client_id": pix_client.client_id}},
        {"data": {**GRANT, "client_secret": pix_client.secret}},
        {"json": {**GRANT, "client_id": pix_client.client_id, "client_secret": ""}},
        {"data": GRANT},
    ]
    for options in wrong:
        refusal(ask(app, **options), 401, "invalid_client")


def test_bad_requests_name_their_fault(app, pix_client):
    """RFC 6749, 5.2: the error says what to change."""
    there = {"headers": pix_client.basic()}
    refusal(ask(app, **there, data={"grant_type": "password"}), 400, "unsupported_grant_type")
    refusal(ask(app, **there, data={"grant_type": 'é"\\\x01'}), 400, "unsupported_grant_type")
    form = "application/x-www-form-urlencoded"
    bad: list[dict[str, Any]] = [
        {},
        {"data": {"grant_type": ""}},
        {"data": "grant_type=client_credentials&grant_type=client_credentials"},
        {"data": "grant_type=client_credentials&scope=%00"},
        {"data": {**GRANT, "client_id": "another"}},
        {"data": {**GRANT, "client_secret": "another"}},
        {"data": "grant_type=client_credentials", "content_type": "text/plain"},
        {"data": "<grant_type/>", "content_type": "application/xml"},
        {"data": b"\xff", "content_type": "application/json"},
        {"data": "{", "content_type": "application/json"},
        {"data": "[]", "content_type": "application/json"},
        {"data": '{"grant_type": 1}', "content_type": "application/json"},
        {"data": '{"scope": ["cob.read"]}', "content_type": "application/json"},
        {"data": '{"a": 1, "a": 2}', "content_type": "application/json"},
        {"data": "[" * 3000, "content_type": "application/json"},
        {"data": {str(number): "x" for number in range(2000)}},
    ]
    for options in bad:
        if isinstance(options.get("data"), str) and "content_type" not in options:
            options["content_type"] = form
        answer = ask(app, **there, **options)
        refusal(answer, 400, "invalid_request")
    too_much = ask(app, **there, data="x" * 100_000, content_type=form)
    refusal(too_much, 413, "invalid_request")


@settings(max_examples=150)
@given(
    header=strategies.none() | strategies.binary(max_size=40),
    body=strategies.binary(max_size=80),
    kind=strategies.sampled_from(
        [
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "multipart/form-data",
            "application/json; charset=utf-7",
            "é/;;",
        ]
    ),
)
def test_no_bytes_bring_the_service_down(shared_app, header, body, kind):
    """Strangers may send anything."""
    headers = {} if header is None else {"Authorization": "Basic " + header.decode("latin-1")}
    headers = {
        name: value for name, value in headers.items() if not set(value) & {"\r", "\n", "\0"}
    }
    answer = shared_app.test_client().post(TOKEN, data=body, content_type=kind, headers=headers)
    assert answer.status_code in (400, 401, 429), answer.text
    assert answer.get_json()["error"] in (
        "invalid_request",
        "invalid_client",
        "unsupported_grant_type",
        "temporarily_unavailable",
    )


@pytest.fixture(scope="module")
def shared_app(tmp_path_factory):
    """One app for all examples of a property; it stores nothing."""
    folder = tmp_path_factory.mktemp("shared")
    app = ready_app(settings_for(f"sqlite:///{folder}/b.sqlite3", folder), FrozenClock())
    yield app
    close_app(app)


def test_many_token_requests_at_once_all_get_a_token(each_app):
    """Two workers of one shop start at the same moment: no request waits for a row of another."""
    client = demo_client(each_app)
    answers: list[TestResponse] = []
    start = threading.Barrier(8)

    def run() -> None:
        start.wait()
        answers.append(client.ask(each_app))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tokens = {answer.get_json()["access_token"] for answer in answers}
    assert len(tokens) == 8
    assert {who(each_app, token) for token in tokens} == {"demo"}


def test_wrong_secrets_are_limited_and_lock_nobody_out(tmp_path, fresh_database, clock):
    """Somebody who knows a client's id, even at the client's address, must not stop the client."""
    limited = settings_for(fresh_database("sqlite"), tmp_path, sign_in_tries_per_address_max=3)
    app = ready_app(limited, clock)
    try:
        client = demo_client(app)
        stranger = PixClient(client.client_id, "a guess")
        for _ in range(3):
            refusal(stranger.ask(app), 401, "invalid_client")
        for _ in range(3):
            answer = stranger.ask(app)
            refusal(answer, 429, "temporarily_unavailable")
            assert int(answer.headers["Retry-After"]) > 0
        assert client.ask(app).status_code == 200
        elsewhere = {"REMOTE_ADDR": "203.0.113.9"}
        answer = ask(app, headers=stranger.basic(), data=GRANT, environ_overrides=elsewhere)
        refusal(answer, 401, "invalid_client")
        # The sign-in of people is counted apart: a broken SDK does not lock the portal.
        form = {"username": "demo", "password": DEMO_PASSWORD}
        assert app.test_client().post("/token", data=form).status_code == 200
    finally:
        close_app(app)


def test_a_secret_is_stored_as_its_hash_and_never_told_again(app, pix_client):
    """A table or a backup must not give a usable secret away."""
    with app.app_context(), reading() as work:
        row = work.session.scalars(
            sa.select(OAuthClient).where(OAuthClient.client_id == pix_client.client_id)
        ).one()
        stored = json.dumps({c.name: str(getattr(row, c.name)) for c in OAuthClient.__table__.c})
    assert pix_client.secret not in stored
    assert row.secret_sha256 == oauth_clients.secret_hash(pix_client.secret)
    assert len(pix_client.secret) >= 43
    assert "oauth-client.created" in actions(app, "alice")


def test_an_account_has_a_bound_of_clients(app, pix_client):
    """Everything that somebody can make has a bound; a revoked client does not count."""
    for _ in range(oauth_clients.CLIENTS_MAX - 1):
        last = new_client(app, "alice")
    with pytest.raises(Exception, match="at most 50"):
        new_client(app, "alice")
    with app.app_context():
        in_unit_of_work(
            lambda work: oauth_clients.revoke_client(
                work, work.accounts.by_login("alice"), last.client_id
            )
        )
    assert new_client(app, "alice").token(app)


def test_the_demo_merchant_has_the_client_in_the_settings(tmp_path, fresh_database, clock):
    """It is printed at the start, so it works after every start, even if it was revoked."""
    url = fresh_database("sqlite")
    first = ready_app(settings_for(url, tmp_path), clock)
    client = demo_client(first)
    assert set(read_scopes(first, client.token(first))) == set(SCOPES)
    with first.app_context():
        in_unit_of_work(
            lambda work: oauth_clients.revoke_client(
                work, work.accounts.by_login("demo"), client.client_id
            )
        )
    close_app(first)
    secret = "another-secret-of-the-demo"
    second = ready_app(settings_for(url, tmp_path, demo_client_secret=secret), clock)
    try:
        refusal(client.ask(second), 401, "invalid_client")
        assert PixClient(client.client_id, secret).token(second)
    finally:
        close_app(second)


def read_scopes(app: Flask, token: str) -> frozenset[str]:
    """The scopes in the token."""
    with app.app_context():
        return read_token(token).scopes


def test_production_has_no_demo_client(tmp_path, fresh_database, clock):
    """Even with the credentials in its settings; a client made there works."""
    values = {"app_env": "production", "public_url": "https://shop.example"}
    credentials = {"demo_client_id": "demo-client", "demo_client_secret": "demo-secret-of-16"}
    live = settings_for(fresh_database("sqlite"), tmp_path, **values, **credentials)
    app = ready_app(live, clock)
    try:
        refusal(demo_client(app).ask(app), 401, "invalid_client")
        make_account(app, "alice")
        client = new_client(app, "alice")
        assert who(app, client.token(app)) == "alice"
    finally:
        close_app(app)


def test_a_token_costs_one_statement(app, pix_client):
    """A shop may ask for a token before each request."""
    statements = []
    listening = (sa.engine.Engine, "before_cursor_execute")

    def hear(*arguments: Any) -> None:
        statements.append(arguments[2].split()[0])

    sa.event.listen(*listening, hear)
    try:
        assert pix_client.ask(app).status_code == 200
    finally:
        sa.event.remove(*listening, hear)
    assert [name for name in statements if name not in ("BEGIN", "PRAGMA")] == ["SELECT"]
