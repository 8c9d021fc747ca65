"""Text that databases treat differently: each stores it unchanged and compares it exactly."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from tests.http.checks import add_merchant, client_of, fields, pix_problem, problem, rows
from tests.support.clocks import FrozenClock
from tests.support.service import BankInTest, close_app, ready_app, settings_for

TEXTS = (
    "'; DROP TABLE payments; --",
    '" OR ""="',
    "\\'; SELECT pg_sleep(5); --",
    "%_\\%",
    ":value %(value)s {value} ?",
    "🎉👩‍👩‍👧‍👦",
    "\U0001d56c",
    "é",
    "e\u0301",
    "ß",
    "İ",
    "\u202eevil",
    "a\tb\nc",
    "\ufeffx",
    "\ufffd",
    "\x01\x1f\x7f",
    "NULL",
    "0",
    "日本語",
)


@pytest.fixture
def app(any_database_url, tmp_path, clock):
    """The service on each engine in turn."""
    app = ready_app(settings_for(any_database_url, tmp_path), clock)
    yield app
    close_app(app)


def test_text_is_stored_and_found_unchanged(app):
    """SQL too, and characters that a narrow character set would cut."""
    client = app.test_client()
    payment_ids = {}
    for text in TEXTS:
        body = {"value": 1, "description": text, "order_id": text, "metadata": {text: text}}
        answer = client.post("/payments/pix", json=body)
        assert answer.status_code == 201, (text, answer.text)
        payment_ids[text] = answer.get_json()["payment"]["id"]
    for text, txid in payment_ids.items():
        headers = {"Accept": "application/json"}
        read = client.get(f"/payments/pix/{txid}", headers=headers).get_json()["payment"]
        assert (read["description"], read["order_id"]) == (text, text)
        for name in ("order_id", "q"):
            answer = client.get(f"/payments/pix?{name}={quote(text)}&limit=100")
            assert answer.status_code == 200, answer.text
            by_id = {payment["id"]: payment for payment in answer.get_json()["data"]}
            assert txid in by_id, (name, text)
            assert by_id[txid]["metadata"] == {text: text}
        assert client.get(f"/payments/pix/{txid}").status_code == 200
    assert rows(app)["payments"] == len(TEXTS)


def test_order_ids_are_compared_exactly(app):
    """Some engines ignore case or accents by default."""
    client = app.test_client()
    orders = ("a", "A", "e", "é", "e\u0301", "ss", "ß", "ae", "æ", "x", "x\u200b")
    for order_id in orders:
        answer = client.post("/payments/pix", json={"value": 1, "order_id": order_id})
        assert answer.status_code == 201, answer.text
    for order_id in orders:
        (payment,) = client.get(f"/payments/pix?order_id={quote(order_id)}").get_json()["data"]
        assert payment["order_id"] == order_id


def test_an_order_does_not_begin_or_end_with_a_space(app):
    """Some engines treat `a ` and `a` as equal, others do not."""
    client = app.test_client()
    for order_id in (" a", "a ", "\ta", "a\n", "a\u00a0"):
        answer = client.post("/payments/pix", json={"value": 1, "order_id": order_id})
        assert fields(problem(answer, 400, "invalid-request")) == ["order_id"]
    assert client.post("/payments/pix", json={"value": 1, "order_id": "a b"}).status_code == 201


def test_text_that_no_database_stores_is_refused(app):
    """PostgreSQL refuses NUL, MariaDB stores it, SQLite stops at it; no driver takes surrogates."""
    client = app.test_client()
    before = rows(app)
    bodies = (
        '{"value": 1, "description": "%s"}',
        '{"value": 1, "order_id": "%s"}',
        '{"value": 1, "metadata": {"a": "%s"}}',
        '{"value": 1, "metadata": {"%s": "a"}}',
    )
    texts = ("\\u0000", "a\\u0000b", "\\ud800", "\\udc00\\ud800")
    for data in ((body % text).encode() for body in bodies for text in texts):
        answer = client.post("/payments/pix", data=data, content_type="application/json")
        problem(answer, 400, "malformed-json")
    assert rows(app) == before


def test_idempotency_keys_are_compared_exactly(app):
    """If two keys counted as equal, an order would get the payment of another."""
    client = app.test_client()
    keys = ("k", "K", "k'", 'k"', "k%", "k_", "'; DROP TABLE payments; --", "k\\", "x" * 255)
    ids = set()
    for key in keys:
        for _ in range(2):
            headers = {"Idempotency-Key": key}
            answer = client.post("/payments/pix", json={"value": 1}, headers=headers)
            assert answer.status_code == 201, answer.text
            ids.add(answer.get_json()["payment"]["id"])
    assert len(ids) == len(keys)


def test_query_parameters_reach_the_database_as_text(app):
    """NUL, broken UTF-8 and long strings are refused or match nothing; never a 500."""
    client = app.test_client()
    client.post("/payments/pix", json={"value": 1, "description": "x", "order_id": "x"})
    before = rows(app)
    nothing = (
        "%F0%9F%8E%89",
        "%27%20OR%201=1--",
        "%ff%fe",
        "%ed%a0%80",
        "%EF%BF%BD",
        "%5C",
        "y" * 140,
    )
    refused_values = ("%00", "a%00b", "y" * 141, "y" * 5000)
    for name in ("q", "order_id"):
        for value in nothing:
            answer = client.get(f"/payments/pix?{name}={value}")
            assert answer.status_code == 200, (value, answer.text)
            assert answer.get_json()["data"] == []
        for value in refused_values:
            problem(client.get(f"/payments/pix?{name}={value}"), 400)
    for path in ("/payments/pix", "/payments/pix/receipts"):
        for value in (*nothing, *refused_values):
            problem(client.get(f"{path}?after={value}"), 400)
    assert rows(app) == before


def test_paths_that_cannot_be_ids_are_a_404(app):
    """The same texts in place of an id."""
    client = app.test_client()
    before = rows(app)
    for value in ("%00", "%F0%9F%8E%89", "%27%20OR%201=1--", "%ff%fe", "%ed%a0%80", "y" * 5000):
        for path in (
            f"/payments/pix/{value}",
            f"/payments/pix/{value}/status",
            f"/payments/pix/qr_code/{value}",
            f"/generate_qr/{value}",
        ):
            problem(client.get(path), 404)
        assert pix_problem(client.get(f"/qr/v2/{value}")) == (404, "CobPayloadNaoEncontrado")
        for verb in ("cancel", "renew", "check"):
            problem(client.post(f"/payments/pix/{value}/{verb}"), 404)
    assert rows(app) == before


def test_the_banks_texts_are_stored_unchanged(app, clock: FrozenClock):
    """Payers' names, ids of any format, and an unknown id that looks like SQL."""
    client = app.test_client()
    bank = BankInTest(client, clock)
    for name in TEXTS:
        payment = client.post("/payments/pix", json={"value": 1}).get_json()["payment"]
        answer = bank.confirm(payment, payer={"name": name})
        assert answer.status_code == 200, (name, answer.text)
        assert client.get(f"/payments/pix/{payment['id']}/receipt").status_code == 200
        (receipt,) = client.get("/payments/pix/receipts?limit=1").get_json()["data"]
        assert receipt["payer"]["name"] == name
        # As many characters as the column holds, each of four bytes or an SQL quote.
        unknown = (name * 64)[:64]
        problem(bank.confirm({"id": unknown, "value": 1}), 404, "payment-not-found")


