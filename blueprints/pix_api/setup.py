"""Register API Pix."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask, request

from blueprints.pix_api import (
    cob_routes,
    cobr_routes,
    cobv_routes,
    document_routes,
    loc_routes,
    locrec_routes,
    lotecobv_routes,
    pix_routes,
    problems,
    rec_routes,
    recurring_webhook_routes,
    solicrec_routes,
    token_routes,
    webhook_routes,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

VERSION_PREFIX = f"{problems.PREFIX}/v2"
_UNVERSIONED = tuple(f"{problems.PREFIX}/{name}" for name in ("oauth/", "openapi.json"))
_SLASHES = re.compile("/{2,}")


def init_pix_api(app: Flask) -> None:
    """Add the routes, the form of errors, and the spellings of paths."""
    problems.init_problems(app)
    token_routes.init_token_route(app)
    document_routes.init_document_route(app)
    for routes in (
        cob_routes,
        cobv_routes,
        lotecobv_routes,
        loc_routes,
        locrec_routes,
        pix_routes,
        rec_routes,
        cobr_routes,
        solicrec_routes,
        webhook_routes,
        recurring_webhook_routes,
    ):
        app.register_blueprint(routes.bp, url_prefix=VERSION_PREFIX)
        app.before_request_funcs.setdefault(routes.bp.name, []).append(receive_body)
    app.wsgi_app = PathSpellings(app.wsgi_app)  # type: ignore[method-assign]


def receive_body() -> None:
    """Receive the whole body of a request; a `before_request` hook.

    The routes read it in their transactions, which must not wait for a slow client: SQLite has one
    writer, and on every engine the pool of connections would be empty soon.
    """
    if request.method in ("POST", "PUT", "PATCH"):
        request.get_data()


class PathSpellings:
    """WSGI middleware: SDKs leave out `/v2`, or have a slash too many in a path."""

    def __init__(self, application: WSGIApplication) -> None:
        """Wrap a WSGI application."""
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, by the one spelling that the routes have."""
        path = environ.get("PATH_INFO", "")
        if path.startswith(f"{problems.PREFIX}/"):
            environ["PATH_INFO"] = one_spelling(path)
        return self._application(environ, start_response)


def one_spelling(path: str) -> str:
    """The path with `/v2`, without a slash at its end and without two slashes in a row.

    Two slashes come from an SDK whose base address ends with a slash. Werkzeug would answer with a
    redirect, which many HTTP clients do not follow, or follow without the token.
    """
    path = _SLASHES.sub("/", path).rstrip("/")
    if path.startswith((f"{VERSION_PREFIX}/", *_UNVERSIONED)):
        return path.replace(f"{VERSION_PREFIX}/oauth/", f"{problems.PREFIX}/oauth/", 1)
    return VERSION_PREFIX + path.removeprefix(problems.PREFIX)
