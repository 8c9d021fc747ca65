"""Answer requests for the QR of a payment below Flask: each payment page has one."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.http import http_date

from config import Settings
from core.runtime.parts import Parts
from payments.qr_routes import (
    CODE_READ,
    PICTURE_NAME,
    caching_of,
    picture_headers,
    picture_of,
)
from repository.page_rows import PicturedCode, find_code
from web.limits import network_of
from web.request_counts import QR_IMAGES, REQUESTS
from web.requests import hub_hooks, request_id_of, security_headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

ROUTE = "/payments/pix/qr_code/<path:name>"
_PATH = re.compile(f"/payments/pix/qr_code/{PICTURE_NAME}", re.ASCII)
_QUERY = re.compile(r"(?:v=\w{1,32})?", re.ASCII)
_FOR_FLASK = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH", "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING")


class QrAnswers:
    """WSGI middleware that answers GET of the picture of a payment's code.

    Everything else goes to Flask: unknown payments, conditional requests, and clients beyond their
    bound. The answer has the headers of Flask's, and counts in the bounds and in the metrics.
    """

    def __init__(self, application: WSGIApplication, settings: Settings, parts: Parts) -> None:
        """Wrap the WSGI application of an app with these parts."""
        self._application = application
        self._requests_max = settings.requests_per_minute
        self._images_max = settings.qr_images_per_minute
        self._parts = parts
        self._hub_yields = hub_hooks(settings, parts.socketio)
        self._headers = list(security_headers(settings).items())

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        match = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        if match is None or not _is_plain(environ):
            return self._application(environ, start_response)
        started = time.perf_counter()
        network = network_of(environ.get("REMOTE_ADDR") or "unknown")
        if not self._may_take(network):
            return self._application(environ, start_response)
        code = self._find(environ, match[1])
        if code is None or not code.has_location:
            return self._application(environ, start_response)
        try:
            kind = match[2] or "png"
            body = picture_of(code.br_code, kind)
        except ValueError:  # Flask raises it again, and answers and logs it
            return self._application(environ, start_response)
        # Other requests of this client may have come while this one read.
        counts = self._parts.request_counts
        if not self._may_take(network) or not counts.take_if_free(
            REQUESTS, network, self._requests_max
        ):
            return self._application(environ, start_response)
        counts.take_if_free(QR_IMAGES, network, self._images_max)
        self._parts.metrics.observe("GET", ROUTE, 200, time.perf_counter() - started)
        query = environ.get("QUERY_STRING", "")
        own = [
            *picture_headers(body, kind, caching_of(code, f"?{query}" if query else "")),
            ("Content-Length", str(len(body))),
            ("Date", http_date(self._parts.ledger.clock.now())),
            ("X-Request-ID", request_id_of(environ)),
        ]
        start_response("200 OK", own + self._headers)
        for hub_yield in self._hub_yields:
            hub_yield.after_answer()
        return (body,)

    def _may_take(self, network: str) -> bool:
        counts = self._parts.request_counts
        return counts.may_take(REQUESTS, network, self._requests_max) and counts.may_take(
            QR_IMAGES, network, self._images_max
        )

    def _find(self, environ: WSGIEnvironment, txid: str) -> PicturedCode | None:
        try:
            code = environ[CODE_READ] = find_code(self._parts.ledger, txid)
        except Exception as error:  # Flask raises it again, and answers and logs it
            environ[CODE_READ] = error
            return None
        return code


def _is_plain(environ: WSGIEnvironment) -> bool:
    """Whether the request has nothing that only Flask can answer."""
    return (
        environ["REQUEST_METHOD"] == "GET"
        and _QUERY.fullmatch(environ.get("QUERY_STRING", "")) is not None
        and not any(environ.get(name) for name in _FOR_FLASK)
    )
