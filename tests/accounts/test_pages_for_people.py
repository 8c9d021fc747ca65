"""Pages and their forms are for people: an API key or a token opens none, whatever it may do.

A page asks for no scope. A key for reading payments would read sessions and keys in the settings,
and a key for the settings would make a key that gives money back.
"""

from __future__ import annotations

import pytest
from flask import Flask

from accounts.keys import SCOPES
from tests.accounts.people import Person, bearer

FOR_PEOPLE = ("/portal", "/admin", "/pay")
ID = "0" * 32


def guarded_routes(app: Flask) -> list[tuple[str, str]]:
    """Method and address of each page and form post below FOR_PEOPLE."""
    routes = []
    for rule in app.url_map.iter_rules():
        path = str(rule.rule)
        if not any(path == root or path.startswith(f"{root}/") for root in FOR_PEOPLE):
            continue
        with app.test_request_context():
            values = dict.fromkeys(rule.arguments, ID)
            if "<any(" in path:
                values["name"] = "qr.svg"
            address = app.url_map.bind("localhost").build(rule.endpoint, values)
        routes += [
            (method, address) for method in sorted((rule.methods or set()) & {"GET", "POST"})
        ]
    return routes


@pytest.fixture
def credentials(app) -> dict[str, dict[str, str]]:
    """A key with all scopes and a token of a merchant; the token of a payer."""
    alice, bob = Person(app, "alice"), Person(app, "bob")
    alice.sign_up()
    bob.sign_up(role="payer")
    return {
        "key": bearer(alice.key(*SCOPES)["key"]),
        "token": alice.bearer(),
        "payer's token": bob.bearer(),
    }


def test_no_key_and_no_token_opens_a_page_or_sends_its_form(app, credentials):
    """Every route of the portal, the administration and the payer's pages, from the URL map."""
    routes = guarded_routes(app)
    assert len(routes) > 30
    for name, header in credentials.items():
        for method, address in routes:
            answer = app.test_client().open(address, method=method, headers=header)
            outcome = (answer.status_code, (answer.get_json(silent=True) or {}).get("code"))
            assert outcome == (403, "people-only"), (name, method, address)


def test_a_key_for_the_settings_makes_no_key_that_refunds(app, credentials):
    """Neither by the form of the portal nor by the API; a person may."""
    alice = Person(app, "alice")
    key = bearer(alice.key("account:write", "payments:read")["key"])
    form = {"label": "till", "scopes": "refunds:write"}
    client = app.test_client()
    before = len(client.get("/api/keys", headers=key).get_json()["data"])

    by_form = client.post("/portal/settings/keys", data=form, headers=key)
    by_api = client.post("/api/keys", json={"scopes": ["refunds:write"]}, headers=key)

    assert (by_form.status_code, by_api.status_code) == (403, 403)
    assert len(client.get("/api/keys", headers=key).get_json()["data"]) == before
    browser = alice.enter()
    by_hand = browser.post("/portal/settings/keys", data={**form, "csrf_token": alice.csrf})
    assert by_hand.status_code == 200


def test_a_repeated_request_gives_no_key_to_a_key_that_lacks_its_scopes(app, credentials):
    """An Idempotency-Key of the owner must not hand its answer to a smaller key."""
    alice = Person(app, "alice")
    once = {"Idempotency-Key": "the-key"}
    body = {"label": "till", "scopes": ["refunds:write"]}
    assert alice.post("/api/keys", json=body, headers={**alice.bearer(), **once}).status_code == 201

    smaller = bearer(alice.key("account:write")["key"])
    answer = alice.post("/api/keys", json=body, headers={**smaller, **once})

    assert answer.status_code == 403
    assert "balcao_" not in answer.text
