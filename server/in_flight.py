"""Count the requests in progress, so that a stop can wait for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from werkzeug.exceptions import HTTPException

from server.incoming import body_of

LONG_LIVED = ("/socket.io", "/api/merchant/ws")
"""Paths of connections that stay open; a stop does not wait for them."""

IS_STOPPING = "balcao.is_stopping"
"""In the environment: a function by which an answer that stays open learns that it must end."""

_TICK_SECONDS = 0.05


class InFlight:
    """WSGI middleware that counts the requests in progress, so that a stop can wait for them."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._count = 0
        self.is_stopping = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request; tell the client if the connection ends with it."""
        environ[IS_STOPPING] = lambda: self.is_stopping
        is_long_lived = environ.get("PATH_INFO", "").startswith(LONG_LIVED)
        body = body_of(environ)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            is_last = body is not None and body.ends_connection()
            is_last = is_last or (self.is_stopping and not is_long_lived)
            last = [("Connection", "close")] if is_last else []
            return start_response(status, [*headers, *last], *rest)

        if is_long_lived:
            return self._answer(environ, start)
        self._add(1)
        try:
            return _CountedResponse(self._answer(environ, start), lambda: self._add(-1))
        except BaseException:
            self._add(-1)
            raise

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            return self._application(environ, start_response)
        except HTTPException as error:  # a bad body, read by code outside of Flask
            return error(environ, start_response)

    def wait(self, limit: float) -> int:
        """Wait for the requests in progress until `limit` (monotonic); return how many are left."""
        while self._count > 0 and time.monotonic() < limit:
            time.sleep(_TICK_SECONDS)
        return self._count

    def _add(self, change: int) -> None:
        with self._lock:
            self._count += change


class _CountedResponse:
    """A response that calls back once, when the server closes it."""

    def __init__(self, response: Iterable[bytes], on_close: Callable[[], None]) -> None:
        self._response = response
        self._on_close = on_close
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response)

    def close(self) -> None:
        """Called by the server after the last byte."""
        try:
            if hasattr(self._response, "close"):
                self._response.close()
        finally:
            if self._open:
                self._open = False
                self._on_close()
