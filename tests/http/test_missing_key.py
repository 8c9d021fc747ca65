"""In production nothing is charged before the merchant has entered a Pix key."""

from __future__ import annotations

from typing import Any

import pytest

from tests.accounts.people import Person
from tests.http.checks import add_merchant, problem, rows
from tests.portal.signing import PASSWORD, Browser, make_account, sign_in
from tests.support.service import settings_for

KEY = "52998224725"


@pytest.fixture
def settings(fresh_database, tmp_path):
    """Production with open sign-up; it takes the place of the development settings."""
    return settings_for(
        fresh_database("sqlite"),
        tmp_path,
        app_env="production",
        sign_up="open",
        public_url="https://pay.example.com",
    )


@pytest.fixture
def erika(app) -> Browser:
    """A merchant who has just signed up, in her browser."""
    make_account(app, "erika")
    return sign_in(app, "erika")


def api(erika: Browser, method: str, path: str, **body: Any) -> Any:
    """A request of the portal's scripts."""
    headers = {"X-CSRF-TOKEN": erika.token, "Accept": "application/json"}
    return erika.client.open(path, method=method, json=body or None, headers=headers)


CREATIONS: list[tuple[str, dict[str, Any]]] = [
    ("/payments/pix", {"value": 10}),
    ("/transactions/", {"amount": 10}),
    ("/api/start_payment", {"amount": 10}),
    ("/api/payment/create-session", {"order_id": "1", "amount": 10}),
]


def test_nothing_is_created_by_any_api(app, erika):
    """Money for an invented key would go to nobody, or to a stranger."""
    before = rows(app)
    for path, body in CREATIONS:
        refusal = problem(api(erika, "POST", path, **body), 409, "pix-key-missing")
        assert "/portal/settings#pix-key" in refusal["detail"]
    after = rows(app)
    assert after["payments"] == before["payments"] == 0
    assert after["payment_events"] == 0


def test_there_is_no_static_code_and_no_poster(erika):
    """Both would be printed and hung up."""
    problem(erika.client.get("/generate_qr/erika"), 409, "pix-key-missing")
    problem(erika.client.get("/generate_qr/nobody"), 404, "not-found")
    for name in ("qr.svg", "qr.png", "poster.svg"):
        problem(api(erika, "GET", f"/portal/poster/{name}"), 409, "pix-key-missing")


def test_the_portal_leads_to_the_setting(app, erika):
    """The pages say what is missing, instead of a form that cannot work."""
    for path in ("/portal/payments/new", "/portal/poster"):
        text = erika.get(path).text
        assert "Falta a sua chave Pix" in text
        assert 'href="/portal/settings#pix-key"' in text
        assert 'name="value"' not in text
    assert "ainda não informou a sua chave Pix" in erika.get("/portal/settings").text
    refused = erika.post("/portal/payments/new", {"value": "10,00", "expires_in": "1800"})
    assert refused.status_code == 409
    assert "Falta a sua chave Pix" in refused.text
    assert rows(app)["payments"] == 0


def test_shop_details_can_be_saved_before_the_key(erika):
    """The settings are filled in from top to bottom."""
    form = {"name": "Loja da Erika", "city": "Recife", "grace_seconds": "0"}
    saved = erika.post("/portal/settings/shop", {**form, "brand_color": "#04694f"})
    assert saved.status_code == 303, saved.text


def test_with_the_key_everything_works(app, erika):
    """And the code holds the key that the merchant entered."""
    saved = erika.post("/portal/settings/pix-key", {"pix_key": KEY, "password": PASSWORD})
    assert saved.status_code == 303
    for path, body in CREATIONS:
        answer = api(erika, "POST", path, **body)
        assert answer.status_code in (200, 201), answer.text
    assert erika.client.get("/generate_qr/erika").status_code == 200
    assert erika.get("/portal/poster").status_code == 200
    assert 'name="value"' in erika.get("/portal/payments/new").text


def test_a_merchant_of_the_operators_command_has_its_key(app, client):
    """`flask merchant add` demands one, and `flask accounts create` invents none."""
    add_merchant(app, "carla", "carla@example.com")
    assert client.get("/generate_qr/carla").status_code == 200
    person = Person(app, "dora")
    assert person.sign_up()["pix_key"] is None
    problem(client.get("/generate_qr/dora"), 409, "pix-key-missing")
