"""Bytes to and from a bank: one request, one bounded answer, and stable codes for failures."""

from __future__ import annotations

import http.client
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import urllib3

from core.runtime.timed_answers import HandshakeFailed, StaleConnection, timed_pool
from providers.api_pix.tls import (
    bank_context,
    is_about_the_banks_certificate,
    names_our_certificate,
)
from providers.port import AccountRefusal, ProviderAway
from providers.secrets import AccountSecrets

BODY_BYTES_MAX = 6 * 1024 * 1024
"""Banco Central limits the answers of lists to 5 MB."""
ERROR_BYTES_MAX = 64 * 1024
CONNECTIONS_MAX = 32
TRIES_MAX = 3
"""Requests for one call, if each met a connection that the bank had closed meanwhile."""
USER_AGENT = "Balcao-Pix/1"

_CHUNK_BYTES = 65_536

# At its debug level urllib3 logs addresses with their query, which at some banks has a credential.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


@dataclass(frozen=True)
class WireTimes:
    """How long each part of a request may take, in seconds."""

    connect: float = 5.0
    """For looking up the name, for the connection, and for the handshake of TLS, each."""
    read: float = 20.0
    """For each read."""
    answer: float = 25.0
    """For a whole answer, from the end of the request."""
    place: float = 5.0
    """For a free connection, when CONNECTIONS_MAX requests are under way."""


@dataclass(frozen=True)
class WireAnswer:
    """The answer to one request."""

    status: int
    headers: Mapping[str, str]
    """Case does not matter."""
    data: bytes
    is_whole: bool
    """False if the body is longer than its limit; `data` is its beginning then."""
    was_repeated: bool = False
    """Whether the bank may have received an earlier copy of the request too."""


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise ValueError for headers that cannot be sent."""
    for name, text in headers.items():
        if not name.isascii() or not text.isascii() or not f"{name}{text}".isprintable():
            raise ValueError(f"The header {name!r} has a character that cannot be sent.")


def with_id(headers: Mapping[str, str], correlation_id: str) -> dict[str, str]:
    """The headers with this id in place of `{uuid}`."""
    return {name: text.replace("{uuid}", correlation_id) for name, text in headers.items()}


class BankWire:
    """The connections to one bank with one client certificate; threads may share it."""

    def __init__(self, secrets: AccountSecrets, times: WireTimes | None = None) -> None:
        """Raises ssl.SSLError or ValueError if the secrets' PEM texts cannot be used."""
        self._times = times or WireTimes()
        self._has_certificate = bool(secrets.certificate_pem.strip())
        self._pool = timed_pool(
            lambda: self._times.answer,
            connect_seconds=self._times.connect,
            num_pools=8,
            maxsize=CONNECTIONS_MAX,
            block=True,
            ssl_context=bank_context(secrets),
            timeout=urllib3.Timeout(connect=self._times.connect, read=self._times.read),
            retries=False,
        )

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> WireAnswer:
        """Send a request and read its answer; a redirect is an answer and is not followed.

        A connection that was used before and that the bank has closed is replaced, so the request
        must be safe to repeat. `was_repeated` of the answer, or `was_sent` of the exception, tells
        that the bank may have carried out an earlier copy. Raises ProviderAway `connect`,
        `timeout`, `closed`, `tls`, `busy`, `bank-certificate` or `unreadable`, and AccountRefusal
        if TLS refuses the client's certificate.
        """
        for tries_left in reversed(range(TRIES_MAX)):
            was_repeated = tries_left < TRIES_MAX - 1
            try:
                answer = self._send(method, url, headers, body)
                return replace(answer, was_repeated=was_repeated)
            except StaleConnection:
                if not tries_left:
                    raise ProviderAway("closed") from None
            except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
                if tries_left and _is_stale(error):
                    continue
                raise self._failure(error, was_repeated=was_repeated) from None
            except ValueError:
                raise ProviderAway("unreadable") from None
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close the connections that are not in use."""
        self._pool.clear()

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> WireAnswer:
        deadline = time.monotonic() + self._times.connect * 3 + self._times.answer
        response = self._pool.request(
            method,
            url,
            body=body,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers},
            redirect=False,
            preload_content=False,
            decode_content=False,
            pool_timeout=self._times.place,
        )
        is_whole = False
        limit = BODY_BYTES_MAX if 200 <= response.status < 300 else ERROR_BYTES_MAX
        data = bytearray()
        try:
            while chunk := response.read1(_CHUNK_BYTES):
                data += chunk
                if len(data) > limit:
                    break
                if time.monotonic() > deadline:
                    raise TimeoutError("the answer took too long")
            else:
                is_whole = True
        finally:
            if not is_whole:
                response.close()  # A connection with unread bytes cannot be used again.
            response.release_conn()
        return WireAnswer(response.status, response.headers, bytes(data[:limit]), is_whole)

    def _failure(self, error: Exception, *, was_repeated: bool) -> Exception:
        """The failure in our words; nothing of the library's text, which has the address."""
        if names_our_certificate(error, has_certificate=self._has_certificate):
            code = "certificate-refused" if self._has_certificate else "certificate-required"
            return AccountRefusal(code, "The bank ended TLS because of the client certificate.")
        was_sent = was_repeated or not isinstance(
            error,
            (
                HandshakeFailed,
                urllib3.exceptions.ConnectTimeoutError,
                urllib3.exceptions.NewConnectionError,
                urllib3.exceptions.EmptyPoolError,
            ),
        )
        return ProviderAway(_code(error), was_sent=was_sent)


def _code(error: Exception) -> str:
    exceptions = urllib3.exceptions
    if is_about_the_banks_certificate(error):
        return "bank-certificate"
    if isinstance(error, exceptions.NewConnectionError):
        return "connect"  # It is a kind of ConnectTimeoutError too.
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)):
        return "timeout"
    if isinstance(error, exceptions.EmptyPoolError):
        return "busy"
    if isinstance(error, exceptions.SSLError):
        return "tls"
    if isinstance(error, (exceptions.IncompleteRead, ConnectionError)):
        return "closed"
    if isinstance(error, exceptions.ProtocolError):
        cause = error.args[-1] if error.args else None
        is_http = isinstance(cause, http.client.HTTPException)
        return "unreadable" if is_http and not _is_end(cause) else "closed"
    if isinstance(error, (http.client.HTTPException, exceptions.HTTPError)):
        return "unreadable"
    return "closed"


def _is_end(cause: object) -> bool:
    return isinstance(cause, (ConnectionError, http.client.IncompleteRead))


def _is_stale(error: Exception) -> bool:
    return any(isinstance(one, StaleConnection) for one in error.args)
