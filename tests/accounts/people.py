"""Alice, Bob and Charlie as programs and as browsers, for the tests of accounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from db_models import AuditEntry, SignIn
from repository.database import reading

PASSWORD = "correct horse battery"


@dataclass
class Person:
    """The owner of an account, as a program with tokens and as a browser with cookies."""

    app: Flask
    login: str
    password: str = PASSWORD
    address: str = "127.0.0.1"
    _browser: FlaskClient | None = field(default=None, repr=False)
    csrf: str = ""

    def sign_up(self, **fields: Any) -> dict[str, Any]:
        """Create the account; return the answer's body."""
        answer = self.post("/users/", json=self._body(**fields))
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.get_json()
        return body

    def tokens(self, **form: str) -> dict[str, Any]:
        """Tokens for the password, or for the fields of `form`."""
        answer = self.ask_tokens(**form)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.get_json()
        return body

    def ask_tokens(self, **form: str) -> TestResponse:
        """Ask for tokens; return the answer, also a refusal."""
        fields = form or {"username": self.login, "password": self.password}
        return self.post("/token", data=fields)

    def bearer(self) -> dict[str, str]:
        """Sign in as a program; return its Authorization header."""
        return bearer(self.tokens()["access_token"])

    def key(self, *scopes: str, **fields: Any) -> dict[str, Any]:
        """Sign in and make an API key with these scopes."""
        body = {**({"scopes": list(scopes)} if scopes else {}), **fields}
        answer = self.post("/api/keys", json=body, headers=self.bearer())
        assert answer.status_code == 201, answer.text
        key: dict[str, Any] = answer.get_json()
        return key

    def enter(self, **fields: Any) -> FlaskClient:
        """Sign in as a browser; return the client with its cookies."""
        browser = self.app.test_client()
        body = {"login": self.login, "password": self.password, **fields}
        answer = browser.post("/api/login", json=body, environ_overrides=self._from())
        assert answer.status_code == 200, answer.text
        self.csrf = answer.get_json()["csrf_token"]
        self._browser = browser
        return browser

    def with_csrf(self) -> dict[str, str]:
        """The CSRF header that a request by cookie needs."""
        return {"X-CSRF-TOKEN": self.csrf}

    def post(self, path: str, **options: Any) -> TestResponse:
        """POST as a program without cookies, from this person's address."""
        return self.app.test_client().post(path, environ_overrides=self._from(), **options)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> TestResponse:
        """GET as a program without cookies."""
        return self.app.test_client().get(path, headers=headers, environ_overrides=self._from())

    def _body(self, **fields: Any) -> dict[str, Any]:
        return {"username": self.login, "password": self.password, **fields}

    def _from(self) -> dict[str, str]:
        return {"REMOTE_ADDR": self.address}


def bearer(token: str) -> dict[str, str]:
    """The header for a token or key."""
    return {"Authorization": f"Bearer {token}"}


def audit_rows(app: Flask, login: str | None = None) -> list[AuditEntry]:
    """The audit log, oldest first; of one account if `login` is given."""
    with app.app_context(), reading() as work:
        entries = [
            entry for entry, who in work.audit.page(500).items if login is None or who == login
        ]
    return entries[::-1]


def actions(app: Flask, login: str | None = None) -> list[str]:
    """The actions in the audit log, oldest first."""
    return [entry.action for entry in audit_rows(app, login)]


def open_sign_ins(app: Flask) -> int:
    """How many sign-ins have not ended."""
    with app.app_context(), reading() as work:
        query = sa.select(sa.func.count()).where(SignIn.ended_at.is_(None))
        return int(work.session.execute(query).scalar_one())
