"""null in a JSON body means that the field is not given, in every optional field.

Clients such as Jackson and System.Text.Json write null for what they do not set.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.accounts.people import PASSWORD, Person
from tests.http.checks import fields, problem
from web.bodies import StrictBody, _optional_fields

DOORS: dict[str, tuple[str, dict[str, Any]]] = {
    "NewPayment": ("/payments/pix", {"value": 1}),
    "NewTransaction": ("/transactions/", {"amount": 1}),
    "StartedPayment": ("/api/start_payment", {"amount": 1}),
    "NewSession": ("/api/payment/create-session", {"order_id": "7", "amount": 1}),
    "NewUser": ("/users/", {"username": "zoe", "password": PASSWORD}),
    "SignInBody": ("/api/login", {"username": "alice", "password": PASSWORD}),
    "NewKey": ("/api/keys", {}),
    "NewEndpoint": ("/webhooks", {"url": "http://127.0.0.1:9/"}),
    "NewRefund": ("/payments/pix/{paid}/refunds", {}),
}
ELSEWHERE = {
    "PayBody", "WalletBody", "Attachment", "NewPayer", "RobotTerms", "EndpointChange",
    "ReplayWindow",
}  # fmt: skip
"""They need the simulated bank, money without a payment, a body around them, or a webhook
(webhooks/test_webhooks.py); the rule is that of all bodies."""


def bodies() -> list[type[StrictBody]]:
    """Every kind of request body that has an optional field."""
    every = {each.__name__: each for each in StrictBody.__subclasses__()}
    return [each for each in every.values() if _optional_fields(each)]


@pytest.fixture
def alice(app) -> Person:
    """A merchant with an account of her own."""
    alice = Person(app, "alice")
    alice.sign_up()
    return alice


def test_every_door_with_optional_fields_is_tried(app):
    """A new body with an optional field gets its line above."""
    assert {each.__name__ for each in bodies()} - ELSEWHERE == set(DOORS)


@pytest.mark.parametrize("name", DOORS)
def test_null_is_as_good_as_absent(app, alice, bank, name):
    """All optional fields at once are null, and the answer is the usual one."""
    path, body = DOORS[name]
    model = next(each for each in bodies() if each.__name__ == name)
    nulls = dict.fromkeys(_optional_fields(model) - body.keys())
    header = alice.bearer()
    payment = alice.post("/payments/pix", json={"value": 1}, headers=header).get_json()["payment"]
    bank.confirm(payment)

    answer = alice.post(path.format(paid=payment["id"]), json={**nulls, **body}, headers=header)

    assert answer.status_code in (200, 201), answer.text


def test_null_is_no_value_for_a_field_that_is_required(client):
    """The error names the field."""
    body = problem(client.post("/payments/pix", json={"value": None}), 400, "invalid-request")
    assert fields(body) == ["value"]


def test_null_does_not_hide_an_unknown_field(client):
    """A typing error in a field's name is found also while the field is null."""
    answer = client.post("/payments/pix", json={"value": 1, "descripton": None})
    assert fields(problem(answer, 400)) == ["descripton"]


def test_the_document_says_that_optional_fields_may_be_null(client):
    """A generated client may then send null."""
    schemas = client.get("/openapi.json").get_json()["components"]["schemas"]
    properties = schemas["NewPayment"]["properties"]
    for name in (
        "description",
        "order_id",
        "expires_in",
        "metadata",
        "return_url",
        "cancel_url",
        "payer",
    ):
        assert {"type": "null"} in properties[name]["anyOf"], name
    assert "anyOf" not in schemas["StatusChange"]["properties"]["status"]
