"""A service with the simulated bank, and payers who sign up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.town import Town, town

PASSWORD = "correct horse battery"
CSRF = "X-CSRF-TOKEN"


@dataclass
class Person:
    """A signed-up account, with a client that is signed in by cookie."""

    client: FlaskClient
    login: str
    sign_up_answer: dict[str, Any]
    token: str

    @property
    def pin(self) -> str:
        """The card's PIN, from the sign-up."""
        return str(self.sign_up_answer["pin"])

    @property
    def card(self) -> str:
        """The card's number, from the sign-up."""
        return str(self.sign_up_answer["card"])

    def headers(self) -> dict[str, str]:
        """The CSRF header that a request with the cookie needs."""
        cookie = self.client.get_cookie("csrf_access_token")
        return {} if cookie is None else {CSRF: cookie.value}

    def pay(self, payment: dict[str, Any], **body: Any) -> TestResponse:
        """Pay by cookie, in JSON, with the right PIN unless `body` has another."""
        return self.client.post(
            f"/api/pay/{payment['id']}",
            json={"pin": self.pin, **body},
            headers=self.headers(),
        )

    def wallet(self) -> TestResponse:
        """GET /api/wallet."""
        return self.client.get("/api/wallet")


def sign_up(here: Town, login: str, role: str = "payer", **fields: Any) -> Person:
    """Sign up and sign in."""
    client = here.client()
    body = {"username": login, "password": PASSWORD, "role": role, **fields}
    answer = client.post("/users/", json=body)
    assert answer.status_code == 201, answer.text
    login_answer = client.post("/api/login", json={"username": login, "password": PASSWORD})
    assert login_answer.status_code == 200, login_answer.text
    return Person(client, login, answer.get_json(), login_answer.get_json()["access_token"])


@pytest.fixture
def here(fresh_database, tmp_path) -> Iterator[Town]:
    """Service and bank, both on SQLite."""
    with town(fresh_database("sqlite"), tmp_path) as both:
        yield both


@pytest.fixture
def anywhere(any_database_url, tmp_path) -> Iterator[Town]:
    """Service and bank on each engine in turn."""
    with town(any_database_url, tmp_path) as both:
        yield both


@pytest.fixture
def bob(here) -> Person:
    """A payer."""
    return sign_up(here, "bob", name="Bob de Souza")


@pytest.fixture
def charlie(here) -> Person:
    """Another payer."""
    return sign_up(here, "charlie", name="Charlie")
