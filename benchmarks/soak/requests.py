"""Requests of a soak's clients: retried at the other process until they have a final answer."""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.support.service import ServiceProcess

GIVE_UP_SECONDS = 120
RETRY_SECONDS = 0.3
REQUEST_SECONDS = 20
RETRIED_STATUSES = (429, 502, 503, 504)
JSON = {"Content-Type": "application/json"}
UNREACHABLE = (OSError, http.client.HTTPException, ValueError)


class SoakRequestFailed(Exception):
    """A request had no final answer within GIVE_UP_SECONDS."""


class SoakRequests:
    """Sends each request to the processes in turn, and counts all answers by status."""

    def __init__(self, services: list[ServiceProcess]) -> None:
        self._urls = [service.url for service in services]
        self._turn = itertools.count()
        self._lock = threading.Lock()
        self.statuses: Counter[str] = Counter()
        self.errors_500: list[str] = []
        """Method, path and body of each answer 500."""

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        base_url: str | None = None,
    ) -> tuple[int, Any]:
        """Send until there is a final answer; return its status and JSON.

        Raises SoakRequestFailed.
        """
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        limit = time.monotonic() + GIVE_UP_SECONDS
        while time.monotonic() < limit:
            url = base_url or self._urls[next(self._turn) % len(self._urls)]
            answer = self._send_once(method, url + path, data, {**JSON, **(headers or {})})
            if answer is not None and answer[0] not in RETRIED_STATUSES:
                return answer
            time.sleep(RETRY_SECONDS)
        raise SoakRequestFailed(f"{method} {path}")

    def _send_once(
        self, method: str, url: str, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, Any] | None:
        request = urllib.request.Request(url, data=data, method=method, headers=dict(headers))
        answer: tuple[int, Any] | None = None
        try:
            try:
                with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:
                    answer = response.status, json.loads(response.read() or b"null")
            except urllib.error.HTTPError as error:
                with error:
                    text = error.read()
                answer = error.code, None
                if error.code == 500:
                    self.errors_500.append(f"{method} {url}: {text[:300]!r}")
                answer = error.code, json.loads(text or b"null")
        except UNREACHABLE:
            pass
        with self._lock:
            self.statuses[str(answer[0]) if answer else "no answer"] += 1
        return answer
