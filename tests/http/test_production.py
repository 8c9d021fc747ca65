"""Production has nothing of the demo, and always needs a key."""

from __future__ import annotations

import pytest

from tests.http.checks import add_merchant, client_of, problem, rows
from tests.support.service import BankInTest, settings_for


@pytest.fixture
def settings(fresh_database, tmp_path):
    """Production settings; they take the place of the development ones in this file."""
    return settings_for(
        fresh_database("sqlite"),
        tmp_path,
        app_env="production",
        public_url="https://pay.example.com",
    )


def test_without_a_key_nothing_is_created_listed_or_cancelled(client, app):
    """There is no demo merchant."""
    before = rows(app)
    for method, path in (
        ("POST", "/payments/pix"),
        ("GET", "/payments/pix"),
        ("GET", "/payments/pix/receipts"),
        ("POST", f"/payments/pix/{'0' * 32}/cancel"),
    ):
        body = {"value": 1} if method == "POST" else None
        problem(client.open(path, method=method, json=body), 401, "unauthorized")
    assert rows(app) == before
    assert before["accounts"] == 0


def test_with_a_key_a_payment_is_created_and_confirmed(app, client, clock):
    """The core works without the demo."""
    alice = client_of(app, add_merchant(app, "alice", "alice@example.com"))
    answer = alice.post("/payments/pix", json={"value": 10})
    assert answer.status_code == 201
    payment = answer.json["payment"]
    assert payment["livemode"] is True
    assert payment["payment_url"].startswith("https://pay.example.com/payments/pix/")
    assert BankInTest(client, clock).confirm(payment).status_code == 200
    page = client.get(f"/payments/pix/{payment['id']}")
    assert page.status_code == 200


def test_where_there_is_no_bank_to_ask_nobody_promises_an_answer_in_seconds(app, client):
    """Without BANK_URL a confirmation comes when the bank sends it, and *Já paguei* says so."""
    alice = client_of(app, add_merchant(app, "alice", "alice@example.com"))
    path = f"/payments/pix/{alice.post('/payments/pix', json={'value': 10}).json['payment']['id']}"
    answer = client.post(f"{path}/check", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json["inquiry"]) == (200, "nobody")
    sent_back = client.post(f"{path}/check", headers={"Accept": "text/html"})
    assert sent_back.location.endswith("?checked=nobody")
    for page in (client.get(path).text, client.get(f"{path}?checked=nobody").text):
        assert "Avisaremos aqui assim que o banco confirmar." in page
        assert "menos de 10 s" not in page


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/shop/cart/mel"),
        ("POST", "/shop/orders"),
        ("GET", "/generate_qr/demo"),
        ("GET", "/bank/"),
        ("POST", "/bank/api/pay"),
    ],
)
def test_routes_of_the_demo_are_a_404(client, app, method, path):
    """None of them exists in production."""
    before = rows(app)
    problem(client.open(path, method=method), 404, "not-found")
    assert rows(app) == before


def test_the_root_leads_to_the_sign_in_or_to_the_own_pages(client, app):
    """The button of an error page leads there; a 404 would lead to itself."""
    answer = client.get("/", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.location) == (303, "/login")
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.get("/?lang=en").location == "/login?lang=en"
    assert client.get("/", headers={"Authorization": "Bearer nonsense"}).location == "/login"
    assert client.get("/login").status_code == 200
    alice = client_of(app, add_merchant(app, "alice", "alice@example.com"))
    assert alice.get("/").location == "/portal"


def test_the_page_offers_no_test_strip_and_no_shortcut_to_expiry(app, client):
    """Only the clock may expire a real payment."""
    alice = client_of(app, add_merchant(app, "alice", "alice@example.com"))
    payment = alice.post("/payments/pix", json={"value": 10}).json["payment"]
    page = client.get(f"/payments/pix/{payment['id']}").text
    assert "expire-soon" not in page
    assert "/bank" not in page
    problem(client.post(f"/payments/pix/{payment['id']}/expire-soon"), 404, "not-found")
    problem(alice.post(f"/payments/pix/{payment['id']}/expire-soon"), 404, "not-found")
    assert client.get(f"/payments/pix/{payment['id']}/status").json["sequence"] == 1


def test_over_https_browsers_get_hsts(client):
    """And the websocket's address is wss."""
    answer = client.get("/healthz")
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
    assert "wss://pay.example.com" in answer.headers["Content-Security-Policy"]


def test_a_revoked_or_unknown_key_is_refused(app):
    """As a request without a key is."""
    stranger = client_of(app, "balcao_unknown")
    problem(stranger.post("/payments/pix", json={"value": 1}), 401, "unauthorized")


def test_another_key_of_the_same_merchant_acts_for_it(app):
    """So keys are replaced without stopping the shop."""
    first = client_of(app, add_merchant(app, "alice", "alice@example.com"))
    payment = first.post("/payments/pix", json={"value": 10}).json["payment"]
    fresh = app.test_cli_runner().invoke(args=["merchant", "key", "alice"]).output.strip()
    assert client_of(app, fresh).get("/payments/pix").json["data"][0]["id"] == payment["id"]


def test_demo_data_is_not_seeded_in_production(app):
    """Not even if the operator runs the command by mistake."""
    result = app.test_cli_runner().invoke(args=["seed"])
    assert result.exit_code != 0
    assert rows(app)["accounts"] == 0
