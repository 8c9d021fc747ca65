"""HTTP with retries, for bursts during which the service or the bank may be killed."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bank.codes.http import AnswerTooLarge, HttpAnswer, HttpClient, NoAnswer

_TRANSIENT_STATUSES = (408, 425, 429)
_TRANSIENT_CODES = ("location-refused", "location-unreachable", "payload-type-wrong",
                  "key-set-refused")  # fmt: skip
_WAIT_FIRST_SECONDS, _WAIT_MAX_SECONDS = 0.1, 2.0


class BurstTimeout(Exception):
    """No final answer came before the burst's deadline."""


@dataclass(frozen=True)
class JsonAnswer:
    """A status and the JSON object in the body; other bodies count as empty."""

    status: int
    members: dict[str, Any]

    @property
    def code(self) -> str:
        """The problem's code; without one, the status."""
        return str(self.members.get("code") or self.status)


class RetryingHttpClient:
    """Retries requests until a final answer comes or the deadline passes; thread-safe."""

    def __init__(self, seconds: float) -> None:
        """The deadline is `seconds` from now."""
        self._deadline = time.monotonic() + seconds
        self._http_client = HttpClient()

    @property
    def has_timed_out(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() > self._deadline

    def get(self, url: str, headers: Mapping[str, str]) -> JsonAnswer:
        """GET. Raises BurstTimeout."""
        return self._ask("GET", url, b"", headers)

    def post(self, url: str, members: Mapping[str, Any], headers: Mapping[str, str]) -> JsonAnswer:
        """POST JSON; the headers need an idempotency key. Raises BurstTimeout."""
        return self._ask("POST", url, json.dumps(members).encode(), headers)

    def close(self) -> None:
        """Close the idle connections."""
        self._http_client.close()

    def _ask(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> JsonAnswer:
        wait = _WAIT_FIRST_SECONDS
        while True:
            try:
                json_answer = _parse(self._http_client.send(method, url, body, headers))
            except (NoAnswer, AnswerTooLarge):
                json_answer = None
            if json_answer is not None and not _is_transient(json_answer):
                return json_answer
            if self.has_timed_out:
                raise BurstTimeout(f"{method} {url}")
            time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - jitter needs no secure randomness
            wait = min(wait * 2, _WAIT_MAX_SECONDS)


def _parse(answer: HttpAnswer) -> JsonAnswer:
    try:
        members = json.loads(answer.body)
    except (ValueError, RecursionError):
        members = {}
    return JsonAnswer(answer.status, members if isinstance(members, dict) else {})


def _is_transient(json_answer: JsonAnswer) -> bool:
    if json_answer.status >= 500 or json_answer.status in _TRANSIENT_STATUSES:
        return True
    return json_answer.status >= 400 and json_answer.code in _TRANSIENT_CODES
