"""A payer at the simulated bank, with enough money for every test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from balcao.errors import ApiError, UnexpectedAnswer
from balcao.payments import new_idempotency_key
from balcao.testing.errors import SandboxError
from balcao.transport import RetryPolicy, Transport

PIN = "1234"
FUNDS_CENTAVOS = 100_000_000_000
_PAGES_MAX = 100


class Payer:
    """Pays codes, and reads what became of the money. One per test."""

    def __init__(self, service_url: str) -> None:
        self._bank = Transport(
            f"{service_url}/bank", timeout=30, retries=RetryPolicy(attempts=3, base=0.2)
        )
        self._token: str | None = None

    def pay(self, code: str, scenario: str, late_seconds: int | None = None) -> str:
        """Pay a code in a scenario of docs/chaos.md; returns the transfer's end_to_end_id.

        Raises SandboxError with the bank's sentence if the bank refuses.
        """
        body: dict[str, Any] = {"code": code, "scenario": scenario}
        if late_seconds is not None:
            body["late_seconds"] = late_seconds
        headers = {**self._headers(), "Idempotency-Key": new_idempotency_key()}
        try:
            answer = self._bank.request("POST", "/api/burst/pay", body=body, headers=headers).json()
        except ApiError as error:
            raise SandboxError(f"The bank refused to pay: {error}") from None
        return str(_member(answer, "end_to_end_id"))

    def status(self, end_to_end_id: str) -> str:
        """`sent`, `confirmed` or `returned`. Raises SandboxError for a transfer of another test."""
        after: str | None = None
        for _ in range(_PAGES_MAX):
            answer = self._bank.request(
                "GET", "/api/burst/payments", query={"after": after}, headers=self._headers()
            ).json()
            for entry in _member(answer, "data"):
                if entry["end_to_end_id"] == end_to_end_id:
                    return str(entry["status"])
            after = answer["next"]
            if after is None:
                break
        raise SandboxError(f"The payer made no transfer {end_to_end_id}.")

    def _headers(self) -> dict[str, str]:
        if self._token is None:
            body = {"pin": PIN, "funds_centavos": FUNDS_CENTAVOS}
            answer = self._bank.request("POST", "/api/burst/session", body=body).json()
            self._token = str(_member(answer, "token"))
        return {"Authorization": f"Bearer {self._token}", "Accept-Language": "en"}


def _member(answer: object, name: str) -> Any:
    if not isinstance(answer, Mapping) or name not in answer:
        raise UnexpectedAnswer(f"The answer of the simulated bank has no {name}.")
    return answer[name]
