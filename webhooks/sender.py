"""Send one webhook: one POST to a checked address, which ends at its deadline.

Every wait of an attempt (name, connection, TLS, each byte) ends at one deadline. The timeout of a
socket or of an HTTP library limits only a single read, so a receiver that sends a byte now and
then would hold a place for ever. For this reason TLS runs here on memory buffers and not on the
socket: in a patched process, even a handshake has a new timeout for each read.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from core.runtime.lookups import LookUpFailed
from webhooks.addresses import AddressRefused, check_url, resolve

TIMEOUT_SECONDS = 15.0
BODY_BYTES_MAX = 4096
"""How much of a response's body is read; the connection is closed then."""
ANSWER_BYTES_MAX = 65_536
"""The limit for a whole response, as it arrives: head, chunk sizes and the bytes of the body."""
INTERIM_ANSWERS_MAX = 8
HEADER_CHARACTERS_MAX = 200
USER_AGENT = "Balcao-Webhooks/1"

_CHUNK_BYTES = 16_384
_DISPLAYED_HEADERS = ("content-type", "server", "retry-after", "location")

Result = TypeVar("Result")


@dataclass(frozen=True)
class Reply:
    """The result of one attempt. A redirect is a result like any other; it is never followed."""

    status: int | None
    """The HTTP status; None if no response came."""
    error: str | None
    """A code if no response came, or if its body broke off; a 2xx counts as received anyway."""
    detail: str | None
    """A sentence for the developer of the receiver, if there is an error."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Some headers to display, with names in lower case."""
    body: str = ""
    retry_after: str | None = None
    """The header as it was sent; it may be anything."""
    duration_ms: int = 0


