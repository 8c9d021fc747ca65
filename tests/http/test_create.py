"""Creating a payment: valid bodies, the answer, and refusals with their reasons."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from core.clock import parse_rfc3339
from core.pix import br_code
from tests.http.checks import fields, problem, rows

OBJECT = {
    "id", "bank_payment_id", "status", "paid", "value", "amount_centavos", "currency",
    "refunded_value", "pix_code", "qr_code", "qr_code_url", "payment_url", "watch_code",
    "description", "order_id", "metadata", "created_at", "expiration_date", "remaining_ms",
    "confirmed_at", "end_to_end_id", "sequence",
}  # fmt: skip


def test_a_value_alone_creates_a_payment_that_can_be_paid(client, clock):
    """As in the README: one field, everything else has a default."""
    answer = client.post("/payments/pix", json={"value": 100})
    assert answer.status_code == 201
    assert answer.json["message"] == "The payment has been created."
    payment = answer.json["payment"]
    assert set(payment) >= OBJECT
    assert re.fullmatch("[0-9a-f]{32}", payment["id"])
    assert re.fullmatch("[0-9a-f]{32}", payment["watch_code"])
    assert payment["watch_code"] != payment["id"]
    assert payment["bank_payment_id"] == payment["id"]
    assert (payment["status"], payment["paid"], payment["sequence"]) == ("pending", False, 1)
    assert (payment["value"], payment["amount_centavos"]) == (100.0, 10_000)
    assert (payment["currency"], payment["refunded_value"]) == ("BRL", 0.0)
    assert payment["qr_code"] == f"qr_code_payment_{payment['id']}"
    assert payment["confirmed_at"] is None
    assert payment["end_to_end_id"] is None
    assert payment["metadata"] == {}
    assert payment["remaining_ms"] == 1_800_000
    assert parse_rfc3339(payment["created_at"]) == clock.now()
    assert parse_rfc3339(payment["expiration_date"]) == clock.now() + timedelta(seconds=1800)
    assert payment["expiration_date"].endswith("Z")


def test_location_leads_to_the_payment(client):
    """A client that follows Location reads the payment."""
    answer = client.post("/payments/pix", json={"value": 100})
    location = answer.headers["Location"]
    assert location == answer.json["payment"]["payment_url"]
    path = location.removeprefix("http://127.0.0.1:5000")
    again = client.get(path, headers={"Accept": "application/json"})
    assert again.json["payment"]["id"] == answer.json["payment"]["id"]


def test_the_code_carries_the_location_and_never_the_payments_id(make_payment):
    """A photograph of the QR must only allow reading the payment."""
    payment = make_payment()
    code = br_code.decode(payment["pix_code"], strict=True)
    assert code.url == f"127.0.0.1:5000/qr/v2/{payment['watch_code']}"
    assert payment["id"] not in payment["pix_code"]


def test_all_fields_are_stored_unchanged(make_payment, client):
    """The shop gets its texts back unchanged, also an emoji."""
    texts = {
        "description": "Café da serra ☕ 🎉",
        "order_id": "pedido-1",
        "metadata": {"mesa": "7", "garçom": "João"},
    }
    payment = make_payment(expires_in=10, **texts)
    assert payment["metadata"] == texts["metadata"]
    read = client.get("/payments/pix").json["data"][0]
    assert {name: read[name] for name in texts} == texts
    assert read["remaining_ms"] == 10_000


@pytest.mark.parametrize(
    ("literal", "centavos"),
    [
        ("100", 10_000),
        ("100.5", 10_050),
        ('"100.50"', 10_050),
        ('"100"', 10_000),
        ("0.01", 1),
        ("1e2", 10_000),
        ("1e-2", 1),
        ('"1e2"', 10_000),
        ("1.50e1", 1_500),
        ("100.500", 10_050),
        ("0.1", 10),
        ("9999999999.99", 999_999_999_999),
        ("35.57", 3_557),
        ("1.005e3", 100_500),
        ("8.2", 820),
    ],
)
def test_a_value_in_whole_centavos_is_accepted(client, literal, centavos):
    """A number or a string, through Decimal: 35.57 is 3557 centavos, never 3556."""
    answer = client.post(
        "/payments/pix", data=f'{{"value": {literal}}}', content_type="application/json"
    )
    assert answer.status_code == 201, answer.text
    assert answer.json["payment"]["amount_centavos"] == centavos
    assert answer.json["payment"]["value"] == centavos / 100


@pytest.mark.parametrize(
    "literal",
    [
        "0", "0.00", "-1", "-0.01", "0.001", "1.005", "0.30000000000000004", "10000000000",
        "9999999999.991", "1e10", "1e400", "1e-400", "1e-3", "true", "false", "null", "[]", "{}",
        '""', '" 1"', '"1 "', '"1,50"', '"+1"', '"NaN"', '"Infinity"', '"-Infinity"', '"0x10"',
        '"1_000"', '"\u0661"', '"R$ 10"', '"1.2.3"', '"1e"', '"."', "99999999999999999999999999999",
    ],
)  # fmt: skip
def test_a_value_that_is_not_in_whole_centavos_is_refused(client, app, literal):
    """Nothing is rounded, and nothing is written."""
    before = rows(app)
    answer = client.post(
        "/payments/pix", data=f'{{"value": {literal}}}', content_type="application/json"
    )
    refusal = problem(answer, 400, "invalid-request")
    assert fields(refusal) == ["value"]
    assert rows(app) == before


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1.", ".5", "+1", "01", "0x1"])
def test_a_number_that_json_does_not_know_is_malformed(client, literal):
    """Python's parser accepts NaN and Infinity; JSON does not."""
    answer = client.post(
        "/payments/pix", data=f'{{"value": {literal}}}', content_type="application/json"
    )
    problem(answer, 400, "malformed-json")


