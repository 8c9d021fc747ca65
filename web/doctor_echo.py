"""`/doctor/echo`: how a request of `flask doctor` arrived here, through every proxy.

The route answers only to a token that `flask doctor` signs with SECRET_KEY; to everybody else it
does not exist. A token lives for a day, so that a wrong clock can be noticed. The answer describes
the request itself.
"""

from __future__ import annotations

from datetime import timedelta

from flask import Response, request
from flask_openapi import OpenAPI
from itsdangerous import BadSignature

from config import Settings
from core.clock import rfc3339
from core.errors import NotFound
from core.signing.timed_texts import TimedTexts
from core.version import VERSION
from repository.database import now
from web.answers import private_json

PATH = "/doctor/echo"
TOKEN_LIFETIME = timedelta(days=1)
_TEXT = "doctor"


def echo_token(settings: Settings) -> str:
    """A token for TOKEN_LIFETIME."""
    return str(_signer(settings).dumps(_TEXT))


def init_doctor_echo(app: OpenAPI, settings: Settings) -> None:
    """Serve the route."""

    @app.get(PATH, doc_ui=False)
    def doctor_echo() -> Response:
        """Describe this request: address, scheme, host, and the header of the proxies."""
        try:
            _, signed_at = _signer(settings).loads(
                request.headers.get("X-Doctor", ""), return_timestamp=True
            )
        except BadSignature:
            raise NotFound from None
        if abs(now() - signed_at) > TOKEN_LIFETIME:
            raise NotFound
        return private_json(
            {
                "address": request.remote_addr,
                "scheme": request.scheme,
                "host": request.host,
                "forwarded_for": request.headers.getlist("X-Forwarded-For"),
                "now": rfc3339(now()),
                "version": VERSION,
            }
        )


def _signer(settings: Settings) -> TimedTexts:
    return TimedTexts(settings.secret_key, salt="flask doctor")
