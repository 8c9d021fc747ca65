"""Somebody with a token, at the doors of the transactions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.test import TestResponse

from tests.accounts.people import Person

ABSENT = "0" * 32


@dataclass
class Merchant:
    """A program that sends its token with every request."""

    person: Person
    headers: Mapping[str, str]

    def call(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> TestResponse:
        """One request."""
        client = self.person.app.test_client()
        sent = {**self.headers, **(headers or {})}
        return client.open(path, method=method, headers=sent, **options)

    def create(self, **fields: Any) -> dict[str, Any]:
        """A new transaction."""
        answer = self.call("POST", "/transactions/", json={"amount": "54.90", **fields})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.get_json()
        return made

    def read(self, made: Mapping[str, Any]) -> dict[str, Any]:
        """The transaction as it stands."""
        answer = self.call("GET", f"/transactions/{made['id']}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.get_json()
        return found

    def put(self, made: Mapping[str, Any], status: Any) -> TestResponse:
        """Ask for another status."""
        return self.call("PUT", f"/transactions/{made['id']}", json={"status": status})

    def listed(self, query: str = "", path: str = "/transactions/") -> dict[str, Any]:
        """A page of the list."""
        answer = self.call("GET", f"{path}{query}")
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.get_json()
        return page


def as_payment(made: Mapping[str, Any]) -> dict[str, Any]:
    """What a bank needs to know of a transaction, to tell of its money."""
    return {"id": made["id"], "value": made["amount"]}
