"""Answer polls of unchanged payments before Flask: nearly all requests of pages that wait."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from config import Settings
from core.runtime.parts import Parts
from payments.lifecycle import sequence_at, status_at
from repository.database import ledger
from repository.ledgers import Ledger
from repository.page_rows import PolledPayment, find_polled
from web.answers import POLLED_CACHING, polled_tag
from web.before_flask import BeforeFlask, QuickAnswer, SharedRead, is_plain
from web.requests import security_headers

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_Polled = tuple[PolledPayment | None, datetime]
_POLLED: SharedRead[_Polled] = SharedRead("polled")

_PATH = re.compile("/payments/pix/([0-9a-f]{32})/status", re.ASCII)
_TAG = re.compile('W/"[a-z]{1,20}-[0-9]{1,10}"', re.ASCII)


def read_polled(environ: WSGIEnvironment, txid: str) -> _Polled:
    """What a poll reads of the payment, and when: read just now for this request, if it was.

    Raises what reading raises.
    """
    return _POLLED.earlier(environ) or _read(ledger(), txid)


def _read(ledger_: Ledger, txid: str) -> _Polled:
    payment = find_polled(ledger_, txid)
    return payment, ledger_.clock.now()  # afterwards: a wait for a connection may last


class UnchangedPolls(BeforeFlask):
    """WSGI middleware that answers 304 to a poll that names the payment's present state.

    Everything else goes to Flask: changes, unknown payments, other forms of `If-None-Match`, and
    clients beyond their bound. The answers are not logged, because a page sends these polls for as
    long as it waits.
    """

    route = "/payments/pix/<string:payment_id>/status"

    def __init__(self, application: WSGIApplication, settings: Settings, parts: Parts) -> None:
        """Wrap the WSGI application of an app with these parts."""
        super().__init__(application, settings, parts)
        self._headers = [("Cache-Control", POLLED_CACHING), *security_headers(settings).items()]

    def _subject(self, environ: WSGIEnvironment) -> str | None:
        """The id of the payment."""
        tag = environ.get("HTTP_IF_NONE_MATCH")
        if tag is None or environ["REQUEST_METHOD"] != "GET" or not _TAG.fullmatch(tag):
            return None
        match = _PATH.fullmatch(environ.get("PATH_INFO", ""))
        return match[1] if match is not None and is_plain(environ) else None

    def _answer(self, environ: WSGIEnvironment, subject: str) -> QuickAnswer | None:
        tag = environ["HTTP_IF_NONE_MATCH"]
        if not self._is_unchanged(environ, subject, tag):
            return None
        return QuickAnswer(304, [("ETag", tag), *self._headers], ())

    def _is_unchanged(self, environ: WSGIEnvironment, txid: str, tag: str) -> bool:
        polled = _POLLED.read(environ, lambda: _read(self._parts.ledger, txid))
        payment, now = polled or (None, None)
        if payment is None or now is None:
            return False
        return tag == f'W/"{polled_tag(status_at(payment, now), sequence_at(payment, now))}"'
