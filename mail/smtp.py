"""SMTP connections whose whole conversation has an end.

`smtplib` gives each read its own timeout, so a server that sends one byte every few seconds may
hold a sender for ever, and another process would send the same message after the lease.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from typing import Any

from core.runtime.smtp_url import SmtpServer

REPLY_SECONDS = 15.0
"""The longest wait for a connection, and for a reply before the message is handed over."""
_LINE_BYTES_MAX = 8192


class _Replies:
    """Reads a server's lines, each read until the connection's deadline."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._bytes = bytearray()

    def readline(self, limit: int = _LINE_BYTES_MAX) -> bytes:
        """One line with its end, at most `limit` bytes. Raises TimeoutError at the deadline."""
        until = self._connection.reply_deadline()
        while b"\n" not in self._bytes and len(self._bytes) < limit:
            chunk = self._connection.limited_socket(until).recv(limit)
            if not chunk:
                break
            self._bytes += chunk
        end = self._bytes.find(b"\n") + 1 or len(self._bytes)
        line = bytes(self._bytes[: min(end, limit)])
        del self._bytes[: len(line)]
        return line

    def close(self) -> None:
        """The socket is closed by its owner."""


class Connection(smtplib.SMTP):
    """A connection that sends and receives nothing after its deadline."""

    deadline: float
    """A time of the monotonic clock; its owner sets it for each message."""
    _is_handing_over = False

    def reply_deadline(self) -> float:
        """The monotonic time until which the next line is awaited."""
        if self._is_handing_over:
            return self.deadline
        return min(self.deadline, time.monotonic() + REPLY_SECONDS)

    def limited_socket(self, until: float) -> socket.socket:
        """The socket, with a timeout that ends then. Raises TimeoutError if that has passed."""
        seconds = until - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the mail server is too slow")
        sock: Any = self.sock
        sock.settimeout(seconds)
        return sock  # type: ignore[no-any-return]  # smtplib has no type for it

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply; see smtplib."""
        if self.file is None:
            self.file = _Replies(self)
        return super().getreply()

    def send(self, s: Any) -> None:
        """Send bytes or ASCII text; see smtplib."""
        if self.sock:
            try:
                self.limited_socket(self.deadline)
            except TimeoutError:
                self.close()
                raise
        super().send(s)

    def data(self, msg: Any) -> tuple[int, bytes]:
        """Hand the message over; see smtplib.

        A server may take minutes to check a message before it answers (RFC 5321, 4.5.3.2.6). If
        this side stops waiting earlier, it sends the message twice. So only the deadline ends
        this wait.
        """
        self._is_handing_over = True
        try:
            return super().data(msg)
        finally:
            self._is_handing_over = False


class _TlsConnection(Connection, smtplib.SMTP_SSL):
    """The same over TLS from the first byte."""


def connect(server: SmtpServer, deadline: float) -> Connection:
    """A connection, with TLS and signed in as the address of the server says.

    `deadline` is a time of the monotonic clock. Raises OSError and smtplib.SMTPException.
    """
    context = ssl.create_default_context()
    connection: Connection
    if server.security == "tls":
        connection = _TlsConnection(timeout=REPLY_SECONDS, context=context)
    else:
        connection = Connection(timeout=REPLY_SECONDS)
    connection.deadline = deadline
    try:
        connection._host = server.host  # type: ignore[attr-defined]  # TLS verifies this name
        code, answer = connection.connect(server.host, server.port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, answer)
        if server.security == "starttls":
            connection.starttls(context=context)
        if server.user:
            connection.login(server.user, server.password)
    except BaseException:
        connection.close()
        raise
    return connection
