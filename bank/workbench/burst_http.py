"""HTTP for a burst: every request is repeated until it is answered, since either side may die."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bank.codes.http import AnswerTooLarge, HttpAnswer, HttpClient, NoAnswer

_PASSING_STATUSES = (408, 425, 429)
_PASSING_CODES = ("location-refused", "location-unreachable", "payload-type-wrong",
                  "key-set-refused")  # fmt: skip
_WAIT_FIRST_SECONDS, _WAIT_MAX_SECONDS = 0.1, 2.0


class BurstTimeout(Exception):
    """Nobody gave a lasting answer before the burst's time was over."""


@dataclass(frozen=True)
class JsonAnswer:
    """A status and the JSON object that came with it."""

    status: int
    members: dict[str, Any]

    @property
    def code(self) -> str:
        """The problem's code, or the status where there is none."""
        return str(self.members.get("code") or self.status)


class RetryingHttpClient:
    """Asks until a lasting answer comes or the time is over; safe to share between threads."""

    def __init__(self, seconds: float) -> None:
        """`seconds` from now all patience ends."""
        self._until = time.monotonic() + seconds
        self._http_client = HttpClient()

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self._until

    def get(self, url: str, headers: Mapping[str, str]) -> JsonAnswer:
        """GET. Raises BurstTimeout."""
        return self._ask("GET", url, b"", headers)

    def post(self, url: str, members: Mapping[str, Any], headers: Mapping[str, str]) -> JsonAnswer:
        """POST JSON; the headers hold the key that makes a repeated request one. BurstTimeout."""
        return self._ask("POST", url, json.dumps(members).encode(), headers)

    def close(self) -> None:
        """Close idle connections."""
        self._http_client.close()

    def _ask(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> JsonAnswer:
        wait = _WAIT_FIRST_SECONDS
        while True:
            try:
                reply = _reply(self._http_client.send(method, url, body, headers))
            except (NoAnswer, AnswerTooLarge):
                reply = None
            if reply is not None and not _is_passing(reply):
                return reply
            if self.is_over:
                raise BurstTimeout(f"{method} {url}")
            time.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load
            wait = min(wait * 2, _WAIT_MAX_SECONDS)


def _reply(answer: HttpAnswer) -> JsonAnswer:
    try:
        members = json.loads(answer.body)
    except (ValueError, RecursionError):
        members = {}
    return JsonAnswer(answer.status, members if isinstance(members, dict) else {})


def _is_passing(reply: JsonAnswer) -> bool:
    if reply.status >= 500 or reply.status in _PASSING_STATUSES:
        return True
    return reply.status >= 400 and reply.code in _PASSING_CODES
