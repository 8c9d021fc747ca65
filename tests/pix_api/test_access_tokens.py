"""Access tokens of API Pix: for whom they act, how long, and who else may use them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from joserfc import jwt
from joserfc.jwk import OctKey

from accounts import oauth_clients
from accounts.oauth_clients import oauth_client_uses
from accounts.oauth_tokens import (
    TOKEN_SECONDS,
    issue_token,
    merchant_of_token,
    signing_key,
)
from core.errors import Unauthorized
from repository.database import in_unit_of_work, reading
from tests.accounts.people import bearer
from tests.pix_api.clients import (
    demo_client,
    new_client,
    refusal,
    stored,
    who,
)
from tests.portal.signing import make_account
from tests.support.service import DEMO_PASSWORD


def test_a_token_expires_after_an_hour(app, pix_client, clock):
    """The clock alone ends it, without a row."""
    token = pix_client.token(app)
    clock.advance(seconds=TOKEN_SECONDS - 1)
    assert who(app, token) == "alice"
    clock.advance(seconds=1 + 11)  # the clocks of two machines may differ by ten seconds
    with pytest.raises(Unauthorized, match="expired"):
        who(app, token)


def test_tokens_of_people_and_of_clients_are_different_worlds(app, pix_client):
    """A token of the portal must not be one of API Pix, nor the reverse, nor an API key."""
    token = pix_client.token(app)
    for path in ("/payments/pix", "/api/keys", "/users/me"):
        assert app.test_client().get(path, headers=bearer(token)).status_code == 401, path
    form = {"username": "demo", "password": DEMO_PASSWORD}
    person = app.test_client().post("/token", data=form).get_json()
    key = app.test_client().post("/api/keys", json={}, headers=bearer(person["access_token"]))
    for foreign in (person["access_token"], person["refresh_token"], key.get_json()["key"]):
        with pytest.raises(Unauthorized):
            who(app, foreign)


def test_a_forged_token_is_refused_without_a_statement(app, pix_client):
    """Strangers cannot make the database work."""
    token = pix_client.token(app)
    header, claims, signature = token.split(".")
    other_key = OctKey.import_key(b"k" * 32)
    body = jwt.decode(token, _signing_key(app), ["HS256"]).claims
    forged = [
        "",
        "x",
        "é",
        "a.b.c",
        f"{header}.{claims}.",
        f"{header}.{claims}.{signature[:-2]}AA",
        jwt.encode({"alg": "HS256", "typ": "at+jwt"}, body, other_key),
        "x" * 3000,
        # Signed with the right key, but for something else.
        _signed(app, {**body, "aud": "balcao"}),
        _signed(app, {**body, "iss": "https://other.example"}),
        _signed(app, {name: value for name, value in body.items() if name != "exp"}),
        _signed(app, {**body, "exp": "tomorrow"}),
        _signed(app, {**body, "exp": -(10**30)}),
        _signed(app, body, typ="JWT"),
    ]
    statements: list[str] = []
    with app.test_request_context(), reading() as work:
        sa.event.listen(
            work.connection,
            "before_cursor_execute",
            lambda *args: statements.append(args[2].split()[0]),
        )
        for text in forged:
            with pytest.raises(Unauthorized):
                merchant_of_token(work, f"Bearer {text}", "cob.read")
        for missing in (None, "", "Bearer", "Basic x", token):
            with pytest.raises(Unauthorized):
                merchant_of_token(work, missing, "cob.read")
        assert statements == []
        assert merchant_of_token(work, f"bearer {token}", "cob.read").login == "alice"
        assert (
            statements.count("SELECT") == len([name for name in statements if name != "BEGIN"]) == 1
        )


def _signing_key(app: Flask) -> OctKey:
    return signing_key(app.config["BALCAO"].secret_key)


def _signed(app: Flask, claims: dict[str, Any], typ: str = "at+jwt") -> str:
    return jwt.encode({"alg": "HS256", "typ": typ}, claims, _signing_key(app), default_type=None)


def test_a_token_made_before_the_clock_was_set_back_is_valid(app, pix_client, clock):
    """As for the tokens of people: only the expiry counts."""
    clock.advance(seconds=600)
    token = pix_client.token(app)
    clock.advance(seconds=-600)
    assert who(app, token) == "alice"


@pytest.mark.parametrize("change", ["revoked", "disabled"])
def test_a_revoked_client_and_a_disabled_account_stop_at_once(each_app, change):
    """With the tokens that were made before; on every database, in every process."""
    make_account(each_app, "alice")
    client = new_client(each_app, "alice")
    token = client.token(each_app)
    assert who(each_app, token) == "alice"

    def stop(work):
        account = work.accounts.by_login("alice")
        if change == "revoked":
            oauth_clients.revoke_client(work, account, client.client_id)
        else:
            work.accounts.set_disabled(account.id, work.now)

    with each_app.app_context():
        in_unit_of_work(stop)
    with pytest.raises(Unauthorized):
        who(each_app, token)
    refusal(client.ask(each_app), 401, "invalid_client")


def test_the_last_use_is_written_once_a_minute(each_app, clock):
    """The portal shows it; no request waits for the write."""
    client = demo_client(each_app)

    def used_at():
        with each_app.app_context():
            oauth_client_uses().write()
            with reading() as work:
                return stored(work, client).last_used_at

    assert used_at() is None
    token, first = client.token(each_app), clock.now()
    assert used_at() == first
    clock.advance(seconds=59)
    who(each_app, token)
    assert used_at() == first
    clock.advance(seconds=1)
    who(each_app, token)
    assert used_at() == first + timedelta(minutes=1)


def test_a_token_is_bound_to_the_certificate_of_its_request(app, pix_client):
    """RFC 8705: a stolen token is of no use without the certificate's key."""
    own, other = "A" * 43, "B" * 43
    with app.test_request_context():
        with reading() as work:
            row = stored(work, pix_client)
        token = issue_token(row, row.scopes, own)
    assert who(app, token, certificate=own) == "alice"
    for certificate in (other, None):
        with pytest.raises(Unauthorized, match="another certificate"):
            who(app, token, certificate=certificate)
