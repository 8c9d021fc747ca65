"""HTTP to other banks and to the service: bounded in time and size, and never redirected."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import urllib3
from urllib3.exceptions import HTTPError

CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS = 3.0, 5.0
ANSWER_TIMEOUT_SECONDS = 10.0
"""A whole answer, however slowly it trickles: each read alone may take READ_TIMEOUT_SECONDS."""

ANSWER_BYTES_MAX = 64 * 1024
_CHUNK_BYTES = 16 * 1024
_USER_AGENT = "balcao-bank"


class NoAnswer(Exception):
    """Nobody answered in time, or the connection broke; the text says what happened."""


class AnswerTooLarge(Exception):
    """More than ANSWER_BYTES_MAX came."""


@dataclass(frozen=True)
class HttpAnswer:
    """What came back; header names are looked up without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class HttpClient:
    """A pool of connections; safe to share between threads."""

    def __init__(self) -> None:
        """Certificates are checked; nothing is retried here and no redirect is followed."""
        self._pool = urllib3.PoolManager(
            num_pools=8,
            maxsize=64,
            timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT_SECONDS, read=READ_TIMEOUT_SECONDS),
            retries=False,
        )

    def get(self, url: str, accept: str, headers: Mapping[str, str] | None = None) -> HttpAnswer:
        """Fetch a URL. Raises NoAnswer and AnswerTooLarge."""
        return self._request("GET", url, b"", {"Accept": accept, **(headers or {})})

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Post JSON. Raises NoAnswer and AnswerTooLarge."""
        return self.send("POST", url, body, headers)

    def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Send JSON, or nothing, by this method. Raises NoAnswer and AnswerTooLarge."""
        fixed = {"Accept": "application/json"}
        if body:
            fixed["Content-Type"] = "application/json"
        return self._request(method, url, body, {**fixed, **headers})

    def close(self) -> None:
        """Close idle connections."""
        self._pool.clear()

    def _request(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> HttpAnswer:
        # Without `identity` a small body could unpack into one that fills the memory.
        fixed = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
        until = time.monotonic() + ANSWER_TIMEOUT_SECONDS
        try:
            response = self._pool.request(
                method,
                url,
                body=body or None,
                headers={**fixed, **headers},
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            raise NoAnswer(_reason(error)) from None
        try:
            content = _read(response, until)
        except BaseException:
            # A half-read connection must not go back to the pool.
            response.close()
            raise
        response.release_conn()
        return HttpAnswer(response.status, response.headers, content)


def _read(response: urllib3.BaseHTTPResponse, until: float) -> bytes:
    content = bytearray()
    try:
        while chunk := response.read1(_CHUNK_BYTES, decode_content=False):
            content += chunk
            if len(content) > ANSWER_BYTES_MAX:
                raise AnswerTooLarge
            if time.monotonic() > until:
                raise NoAnswer(f"the answer took over {ANSWER_TIMEOUT_SECONDS:.0f} s")
    except (HTTPError, OSError) as error:
        raise NoAnswer(_reason(error)) from None
    return bytes(content)


def _reason(error: Exception) -> str:
    """The failure in a few words, without addresses of objects in memory."""
    name = type(error).__name__
    return {
        "NewConnectionError": "connection refused",
        "ConnectTimeoutError": f"no connection within {CONNECT_TIMEOUT_SECONDS:.0f} s",
        "ReadTimeoutError": f"no answer within {READ_TIMEOUT_SECONDS:.0f} s",
        "NameResolutionError": "unknown host",
        "ProtocolError": "connection broken",
        "SSLError": "certificate refused",
    }.get(name, name)
