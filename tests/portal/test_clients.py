"""The portal's pages of API Pix clients: the secret is shown once, and revoking ends it at once."""

from __future__ import annotations

import pytest

from accounts import oauth_clients
from accounts.oauth_clients import SCOPES
from tests.pix_api.clients import PixClient, new_client
from tests.portal.signing import CONFIRMED, search

PAGE = "/portal/developers"
NEW = f"{PAGE}/clients/new"
CREATE = f"{PAGE}/clients"


def credentials_on(answer) -> PixClient:
    """The credentials on the page that shows them."""
    assert answer.status_code == 200, answer.text
    page = answer.text
    return PixClient(
        search(page, r'id="client-id" readonly value="([^"]+)"'),
        search(page, r'id="client-secret" readonly value="([^"]+)"'),
    )


def test_the_page_shows_credentials_that_work_and_shows_the_secret_once(app, alice):
    """A merchant copies them into an SDK, and can never read the secret again."""
    scopes = ["cob.read", "cob.write", "pix.write"]
    answer = alice.post(CREATE, {"label": "ERP", "scopes": scopes})
    client = credentials_on(answer)
    assert 'value="http://127.0.0.1:5000/api-pix"' in answer.text
    assert client.ask(app).get_json()["scope"] == " ".join(scopes)
    page = alice.get(PAGE).text
    assert client.client_id in page
    assert "ERP" in page
    assert "cob, pix.write<" in page
    assert client.secret not in page


def test_the_form_proposes_every_scope_and_keeps_what_was_chosen(alice):
    """The first try with an SDK works; a refused form loses nothing."""
    page = alice.get(NEW).text
    assert page.count('name="scopes"') == page.count(" checked>") == len(SCOPES) == 24
    refused = alice.post(CREATE, {"label": "", "scopes": ["cob.read", "cobv.write"]})
    assert refused.status_code == 400
    assert refused.text.count(" checked>") == 2
    assert "<strong>" not in refused.text


@pytest.mark.parametrize(
    "fields",
    [
        {"scopes": ["cob.read"]},
        {"label": " ", "scopes": ["cob.read"]},
        {"label": "x" * 61, "scopes": ["cob.read"]},
        {"label": "ERP"},
        {"label": "ERP", "scopes": ["payments:write", "cob"]},
    ],
)
def test_a_form_without_a_name_or_a_scope_makes_nothing(app, alice, fields):
    """A client that may do nothing, or that nobody recognises, helps nobody."""
    assert alice.post(CREATE, fields).status_code == 400
    assert "clients/" not in alice.get(PAGE).text.replace("clients/new", "")


def test_revoking_asks_first_and_ends_the_client_and_its_tokens(app, alice):
    """It cannot be undone, and it holds in every process at once."""
    client = new_client(app, "alice", label="ERP antigo")
    address = f"{CREATE}/{client.client_id}/revoke"
    question = alice.post(address)
    assert question.status_code == 200
    assert "ERP antigo" in question.text
    assert client.ask(app).status_code == 200
    assert alice.post(address, CONFIRMED).status_code == 303
    assert client.ask(app).status_code == 401
    page = alice.get(f"{PAGE}?done=client-revoked&lang=en").text
    assert "Client revoked." in page
    assert "Revoked (1)" in page
    assert alice.post(address, CONFIRMED).status_code == 303  # safe to repeat


def test_another_merchant_neither_sees_nor_revokes_a_client(app, alice, charlie):
    """Charlie must not stop Alice's shop, nor learn of her client."""
    client = new_client(app, "alice", label="ERP de Alice")
    assert charlie.post(f"{CREATE}/{client.client_id}/revoke", CONFIRMED).status_code == 404
    assert charlie.post(f"{CREATE}/{client.client_id}/revoke").status_code == 404
    page = charlie.get(PAGE).text
    assert client.client_id not in page
    assert "ERP de Alice" not in page
    assert client.ask(app).status_code == 200


def test_the_bound_of_clients_is_told_in_the_form(app, alice, monkeypatch):
    """The sentence says what to do."""
    monkeypatch.setattr(oauth_clients, "CLIENTS_MAX", 2)
    for _ in range(2):
        credentials_on(alice.post(CREATE, {"label": "ERP", "scopes": ["cob.read"]}))
    answer = alice.post(f"{CREATE}?lang=en", {"label": "ERP", "scopes": ["cob.read"]})
    assert answer.status_code == 409
    assert "There are too many clients: revoke one first. At most 2." in answer.text