def test_end_to_end_ids_are_compared_exactly(app, clock: FrozenClock):
    """Two transfers whose ids differ in case are two transfers."""
    client = app.test_client()
    bank = BankInTest(client, clock)
    for end_to_end_id in ("E1a", "E1A", "E1a.", "E" * 128):
        payment = client.post("/payments/pix", json={"value": 1}).get_json()["payment"]
        answer = bank.confirm(payment, end_to_end_id=end_to_end_id)
        assert (answer.status_code, answer.get_json()["duplicate"]) == (200, False)


def test_microseconds_and_far_dates_survive(app, clock: FrozenClock):
    """A deadline lost to rounding would refuse a payer who was in time."""
    clock.advance(microseconds=123_456)
    client = app.test_client()
    payment = client.post("/payments/pix", json={"value": 1, "expires_in": 10}).get_json()[
        "payment"
    ]
    clock.advance(seconds=10)
    url = f"/payments/pix/{payment['id']}/status"
    assert client.get(url).get_json()["status"] == "pending"
    clock.advance(microseconds=1)
    assert client.get(url).get_json()["status"] == "expired"
    for instant in ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"):
        answer = client.get(f"/payments/pix?from={instant}&to={instant}")
        assert (answer.status_code, answer.get_json()["data"]) == (200, [])


def test_the_largest_amount_is_stored_exactly(app, clock: FrozenClock):
    """Eight-byte integers hold it; a float would lose the centavo."""
    client = app.test_client()
    data = b'{"value": 9999999999.99}'
    answer = client.post("/payments/pix", data=data, content_type="application/json")
    payment = answer.get_json()["payment"]
    assert payment["amount_centavos"] == 999_999_999_999
    body = {"bank_payment_id": payment["id"], "value": "9999999999.98"}
    problem(BankInTest(client, clock).tell(body), 400, "amount-mismatch")
    answer = BankInTest(client, clock).tell({**body, "value": "9999999999.99"})
    assert json.loads(answer.data)["payment"]["value"] == 9999999999.99


def test_a_wrong_key_is_refused_on_every_engine(app):
    """Keys are looked up by their hash, so the text itself never reaches the query."""
    charlie = client_of(app, add_merchant(app))
    assert charlie.get("/payments/pix").status_code == 200
    for token in ("' OR 1=1 --", "%", "x" * 600, "balcao_"):
        problem(client_of(app, token).get("/payments/pix"), 401, "unauthorized")