class WebhookSender:
    """Sends webhooks; any number of threads or greenlets may share it."""

    def __init__(self, *, allow_private: bool, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """`timeout_seconds` limits a whole attempt.

        Certificates are verified by the system's authorities; OpenSSL's variables SSL_CERT_FILE
        and SSL_CERT_DIR name others.
        """
        self._allow_private = allow_private
        self._timeout_seconds = timeout_seconds

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """Reads the authorities' certificates at first use: that takes 20 to 40 ms."""
        return ssl.create_default_context()

    def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> Reply:
        """Post the body; whatever the receiver does, the result is a Reply and no exception.

        The shorter one of the two timeouts counts.
        """
        start = time.monotonic()
        deadline = start + min(self._timeout_seconds, timeout_seconds)
        try:
            target = self._checked_target(url)
            with self._connect(target, deadline) as stream:
                stream.send(_request(target, body, headers))
                reply = _read_reply(stream)
        except (AddressRefused, LookUpFailed, OSError, http.client.HTTPException) as error:
            reply = Reply(None, *_explain(error))
        milliseconds = round((time.monotonic() - start) * 1000)
        return Reply(**{**reply.__dict__, "duration_ms": milliseconds})

    def _checked_target(self, url: str) -> SplitResult:
        try:
            return urlsplit(check_url(url, allow_private=self._allow_private))
        except ValueError as error:
            # The URL was stored when other rules held.
            raise AddressRefused(str(error)) from None

    def _connect(self, target: SplitResult, deadline: float) -> _Stream:
        host, is_https = target.hostname or "", target.scheme == "https"
        port = target.port or (443 if is_https else 80)
        addresses = resolve(
            host,
            port,
            allow_private=self._allow_private,
            seconds=deadline - time.monotonic(),
        )
        plain = _Stream(_open_socket(addresses, port, deadline), deadline)
        if not is_https:
            return plain
        try:
            return _TlsStream(plain, self._tls, host)
        except BaseException:
            plain.close()
            raise


class _Stream:
    """A connection that waits for nothing after its deadline."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._socket = sock
        self._deadline = deadline

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send all bytes. Raises OSError; TimeoutError at the deadline."""
        rest = memoryview(data)
        while rest:
            self._limit()
            rest = rest[self._socket.send(rest) :]

    def receive(self, size: int) -> bytes:
        """Some bytes, at most `size`; none at the end. Raises OSError."""
        self._limit()
        return self._socket.recv(size)

    def close(self) -> None:
        """Close the socket at once, whatever the other side still sends."""
        self._socket.close()

    def _limit(self) -> None:
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        self._socket.settimeout(seconds)


class _TlsStream(_Stream):
    """TLS over a plain stream; the certificate must be valid for the host of the URL."""

    def __init__(self, plain: _Stream, context: ssl.SSLContext, host: str) -> None:
        self._plain = plain
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._run(self._tls.do_handshake)

    def send(self, data: bytes) -> None:
        """Encrypt and send all bytes; with memory buffers, one write takes them all."""
        self._run(lambda: self._tls.write(data))

    def receive(self, size: int) -> bytes:
        """Some decrypted bytes; an end without TLS's own farewell is an end too."""
        try:
            return self._run(lambda: self._tls.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def close(self) -> None:
        """Close the plain stream."""
        self._plain.close()

    def _run(self, step: Callable[[], Result]) -> Result:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                if chunk := self._plain.receive(_CHUNK_BYTES):
                    self._incoming.write(chunk)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                with suppress(OSError):
                    self._flush()  # The receiver's log then says why.
                raise
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._plain.send(self._outgoing.read())


class _AnswerTooLong(http.client.HTTPException):
    """The response is longer than ANSWER_BYTES_MAX before its body was read."""


class _AnswerBytes(io.RawIOBase):
    """The bytes of a response, at most ANSWER_BYTES_MAX."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream
        self._rest = ANSWER_BYTES_MAX
        self.has_ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a part of the buffer; see io.RawIOBase."""
        if not self._rest:
            raise _AnswerTooLong
        chunk = self._stream.receive(min(len(buffer), self._rest))
        self._rest -= len(chunk)
        self.has_ended = not chunk
        buffer[: len(chunk)] = chunk
        return len(chunk)


class _AnswerFile(io.BufferedReader):
    """A file for several `HTTPResponse`s in turn, each of which would close it."""

    def makefile(self, _mode: str) -> _AnswerFile:
        """The file itself: `HTTPResponse` calls this method of a socket."""
        return self

    def close(self) -> None:
        """The stream is closed by its owner."""


def _open_socket(addresses: tuple[str, ...], port: int, deadline: float) -> socket.socket:
    """A connection to the first address that accepts one; the deadline is divided among them."""
    failure: OSError = TimeoutError()
    for tries, address in enumerate(addresses):
        seconds = (deadline - time.monotonic()) / (len(addresses) - tries)
        if seconds <= 0:
            break
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(seconds)
            sock.connect((address, port))
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _request(target: SplitResult, body: bytes, headers: Mapping[str, str]) -> bytes:
    path = target.path + (f"?{target.query}" if target.query else "")
    fields = {
        "host": target.netloc,
        "user-agent": USER_AGENT,
        "accept": "*/*",
        "accept-encoding": "identity",
        **{name.lower(): value for name, value in headers.items()},
        "content-length": str(len(body)),
        "connection": "close",
    }
    if any(mark in f"{name}{value}" for name, value in fields.items() for mark in "\r\n\0"):
        raise ValueError("a header contains a line end")
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _read_reply(stream: _Stream) -> Reply:
    """The response. Raises OSError and HTTPException if its head does not arrive whole."""
    response = _read_head(_AnswerBytes(stream))
    headers = {
        name: value for name in _DISPLAYED_HEADERS if (value := _header(response, name)) is not None
    }
    body, failure = _read_body(response)
    error, detail = (None, None) if failure is None else _explain(failure)
    text = body.decode("utf-8", "replace").replace("\0", "\ufffd")
    return Reply(response.status, error, detail, headers, text, headers.get("retry-after"))


def _read_head(answer: _AnswerBytes) -> http.client.HTTPResponse:
    """The final response; the interim ones (1xx) are skipped."""
    file = _AnswerFile(answer)
    for _ in range(INTERIM_ANSWERS_MAX):
        response = http.client.HTTPResponse(file, method="POST")  # type: ignore[arg-type]
        try:
            response.begin()
        except ValueError as error:
            raise http.client.HTTPException from error
        if answer.has_ended:  # The library takes the end of the connection for the end of a head.
            raise ConnectionResetError
        if 200 <= response.status <= 599:
            return response
        if response.status >= 600 or response.status == 101:
            break
    raise http.client.BadStatusLine("no final status")


def _header(response: http.client.HTTPResponse, name: str) -> str | None:
    value = response.getheader(name)
    if value is None:
        return None
    return "".join(c if c.isprintable() else "\ufffd" for c in value[:HEADER_CHARACTERS_MAX])


def _read_body(response: http.client.HTTPResponse) -> tuple[bytes, Exception | None]:
    """The first BODY_BYTES_MAX bytes, and why there are fewer if the body broke off."""
    length = response.length
    size = BODY_BYTES_MAX if length is None else min(length, BODY_BYTES_MAX)
    body = b""
    try:
        while len(body) < size and (chunk := response.read1(size - len(body))):
            body += chunk
    except (OSError, ValueError, http.client.HTTPException) as error:
        return body, error
    if length is not None and len(body) < size:
        return body, http.client.IncompleteRead(body)
    return body, None


def _explain(error: Exception) -> tuple[str, str]:
    """The code and the sentence for a failure."""
    if isinstance(error, AddressRefused):
        return "address-refused", str(error)
    if isinstance(error, LookUpFailed):
        return "dns-failed", str(error)
    if isinstance(error, ssl.SSLCertVerificationError):
        return "tls-failed", f"The certificate was refused: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return "tls-failed", f"TLS failed: {error.reason or 'the connection was closed'}."
    if isinstance(error, TimeoutError):
        return "timeout", "The receiver did not answer in time."
    if isinstance(error, ConnectionRefusedError):
        return "connection-refused", "The receiver refused the connection."
    if isinstance(error, (ConnectionError, http.client.IncompleteRead)):
        return "connection-lost", "The receiver closed the connection before the answer was whole."
    if isinstance(error, _AnswerTooLong):
        return "bad-answer", "The head of the answer is too long."
    if isinstance(error, OSError):
        return "unreachable", "There is no way to the receiver's address."
    return "bad-answer", "The receiver's answer is not HTTP."
