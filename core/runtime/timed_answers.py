"""HTTP connections whose whole answer ends at a deadline, headers included.

A socket's timeout begins anew with each byte, so a peer that sends its headers byte by byte could
hold a thread for ever.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Callable
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


def timed_pool(seconds: Callable[[], float], **options: Any) -> urllib3.PoolManager:
    """A pool whose answers end after `seconds()`; options as those of PoolManager.

    The time begins when a request was sent. After it, a read raises what urllib3 raises for a
    timeout.
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
    return manager


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
