"""What the WSGI middleware that answers common requests before Flask has in common.

Each such middleware takes a few kinds of request and leaves everything else to Flask. Its answers
have the headers of Flask's, count in the bounds and in the metrics, and have the request's id.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, cast

from werkzeug.http import http_date

from config import Settings
from core.runtime.parts import Parts
from web.limits import network_of
from web.request_counts import REQUESTS
from web.requests import hub_hooks, log_answer, request_id_of

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Headers = list[tuple[str, str]]
Value = TypeVar("Value")
_FOR_FLASK = ("HTTP_IF_MATCH", "HTTP_UPGRADE", "HTTP_TRANSFER_ENCODING")
"""Flask refuses a precondition that fails, an upgrade, and bodies that are too long."""


class QuickAnswer(NamedTuple):
    """An answer made before Flask."""

    status: int
    headers: Headers
    """All headers but `Date` and `X-Request-ID`."""
    body: tuple[bytes, ...]


class SharedRead(Generic[Value]):
    """What a middleware reads for a request; Flask uses it if it must answer after all."""

    def __init__(self, name: str) -> None:
        """`name` is that of its key in the environ of a request."""
        self._key = f"balcao.{name}"

    def read(self, environ: WSGIEnvironment, read: Callable[[], Value]) -> Value | None:
        """What `read` returns; None if it raises, because Flask answers and logs errors."""
        try:
            value = environ[self._key] = read()
        except Exception as error:
            environ[self._key] = error
            return None
        return value

    def earlier(self, environ: WSGIEnvironment) -> Value | None:
        """What was read for this request, or None if nothing was. Raises what reading raised."""
        value = environ.get(self._key)
        if isinstance(value, Exception):
            raise value
        return cast("Value | None", value)


_STATUS_LINES = {200: "200 OK", 304: "304 NOT MODIFIED"}


def is_plain(environ: WSGIEnvironment, *headers_for_flask: str) -> bool:
    """Whether the request has no body and none of the headers that only Flask understands."""
    return environ.get("CONTENT_LENGTH") in (None, "", "0") and not any(
        name in environ for name in (*_FOR_FLASK, *headers_for_flask)
    )


@lru_cache(maxsize=16)
def _date_of(second: int) -> str:
    """The value of `Date`, which answers of the same second share."""
    return http_date(second)


class BeforeFlask(ABC):
    """WSGI middleware that answers requests of one route; a subclass says which, and how."""

    route = ""
    """The rule of the route in Flask, by which metrics count."""
    is_logged = False

    def __init__(self, application: WSGIApplication, settings: Settings, parts: Parts) -> None:
        """Wrap the WSGI application of an app with these parts."""
        self._application = application
        self._parts = parts
        self._bounds = [(REQUESTS, settings.requests_per_minute)]
        """The bounds in which an answer counts: their kinds, and how many a client may take."""
        self._hub_yields = hub_hooks(settings, parts.socketio)

    @abstractmethod
    def _subject(self, environ: WSGIEnvironment) -> str | None:
        """What a request is about, such as an id; None for a request that Flask shall answer."""

    @abstractmethod
    def _answer(self, environ: WSGIEnvironment, subject: str) -> QuickAnswer | None:
        """The answer; None if Flask shall answer after all."""

    def _pass_on(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Let Flask answer."""
        return self._application(environ, start_response)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        subject = self._subject(environ)
        if subject is None:
            return self._application(environ, start_response)
        started = time.perf_counter()
        network = network_of(environ.get("REMOTE_ADDR") or "unknown")
        if not self._has_room(network):
            return self._application(environ, start_response)
        answer = self._answer(environ, subject)
        # Other requests of this client may have come while this one read.
        if answer is None or not self._has_room(network):
            return self._pass_on(environ, start_response)
        for kind, most in self._bounds:
            self._parts.request_counts.take_if_free(kind, network, most)
        method, status = environ["REQUEST_METHOD"], answer.status
        seconds = time.perf_counter() - started
        self._parts.metrics.observe(method, self.route, status, seconds)
        request_id = request_id_of(environ)
        if self.is_logged:
            log_answer(method, environ["PATH_INFO"], status, seconds, request_id)
        own = [
            ("Date", _date_of(int(self._parts.ledger.clock.now().timestamp()))),
            ("X-Request-ID", request_id),
        ]
        start_response(_STATUS_LINES[status], answer.headers + own)
        for hub_yield in self._hub_yields:
            hub_yield.after_answer()
        return answer.body

    def _has_room(self, network: str) -> bool:
        counts = self._parts.request_counts
        return all(counts.may_take(kind, network, most) for kind, most in self._bounds)
