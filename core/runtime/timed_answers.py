"""HTTP connections whose whole answer ends at a deadline, headers included.

A socket's timeout begins anew with each byte, so a peer that sends its headers byte by byte could
hold a thread for ever. A pool may also have a limit for everything before the first request: the
name, the connection and the handshake of TLS.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import create_connection

from core.runtime.hub import time_limit
from core.runtime.lookups import LookUpFailed, LookUpPlaces, look_up

_names = LookUpPlaces(16)
"""The operator chooses these hosts; those of webhooks, which merchants choose, may be slow."""


class HandshakeFailed(urllib3.exceptions.SSLError):
    """TLS failed before anything was sent; the first argument is the error of `ssl`."""


class StaleConnection(ConnectionError):
    """A connection that had been used before ended before the first byte of an answer."""


def timed_pool(
    seconds: Callable[[], float], *, connect_seconds: float | None = None, **options: Any
) -> urllib3.PoolManager:
    """A pool whose answers end after `seconds()`; options as those of PoolManager.

    The time begins when a request was sent. After it, a read raises what urllib3 raises for a
    timeout. With `connect_seconds`, looking the name up, connecting and the handshake of TLS each
    end after so many seconds; a failure of these raises ConnectTimeoutError, NewConnectionError or
    HandshakeFailed, so that nothing else means that nothing was sent.
    """

    class _TimedResponse(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *arguments: Any, **keywords: Any) -> None:
            super().__init__(sock, *arguments, **keywords)
            unbuffered = self.fp.detach()
            reader = _TimedReader(sock, unbuffered, time.monotonic() + seconds())
            self.fp = io.BufferedReader(reader)

    class _TimedConnection(HTTPConnection):
        response_class = _TimedResponse

    class _TimedEncryptedConnection(HTTPSConnection):
        response_class = _TimedResponse

    class _TimedPool(HTTPConnectionPool):
        ConnectionCls = _TimedConnection

    class _TimedEncryptedPool(HTTPSConnectionPool):
        ConnectionCls = _TimedEncryptedConnection

    manager = urllib3.PoolManager(**options)
    manager.pool_classes_by_scheme = {"http": _TimedPool, "https": _TimedEncryptedPool}
    if connect_seconds is not None:
        limit = connect_seconds

        class _BoundedConnection(_BoundedConnect, _TimedConnection):
            seconds_max = limit

        class _BoundedEncryptedConnection(_BoundedConnect, _TimedEncryptedConnection):
            seconds_max = limit

        class _BoundedPool(_StaleMark, _TimedPool):
            ConnectionCls = _BoundedConnection

        class _BoundedEncryptedPool(_StaleMark, _TimedEncryptedPool):
            ConnectionCls = _BoundedEncryptedConnection

        manager.pool_classes_by_scheme = {"http": _BoundedPool, "https": _BoundedEncryptedPool}
    return manager


class _BoundedConnect:
    """A connection that is ready, or has failed, within some seconds, in every async mode."""

    seconds_max: float
    port: int
    sock: Any
    _dns_host: str
    socket_options: Any

    def connect(self) -> None:
        """See HTTPConnection."""
        try:
            with time_limit(2 * self.seconds_max):
                super().connect()  # type: ignore[misc]  # mixed in before a connection
        except TimeoutError as error:
            raise urllib3.exceptions.ConnectTimeoutError(self, "no connection in time") from error
        except ssl.SSLError as error:
            raise HandshakeFailed(error) from error
        except OSError as error:
            raise urllib3.exceptions.NewConnectionError(
                cast(HTTPConnection, self), "the connection ended at once"
            ) from error

    def send(self, data: Any) -> None:
        """See HTTPConnection."""
        try:
            super().send(data)  # type: ignore[misc]  # as above
        except ssl.SSLEOFError:
            # By TLS 1.3, a peer refuses our certificate after the handshake, and its alert has
            # arrived while we wrote to a connection that it had closed.
            with suppress(ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError, TimeoutError):
                self.sock.recv(1)  # raises the alert
            raise

    def _new_conn(self) -> socket.socket:
        deadline = time.monotonic() + self.seconds_max
        failure: Exception = TimeoutError()
        try:
            addresses = look_up(self._dns_host, self.port, self.seconds_max, own_places=_names)
        except LookUpFailed as error:
            addresses, failure = [], error
        for tries, address in enumerate(addresses):
            pause = (deadline - time.monotonic()) / (len(addresses) - tries)
            if pause <= 0:
                break
            try:
                sock = create_connection(
                    (address, self.port), pause, socket_options=self.socket_options
                )
            except OSError as error:
                failure = error
            else:
                sock.settimeout(self.seconds_max)  # for the handshake of TLS
                return sock
        if isinstance(failure, TimeoutError):
            raise failure
        raise urllib3.exceptions.NewConnectionError(cast(HTTPConnection, self), str(failure))


class _StaleMark:
    """A pool that tells a connection which the peer had closed from a failure of a new one."""

    def _make_request(self, conn: Any, *arguments: Any, **keywords: Any) -> Any:
        is_reused = conn.sock is not None
        try:
            return super()._make_request(  # type: ignore[misc]  # mixed in before a pool
                conn, *arguments, **keywords
            )
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            if is_reused:
                raise StaleConnection from error
            raise


class _TimedReader(io.RawIOBase):
    """The bytes of a socket until a deadline of `time.monotonic`."""

    def __init__(self, sock: socket.socket, unbuffered: io.RawIOBase, deadline: float) -> None:
        self._sock, self._unbuffered, self._deadline = sock, unbuffered, deadline

    def readable(self) -> bool:
        """The socket can be read."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what has arrived. Raises TimeoutError at the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        pause = self._sock.gettimeout()
        self._sock.settimeout(left if pause is None else min(left, pause))
        try:
            return self._unbuffered.readinto(buffer)
        finally:
            if self._sock.fileno() >= 0:
                self._sock.settimeout(pause)

    def close(self) -> None:
        """Close the file, which lets the socket close."""
        self._unbuffered.close()
        super().close()
