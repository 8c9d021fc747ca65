"""HTTP with timeouts and retries. One `Transport` may be used by several threads."""

from __future__ import annotations

import http.client
import ipaddress
import json
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any
from urllib.parse import urlencode, urlsplit

from balcao.errors import ApiError, ConnectionFailed, UnexpectedAnswer, error_from
from balcao.models import parse_json
from balcao.version import VERSION

ANSWER_BYTES_MAX = 16_000_000
RETRIED_STATUSES = frozenset({429, 502, 503, 504})
NOTHING_DONE_STATUSES = frozenset({429, 503})
"""The service sends them before it does anything, so even an unsafe request may be repeated."""

Query = Mapping[str, str | int | None]


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently a request is repeated. All times are in seconds."""

    attempts: int = 4
    """In all, with the first one; 1 repeats nothing."""
    base: float = 0.5
    """The first pause is random, up to this long; each further one may be twice as long."""
    pause_max: float = 8.0
    retry_after_max: float = 60.0
    """A service that asks for a longer pause than this is not waited for."""

    def pause(self, attempt: int, retry_after: float | None) -> float | None:
        """Seconds to wait after this failed attempt (1 is the first); None to give up."""
        if attempt >= self.attempts:
            return None
        if retry_after is not None:
            if retry_after > self.retry_after_max:
                return None
            # The jitter keeps many clients from returning in the same instant.
            return retry_after + random.uniform(0, self.base)  # noqa: S311 - not a secret
        return random.uniform(0, min(self.base * 2 ** (attempt - 1), self.pause_max))  # noqa: S311


class Repeat(Enum):
    """When a request may be repeated."""

    SAFE = "safe"
    """Always: repeating changes nothing more, also because it has an Idempotency-Key."""
    IF_NOTHING_DONE = "if nothing done"
    """Only if the service cannot have acted on it: it was never connected to, or said so."""


@dataclass(frozen=True)
class Answer:
    """A successful answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    attempts: int

    def json(self) -> Any:
        """The parsed body. Raises UnexpectedAnswer."""
        try:
            return parse_json(self.body)
        except ValueError:
            raise UnexpectedAnswer(
                "The answer is not JSON: is this the address of Balcão?"
            ) from None


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects are errors: they would carry the API key to another host."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


def proxies_for(host: str) -> list[urllib.request.ProxyHandler]:
    """A handler that uses no proxy if the host is this machine, which no proxy can reach."""
    try:
        is_here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = False
    return [urllib.request.ProxyHandler({})] if is_here else []


class Transport:
    """Sends requests to one base URL with one API key."""

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        retries: RetryPolicy | None = None,
    ) -> None:
        """`timeout` is in seconds, for connecting and for each wait for data.

        Raises ValueError for an address that is not http or https, or an impossible key.
        """
        parts = urlsplit(base_url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError("The address of Balcão must be like https://pay.example.")
        if parts.username or parts.password:
            raise ValueError("The address of Balcão must not contain credentials.")
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("The API key has characters that no key has.")
        self.base_url = base_url.strip().rstrip("/")
        self.timeout = timeout
        self.retries = retries or RetryPolicy()
        self.has_credentials = bool(api_key)
        self._headers = {"User-Agent": f"balcao-python/{VERSION}", "Accept": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._opener = urllib.request.build_opener(NoRedirects, *proxies_for(parts.hostname))
        self.sleep: Callable[[float], object] = time.sleep
        """Waits between attempts; tests replace it."""

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: Repeat = Repeat.SAFE,
    ) -> Answer:
        """Send a request, with retries. Raises ApiError, ConnectionFailed and UnexpectedAnswer."""
        request = self._build(method, path, query, body, form, headers)
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._send(request, attempt)
            except ApiError as error:
                statuses = RETRIED_STATUSES if repeat is Repeat.SAFE else NOTHING_DONE_STATUSES
                if error.status not in statuses:
                    raise
                pause = self.retries.pause(attempt, error.retry_after)
                if pause is None:
                    raise
            except ConnectionFailed as error:
                never_sent = isinstance(error.__cause__, ConnectionRefusedError)
                pause = self.retries.pause(attempt, None)
                if pause is None or not (repeat is Repeat.SAFE or never_sent):
                    raise
            self.sleep(pause)

    def open_stream(
        self, path: str, query: Query, headers: Mapping[str, str], timeout: float
    ) -> http.client.HTTPResponse:
        """Open an answer that is read while it arrives, without retries. Close it after use.

        Raises ApiError and ConnectionFailed.
        """
        request = self._build("GET", path, query, None, None, headers)
        return self._open(request, timeout)

    def _build(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Mapping[str, Any] | None,
        form: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
    ) -> urllib.request.Request:
        url = self.base_url + path
        if values := {name: value for name, value in (query or {}).items() if value is not None}:
            url += "?" + urlencode(values)
        all_headers = {**self._headers, **(headers or {})}
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
            all_headers["Content-Type"] = "application/json"
        elif form is not None:
            data = urlencode(form).encode()
            all_headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif method in ("POST", "PATCH"):
            data = b""
        return urllib.request.Request(url, data, all_headers, method=method)  # noqa: S310 - checked

    def _send(self, request: urllib.request.Request, attempt: int) -> Answer:
        with self._open(request, self.timeout) as response:
            try:
                content = response.read(ANSWER_BYTES_MAX + 1)
            except (OSError, http.client.HTTPException) as error:
                raise ConnectionFailed(f"The answer broke off: {_reason(error)}.") from error
            if len(content) > ANSWER_BYTES_MAX:
                raise UnexpectedAnswer(f"The answer has more than {ANSWER_BYTES_MAX} bytes.")
            return Answer(response.status, _lower_names(response.headers), content, attempt)

    def _open(self, request: urllib.request.Request, timeout: float) -> http.client.HTTPResponse:
        try:
            response: http.client.HTTPResponse = self._opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise _api_error(error) from None
        except urllib.error.URLError as error:
            cause = error.reason if isinstance(error.reason, OSError) else error
            raise ConnectionFailed(f"No answer from {self.base_url}: {_reason(cause)}.") from cause
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionFailed(f"No answer from {self.base_url}: {_reason(error)}.") from error
        return response


def _api_error(error: urllib.error.HTTPError) -> ApiError | UnexpectedAnswer:
    if 300 <= error.code < 400:
        return UnexpectedAnswer(
            f"The service redirects to {str(error.headers.get('Location'))[:200]!r}: "
            "use that address if you trust it."
        )
    try:
        members = parse_json(error.read(ANSWER_BYTES_MAX))
    except (ValueError, OSError, http.client.HTTPException):
        members = None
    return error_from(
        error.code,
        members,
        error.headers.get("X-Request-ID"),
        retry_after_seconds(error.headers.get("Retry-After")),
    )


def retry_after_seconds(text: str | None, now: float | None = None) -> float | None:
    """The seconds in a Retry-After, which has seconds or a date; None if it has neither."""
    if not text:
        return None
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return float(text)
    try:
        at = parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, at - (time.time() if now is None else now))


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "the time ran out"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def _lower_names(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
