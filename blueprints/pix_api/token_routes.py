"""`POST /api-pix/oauth/token`: an access token for a client's id and secret.

Errors have the form of RFC 6749, 5.2, which OAuth libraries read, and not the form of API Pix.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Flask, Response, g
from werkzeug.exceptions import HTTPException

from accounts.oauth_server import answer_token_request
from blueprints.pix_api.problems import PREFIX
from core.errors import BalcaoError, TooManyRequests
from web.problems import RETRY_AFTER_SECONDS, status_of

bp = Blueprint("pix_api_token", __name__, url_prefix=PREFIX)


def init_token_route(app: Flask) -> None:
    """Add the route."""
    app.register_blueprint(bp)


@bp.post("/oauth/token")
def token() -> Response:
    """A token for an hour, with all the client's scopes, or those that `scope` names."""
    return answer_token_request()


@bp.errorhandler(BalcaoError)
def _on_error(error: BalcaoError) -> Response:
    g.problem_code = error.code
    status = status_of(type(error))
    answer = _oauth_error(status, error.detail)
    if isinstance(error, TooManyRequests):
        answer.headers["Retry-After"] = str(error.retry_after_seconds)
    elif status == 503:
        answer.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return answer


@bp.errorhandler(HTTPException)
def _on_http_error(error: HTTPException) -> Any:
    if error.code is None or error.code < 400:
        return error.get_response()
    detail = "The body is too large." if error.code == 413 else error.description or error.name
    return _oauth_error(error.code, detail)


def _oauth_error(status: int, description: str) -> Response:
    """An error that RFC 6749, 5.2, does not name; the names for 5xx are of its section 4.1.2.1."""
    names = {500: "server_error", 503: "temporarily_unavailable", 429: "temporarily_unavailable"}
    body = {
        "error": names.get(status, "invalid_request"),
        "error_description": description,
    }
    answer = Response(json.dumps(body), status, content_type="application/json")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Pragma"] = "no-cache"
    return answer
