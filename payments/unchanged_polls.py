"""Answer polls of unchanged payments below Flask: nearly all requests of pages that wait."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from werkzeug.http import http_date

from config import Settings
from core.runtime.parts import Parts
from payments.lifecycle import sequence_at, status_at
from repository.database import ledger
from repository.ledgers import Ledger
from repository.page_rows import PolledPayment, find_polled
from web.answers import POLLED_CACHING, polled_tag
from web.limits import network_of
from web.request_counts import REQUESTS
from web.requests import hub_hooks, request_id_of, security_headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_READ = "balcao.poll_read"
"""Key in a request's environ: what was read for it, so that Flask need not read it again."""

ROUTE = "/payments/pix/<string:payment_id>/status"
_PATH = re.compile("/payments/pix/([0-9a-f]{32})/status", re.ASCII)
_TAG = re.compile('W/"[a-z]{1,20}-[0-9]{1,10}"', re.ASCII)


def read_polled(environ: WSGIEnvironment, txid: str) -> tuple[PolledPayment | None, datetime]:
    """What a poll reads of the payment, and when: read just now for this request, if it was.

    Raises what reading raises.
    """
    read: tuple[PolledPayment | None, datetime] | Exception | None = environ.get(_READ)
    if isinstance(read, Exception):
        raise read
    return _read(ledger(), txid) if read is None else read


def _read(ledger_: Ledger, txid: str) -> tuple[PolledPayment | None, datetime]:
    payment = find_polled(ledger_, txid)
    return payment, ledger_.clock.now()  # afterwards: a wait for a connection may last


class UnchangedPolls:
    """WSGI middleware that answers 304 to a poll that names the payment's present state.

    Everything else goes to Flask: changes, unknown payments, other forms of `If-None-Match`, and
    clients beyond their bound. The answer has the headers of Flask's. It counts in the bounds and
    in the metrics, and is not logged, because a page sends it for as long as it waits.
    """

    def __init__(self, application: WSGIApplication, settings: Settings, parts: Parts) -> None:
        """Wrap the WSGI application of an app with these parts."""
        self._application = application
        self._requests_max = settings.requests_per_minute
        self._parts = parts
        self._hub_yields = hub_hooks(settings, parts.socketio)
        self._headers = [("Cache-Control", POLLED_CACHING), *security_headers(settings).items()]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        tag = environ.get("HTTP_IF_NONE_MATCH")
        if tag is None or environ["REQUEST_METHOD"] != "GET" or not _TAG.fullmatch(tag):
            return self._application(environ, start_response)
        # Flask refuses an `If-Match` that does not match, whatever else a request says.
        is_plain = "HTTP_IF_MATCH" not in environ
        match = _PATH.fullmatch(environ.get("PATH_INFO", "")) if is_plain else None
        started = time.perf_counter()
        network = network_of(environ.get("REMOTE_ADDR") or "unknown")
        counts, most = self._parts.request_counts, self._requests_max
        if match is None or not counts.may_take(REQUESTS, network, most):
            return self._application(environ, start_response)
        if not self._is_unchanged(environ, match[1], tag):
            return self._application(environ, start_response)
        # Other requests of this client may have come while this one read.
        if not counts.take_if_free(REQUESTS, network, most):
            return self._application(environ, start_response)
        self._parts.metrics.observe("GET", ROUTE, 304, time.perf_counter() - started)
        own = [
            ("ETag", tag),
            ("Date", http_date(self._parts.ledger.clock.now())),
            ("X-Request-ID", request_id_of(environ)),
        ]
        start_response("304 NOT MODIFIED", own + self._headers)
        for hub_yield in self._hub_yields:
            hub_yield.after_answer()
        return ()

    def _is_unchanged(self, environ: WSGIEnvironment, txid: str, tag: str) -> bool:
        try:
            payment, now = environ[_READ] = _read(self._parts.ledger, txid)
        except Exception as error:  # Flask raises it again, and answers and logs it
            environ[_READ] = error
            return False
        if payment is None:
            return False
        return tag == f'W/"{polled_tag(status_at(payment, now), sequence_at(payment, now))}"'
