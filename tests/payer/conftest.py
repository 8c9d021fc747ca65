"""A service whose bank is real, and people who sign up there to pay."""

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
    """Somebody who signed up, with a browser that is signed in by cookie."""

    client: FlaskClient
    login: str
    told: dict[str, Any]
    token: str

    @property
    def pin(self) -> str:
        """The PIN of the card, as the sign-up told it."""
        return str(self.told["pin"])

    @property
    def card(self) -> str:
        """The card's number, as the sign-up told it."""
        return str(self.told["card"])

    def headers(self) -> dict[str, str]:
        """What a request by cookie must carry."""
        cookie = self.client.get_cookie("csrf_access_token")
        return {} if cookie is None else {CSRF: cookie.value}

    def pay(self, payment: dict[str, Any], **body: Any) -> TestResponse:
        """Pay by cookie, in JSON, with the right PIN unless told otherwise."""
        return self.client.post(
            f"/api/pay/{payment['id']}",
            json={"pin": self.pin, **body},
            headers=self.headers(),
        )

    def wallet(self) -> TestResponse:
        """How the wallet stands."""
        return self.client.get("/api/wallet")


def sign_up(here: Town, login: str, role: str = "payer", **fields: Any) -> Person:
    """Sign somebody up, and in."""
    client = here.client()
    body = {"username": login, "password": PASSWORD, "role": role, **fields}
    answer = client.post("/users/", json=body)
    assert answer.status_code == 201, answer.text
    entered = client.post("/api/login", json={"username": login, "password": PASSWORD})
    assert entered.status_code == 200, entered.text
    return Person(client, login, answer.get_json(), entered.get_json()["access_token"])


@pytest.fixture
def here(fresh_database, tmp_path) -> Iterator[Town]:
    """Service and bank, both on SQLite."""
    with town(fresh_database("sqlite"), tmp_path) as found:
        yield found


@pytest.fixture
def anywhere(any_database_url, tmp_path) -> Iterator[Town]:
    """Both on each engine in turn."""
    with town(any_database_url, tmp_path) as found:
        yield found


@pytest.fixture
def bob(here) -> Person:
    """Bob pays."""
    return sign_up(here, "bob", name="Bob de Souza")


@pytest.fixture
def charlie(here) -> Person:
    """Charlie pays as well, and is a stranger to Bob."""
    return sign_up(here, "charlie", name="Charlie")
