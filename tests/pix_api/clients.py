"""Clients of API Pix in tests: their credentials, and how they ask for tokens."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from flask import Flask
from werkzeug.test import TestResponse

from accounts import oauth_clients
from accounts.client_certificates import CLIENT_CERTIFICATE
from accounts.oauth_tokens import merchant_of_token
from db_models import OAuthClient
from repository.database import Work, in_unit_of_work, reading

TOKEN = "/api-pix/oauth/token"
GRANT = {"grant_type": "client_credentials"}


@dataclass(frozen=True)
class PixClient:
    """A client's id and secret."""

    client_id: str
    secret: str

    def basic(self) -> dict[str, str]:
        """The header of HTTP Basic, encoded as RFC 6749, 2.3.1, asks for."""
        return basic(f"{quote_plus(self.client_id)}:{quote_plus(self.secret)}")

    def ask(self, app: Flask, **fields: str) -> TestResponse:
        """Ask for a token by Basic and a form."""
        return app.test_client().post(TOKEN, data={**GRANT, **fields}, headers=self.basic())

    def token(self, app: Flask, **fields: str) -> str:
        """A new token."""
        answer = self.ask(app, **fields)
        assert answer.status_code == 200, answer.text
        return str(answer.get_json()["access_token"])


def basic(text: str | bytes) -> dict[str, str]:
    """The header of HTTP Basic with this text."""
    data = text if isinstance(text, bytes) else text.encode()
    return {"Authorization": f"Basic {base64.b64encode(data).decode()}"}


def demo_client(app: Flask) -> PixClient:
    """The demo merchant's client, with every scope."""
    settings = app.config["BALCAO"]
    return PixClient(settings.demo_client_id, settings.demo_client_secret)


def new_client(
    app: Flask, login: str, scopes: Sequence[str] = oauth_clients.SCOPES, label: str = "SDK"
) -> PixClient:
    """A new client of this merchant."""

    def make(work: Any) -> PixClient:
        account = work.accounts.by_login(login)
        row, secret = oauth_clients.make_client(work, account, label, scopes)
        return PixClient(row.client_id, secret)

    with app.app_context():
        return in_unit_of_work(make)


def refusal(answer: TestResponse, status: int, error: str) -> None:
    """The answer is this error of RFC 6749, 5.2."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/json"
    body = answer.get_json()
    assert body["error"] == error
    assert set(body["error_description"]) <= set(map(chr, range(0x20, 0x7F))) - set('"\\')
    assert answer.headers["Cache-Control"] == "no-store"
    challenge = answer.headers.get("WWW-Authenticate", "")
    assert challenge.startswith('Basic realm="') == (status == 401)


def who(app: Flask, token: str, scope: str = "cob.read", certificate: str | None = None) -> str:
    """The login of the merchant for whom the token acts."""
    proven = {CLIENT_CERTIFICATE: certificate}
    with app.test_request_context(environ_overrides=proven), reading() as work:
        return merchant_of_token(work, f"Bearer {token}", scope).login


def stored(work: Work, client: PixClient) -> OAuthClient:
    """The client's row."""
    row = work.oauth_clients.find(client.client_id)
    assert row is not None
    return row
