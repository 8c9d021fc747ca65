"""The accounts and browsers of the portal's tests."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from accounts import passwords, service
from repository.database import in_unit_of_work

PASSWORD = "a password of seven words, or eight"
CONFIRMED = {"confirmed": "1"}
"""The field of the page that asks before what cannot be undone."""
KEYS = {
    "alice": "alice@feira.example",
    "charlie": "charlie@longe.example",
}


@dataclass
class Browser:
    """A signed-in client that sends its CSRF token with forms."""

    client: FlaskClient
    token: str

    def get(self, path: str, **options: Any) -> TestResponse:
        """GET as a browser does."""
        headers = {"Accept": "text/html", **options.pop("headers", {})}
        return self.client.get(path, headers=headers, **options)

    def post(self, path: str, data: dict[str, Any] | None = None, **options: Any) -> TestResponse:
        """POST a form, with its token."""
        fields = {"csrf_token": self.token, **(data or {})}
        headers = {"Accept": "text/html", **options.pop("headers", {})}
        return self.client.post(path, data=fields, headers=headers, **options)


@cache
def _hash() -> str:
    return passwords.hash_password(PASSWORD)


def make_account(app: Flask, login: str, role: str = "merchant") -> None:
    """Create an account with PASSWORD."""
    with app.app_context():
        in_unit_of_work(
            lambda work: service.create(
                work,
                login=login,
                role=role,
                password_hash=_hash(),
                name=f"Loja de {login.title()}",
                city="São Paulo",
                pix_key=KEYS.get(login) if role == "merchant" else None,
            )
        )


def sign_in(app: Flask, login: str) -> Browser:
    """Sign in, in a new browser."""
    client = app.test_client()
    answer = client.post(
        "/api/login",
        json={"username": login, "password": PASSWORD},
        headers={"Accept": "application/json"},
    )
    assert answer.status_code == 200, answer.text
    return Browser(client, answer.get_json()["csrf_token"])


def search(page: str, pattern: str, group: int = 1) -> str:
    """The group of the pattern's first match, which must be on the page."""
    match = re.search(pattern, page)
    assert match is not None, f"{pattern} is not on the page"
    return str(match[group])
