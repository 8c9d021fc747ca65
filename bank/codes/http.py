"""An HTTP client for other banks and the service, with limits of time and size."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import urllib3
from urllib3.exceptions import HTTPError

CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 3.0, 5.0
ANSWER_TIMEOUT_SECONDS = 10.0
"""The limit for a whole answer; READ_TIMEOUT_SECONDS limits a single read."""

ANSWER_BYTES_MAX = 64 * 1024
_CHUNK_BYTES = 16 * 1024
_USER_AGENT = "balcao-bank"


class NoAnswer(Exception):
    """No answer came in time, or the connection broke; the message says which."""


class AnswerTooLarge(Exception):
    """The body of an answer is longer than ANSWER_BYTES_MAX."""


@dataclass(frozen=True)
class HttpAnswer:
    """An HTTP response; header names are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """The content type in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class HttpClient:
    """A thread-safe connection pool. It verifies certificates, and follows no redirect.

    Nothing is retried here: callers retry with their own keys and deadlines.
    """

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(
            num_pools=8,
            maxsize=64,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS),
            retries=False,
        )

    def get(self, url: str, accept: str, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        """GET a URL. Raises NoAnswer and AnswerTooLarge."""
        return self._request("GET", url, b"", {"Accept": accept, **(headers or {})})

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Post JSON. Raises NoAnswer and AnswerTooLarge."""
        return self.send("POST", url, body, headers)

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Send JSON, or no body. Raises NoAnswer and AnswerTooLarge."""
        json_headers = {"Accept": "application/json"}
        if body:
            json_headers["Content-Type"] = "application/json"
        return self._request(method, url, body, {**json_headers, **headers})

    def close(self) -> None:
        """Close the idle connections."""
        self._pool.clear()

    def _request(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> HttpAnswer:
        # Only `identity`: a small compressed body could unpack to one that fills the memory.
        base_headers = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
        deadline = time.monotonic() + ANSWER_TIMEOUT_SECONDS
        try:
            response = self._pool.request(
                method,
                url,
                body=body or None,
                headers={**base_headers, **headers},
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            raise NoAnswer(_reason(error)) from None
        try:
            content = _read(response, deadline)
        except BaseException:
            # The pool must not reuse a connection with unread data.
            response.close()
            raise
        response.release_conn()
        return HttpAnswer(response.status, response.headers, content)


def _read(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    content = bytearray()
    try:
        while chunk := response.read1(_CHUNK_BYTES, decode_content=False):
            content += chunk
            if len(content) > ANSWER_BYTES_MAX:
                raise AnswerTooLarge
            if time.monotonic() > deadline:
                raise NoAnswer(f"the answer took over {ANSWER_TIMEOUT_SECONDS:.0f} s")
    except (HTTPError, OSError) as error:
        raise NoAnswer(_reason(error)) from None
    return bytes(content)


def _reason(error: Exception) -> str:
    """The failure in a few words; the exceptions' own texts contain memory addresses."""
    name = type(error).__name__
    return {
        "NewConnectionError": "connection refused",
        "ConnectTimeoutError": f"no connection within {CONNECT_TIMEOUT_SECONDS:.0f} s",
        "ReadTimeoutError": f"no answer within {READ_TIMEOUT_SECONDS:.0f} s",
        "NameResolutionError": "unknown host",
        "ProtocolError": "connection broken",
        "SSLError": "certificate refused",
    }.get(name, name)
