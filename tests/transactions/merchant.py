"""A client of the transactions API that has a token."""

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
        """Send a request with the token."""
        client = self.person.app.test_client()
        all_headers = {**self.headers, **(headers or {})}
        return client.open(path, method=method, headers=all_headers, **options)

    def create(self, **fields: Any) -> dict[str, Any]:
        """Create a transaction."""
        answer = self.call("POST", "/transactions/", json={"amount": "54.90", **fields})
        assert answer.status_code == 201, answer.text
        transaction: dict[str, Any] = answer.get_json()
        return transaction

    def read(self, transaction: Mapping[str, Any]) -> dict[str, Any]:
        """Read the transaction."""
        answer = self.call("GET", f"/transactions/{transaction['id']}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.get_json()
        return body

    def set_status(self, transaction: Mapping[str, Any], status: Any) -> TestResponse:
        """Set another status."""
        return self.call("PUT", f"/transactions/{transaction['id']}", json={"status": status})

    def list_page(self, query: str = "", path: str = "/transactions/") -> dict[str, Any]:
        """Read a page of the list."""
        answer = self.call("GET", f"{path}{query}")
        assert answer.status_code == 200, answer.text
        page: dict[str, Any] = answer.get_json()
        return page


def as_payment(transaction: Mapping[str, Any]) -> dict[str, Any]:
    """The payment that `BankInTest.confirm` expects, of a transaction."""
    return {"id": transaction["id"], "value": transaction["amount"]}
