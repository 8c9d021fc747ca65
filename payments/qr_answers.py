"""Answer requests for the QR of a payment before Flask: each payment page has one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from config import Settings
from core.runtime.parts import Parts
from payments.qr_routes import (
    CODE,
    PICTURE_NAME,
    caching_of,
    picture_headers,
    picture_of,
    read_code,
)
from web.before_flask import BeforeFlask, QuickAnswer, is_plain
from web.request_counts import QR_IMAGES
from web.requests import security_headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_PATH = re.compile(f"/payments/pix/qr_code/({PICTURE_NAME})", re.ASCII)
_NAME = re.compile(PICTURE_NAME, re.ASCII)
_QUERY = re.compile(r"(?:v=\w{1,32})?", re.ASCII)


class QrAnswers(BeforeFlask):
    """WSGI middleware that answers GET of the picture of a payment's code.

    Everything else goes to Flask: unknown payments, conditional requests, and clients beyond their
    bound. Pictures are not logged, as those of Flask.
    """

    route = "/payments/pix/qr_code/<path:name>"

    def __init__(self, application: WSGIApplication, settings: Settings, parts: Parts) -> None:
        """Wrap the WSGI application of an app with these parts."""
        super().__init__(application, settings, parts)
        self._bounds.append((QR_IMAGES, settings.qr_images_per_minute))
        self._headers = list(security_headers(settings).items())

    def _subject(self, environ: WSGIEnvironment) -> str | None:
        """The name of the picture."""
        match = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        is_ours = (
            match is not None
            and environ["REQUEST_METHOD"] == "GET"
            and _QUERY.fullmatch(environ.get("QUERY_STRING", "")) is not None
            and is_plain(environ, "HTTP_IF_NONE_MATCH")
        )
        return match[1] if match is not None and is_ours else None

    def _answer(self, environ: WSGIEnvironment, subject: str) -> QuickAnswer | None:
        match = _NAME.fullmatch(subject)
        if match is None:
            return None
        txid = match[1]
        code = CODE.read(environ, lambda: read_code(self._parts.ledger, txid))
        if code is None or not code.has_location:
            return None
        kind = match[2] or "png"
        try:
            body = picture_of(code.br_code, kind)
        except ValueError:  # Flask raises it again, and answers and logs it
            return None
        query = environ.get("QUERY_STRING", "")
        headers = [
            *picture_headers(body, kind, caching_of(code, f"?{query}" if query else "")),
            ("Content-Length", str(len(body))),
            *self._headers,
        ]
        return QuickAnswer(200, headers, (body,))
