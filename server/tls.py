"""TLS in front of the service's own servers, with the client certificates of mutual TLS.

A connection is decrypted here, in memory, and the servers of all three async modes read and write
one end of a pair of plain sockets. So heads, bodies, event streams and websockets are served by
the same code, with the same bounds, as without TLS (docs/decisions/0061-mutual-tls.md).
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from config import ConfigurationError, Settings
from core.signing.development_ca import thumbprint
from server.incoming import RECEIVED_AT_ONCE, SILENCE_SECONDS_MAX

CLOSE_SECONDS = 5.0
"""How long a finished connection may take to hand over its last bytes."""

_PLAIN_HTTP = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 45\r\nConnection: close\r\n\r\n"
    b"This port speaks TLS: begin with https://...\n"
)


def server_context(settings: Settings) -> ssl.SSLContext:
    """The service's certificate, and the CA whose client certificates are accepted.

    A client may come without a certificate, as browsers do: API Pix refuses it then. A certificate
    of another CA, or one that is not valid today, ends the handshake. Raises ConfigurationError.
    """
    folder = settings.tls_folder
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(folder / "server.pem", folder / "server-key.pem")
        context.load_verify_locations(folder / "ca.pem")
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"TLS_PORT needs server.pem, server-key.pem and ca.pem in {folder}: {error}."
        ) from None
    context.verify_mode = ssl.CERT_OPTIONAL
    # TLS 1.2 at least is Python's default for this protocol, and all its ciphers of 1.2 have
    # forward secrecy (Manual de Segurança do Pix).
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    # A resumed session would skip the check of the certificate.
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])
    return context


class TlsTunnel:
    """One client's connection: decrypts what comes, encrypts what goes.

    `plain` is the socket that the HTTP code reads and writes in place of the client's.
    """

    def __init__(
        self, connection: Any, context: ssl.SSLContext, spawn: Callable[..., object]
    ) -> None:
        """`spawn(function)` runs beside the caller, as `server.connections` needs it."""
        self._connection = connection
        self._spawn = spawn
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_side=True)
        self._tls_lock = threading.Lock()
        self._send_lock = threading.Lock()
        self._is_sent = threading.Event()
        self._is_over = threading.Event()
        self.certificate_thumbprint: str | None = None
        """The client's certificate (`x5t#S256`), verified; None if the client has sent none."""
        self.plain: Any = None
        self._inner: Any = None

    def open(self, seconds: float) -> bool:
        """Shake hands within so many seconds; False if the client did not manage to.

        Raises OSError if the client has gone, or is too slow.
        """
        limit = time.monotonic() + seconds
        try:
            while not self._has_shaken_hands():
                self._receive(limit - time.monotonic())
        except ssl.SSLError as error:
            with suppress(OSError):
                self._connection.settimeout(1)
                if error.reason == "HTTP_REQUEST":
                    self._connection.sendall(_PLAIN_HTTP)
                else:
                    self._flush()  # the alert says what is wrong
                self._connection.shutdown(socket.SHUT_WR)
            return False
        certificate = self._tls.getpeercert(binary_form=True)
        if certificate is not None:
            self.certificate_thumbprint = thumbprint(certificate)
        self._connection.settimeout(SILENCE_SECONDS_MAX)
        self.plain, self._inner = socket.socketpair()
        self._spawn(self._decrypt_all)
        self._spawn(self._encrypt_all)
        return True

    def close(self) -> None:
        """After the HTTP code is done: hand over its last bytes, and end the connection."""
        if self.plain is None:
            return
        with suppress(OSError):
            self.plain.close()
        self._is_sent.wait(CLOSE_SECONDS)
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._is_over.wait(CLOSE_SECONDS)
        self._inner.close()

    def _has_shaken_hands(self) -> bool:
        """Whether the handshake is done. Raises ssl.SSLError, OSError."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        self._flush()
        return True

    def _receive(self, seconds: float) -> None:
        """Wait for bytes of the handshake. Raises TimeoutError, OSError."""
        if seconds <= 0:
            raise TimeoutError
        self._connection.settimeout(seconds)
        data = self._connection.recv(RECEIVED_AT_ONCE)
        if not data:
            raise ConnectionError
        self._received.write(data)
        time.sleep(0)  # others get a turn, however fast this client sends

    def _flush(self) -> None:
        """Send what TLS has written. Raises OSError."""
        with self._send_lock:
            with self._tls_lock:
                data = self._to_send.read()
            if data:
                self._connection.sendall(data)

    def _decrypt_all(self) -> None:
        """From the client to the HTTP code, until either has ended."""
        try:
            with suppress(OSError):  # ssl.SSLError is one
                data = b""  # what came together with the end of the handshake is here already
                while True:
                    text, has_ended = self._decrypted(data)
                    if self._to_send.pending:
                        self._flush()
                    if text:
                        self._inner.sendall(text)
                    if has_ended or not (data := self._next_bytes()):
                        break
                    time.sleep(0)  # others get a turn
            with suppress(OSError):
                self._inner.shutdown(socket.SHUT_WR)
        finally:
            self._is_over.set()

    def _next_bytes(self) -> bytes:
        """Bytes of the client; empty at the end. The HTTP code decides how long to wait."""
        while True:
            try:
                data: bytes = self._connection.recv(RECEIVED_AT_ONCE)
            except TimeoutError:
                if self._is_sent.is_set():
                    return b""
                continue
            return data

    def _decrypted(self, data: bytes) -> tuple[bytes, bool]:
        """The text in these bytes, and whether the client has ended its side."""
        pieces: list[bytes] = []
        with self._tls_lock:
            self._received.write(data)
            try:
                while piece := self._tls.read(RECEIVED_AT_ONCE):
                    pieces.append(piece)
            except ssl.SSLWantReadError:
                return b"".join(pieces), False
        return b"".join(pieces), True

    def _encrypt_all(self) -> None:
        """From the HTTP code to the client, until either has ended."""
        try:
            with suppress(OSError):
                while text := self._inner.recv(RECEIVED_AT_ONCE):
                    with self._tls_lock:
                        self._tls.write(text)
                    self._flush()
                with self._tls_lock, suppress(ssl.SSLError):
                    self._tls.unwrap()  # writes that our side ends; does not wait for the client's
                self._flush()
            with suppress(OSError):
                self._inner.shutdown(socket.SHUT_RD)  # the HTTP code must not write to nobody
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_WR)
        finally:
            self._is_sent.set()