@pytest.mark.parametrize(
    ("body", "field_names"),
    [
        ({}, ["value"]),
        ({"value": 1, "valor": 1}, ["valor"]),
        ({"value": 1, "description": "x" * 141}, ["description"]),
        ({"value": 1, "description": 5}, ["description"]),
        ({"value": 1, "order_id": ""}, ["order_id"]),
        ({"value": 1, "order_id": "   "}, ["order_id"]),
        ({"value": 1, "order_id": "x" * 65}, ["order_id"]),
        ({"value": 1, "order_id": 7}, ["order_id"]),
        ({"value": 1, "expires_in": 9}, ["expires_in"]),
        ({"value": 1, "expires_in": 2_592_001}, ["expires_in"]),
        ({"value": 1, "expires_in": "60"}, ["expires_in"]),
        ({"value": 1, "expires_in": True}, ["expires_in"]),
        ({"value": 1, "expires_in": 60.5}, ["expires_in"]),
        ({"value": 1, "metadata": []}, ["metadata"]),
        ({"value": 1, "metadata": {"a": 1}}, ["metadata.a"]),
        ({"value": 1, "metadata": {str(n): "x" for n in range(21)}}, ["metadata"]),
    ],
)
def test_a_field_out_of_its_bounds_is_named(client, app, body, field_names):
    """A developer reads which field is wrong, and why."""
    before = rows(app)
    refusal = problem(client.post("/payments/pix", json=body), 400, "invalid-request")
    assert fields(refusal) == field_names
    assert all(error["detail"] for error in refusal["errors"])
    assert rows(app) == before


@pytest.mark.parametrize(
    "body",
    [
        {"description": "x" * 140},
        {"description": "🎉" * 140},
        {"description": None},
        {"order_id": "x" * 64},
        {"expires_in": 10},
        {"expires_in": 2_592_000},
        {"metadata": {str(n): "x" * 500 for n in range(20)}},
    ],
)
def test_a_field_at_the_edge_of_its_bounds_is_accepted(client, body):
    """The documented limits are inclusive."""
    assert client.post("/payments/pix", json={"value": 1, **body}).status_code == 201


def test_all_errors_come_at_once(client):
    """Three mistakes cost one round trip."""
    body = {"value": "x", "expires_in": 1, "order": "1"}
    refusal = problem(client.post("/payments/pix", json=body), 400)
    assert sorted(fields(refusal)) == ["expires_in", "order", "value"]


def test_no_sequential_number_leaves_the_service(make_payment):
    """A rival could count ids to learn how many orders a shop has."""
    first, second = make_payment(), make_payment()
    for name in ("id", "watch_code", "pix_code"):
        assert first[name] != second[name]
    assert not any(isinstance(value, int) and value in (1, 2) for name, value in second.items()
                   if name not in ("sequence", "paid"))  # fmt: skip


def test_wrong_credentials_are_refused_also_where_none_are_needed(client, app):
    """A typing error in a key must not create a payment of the demo merchant."""
    before = rows(app)
    for value in ("Bearer nope", "Bearer ", "Bearer", "Basic YTpi", "nope", "Bearer \xff"):
        answer = client.post("/payments/pix", json={"value": 1}, headers={"Authorization": value})
        problem(answer, 401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert rows(app) == before
