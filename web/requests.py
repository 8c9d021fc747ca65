"""What happens around every request: its id, its log line, its limits, its headers."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog
from flask import Flask, Request, Response, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from config import Settings
from web.bodies import BODY_BYTES_MAX
from web.problems import RECOVER_PATH

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger()

PERMISSIONS = "Permissions-Policy"
HUB_HELD_SECONDS_MAX = 0.002
"""How long quick answers to one connection may follow each other before others have a turn."""

_SAYS_IT_HAS_A_BODY = {"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}
_SANE_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}", re.ASCII)
_QUIET = ("/healthz", "/readyz", "/metrics", "/static/", "/docs/assets/", "/payments/pix/qr_code/")


def present() -> tuple[Request, Any]:
    """The request and its `g` themselves: what asks both often saves the way through proxies."""
    proxies: Any = (request, g)
    return proxies[0]._get_current_object(), proxies[1]._get_current_object()


def init_requests(app: Flask, settings: Settings) -> None:
    """Attach the hooks."""
    headers = security_headers(settings)
    # The one page with a camera of its own.
    with_camera = {
        **headers,
        PERMISSIONS: headers[PERMISSIONS].replace("camera=()", "camera=(self)"),
    }
    app.wsgi_app = FixedHeaders(app.wsgi_app, headers, {RECOVER_PATH: with_camera})  # type: ignore[method-assign]
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    app.config["MAX_FORM_MEMORY_SIZE"] = BODY_BYTES_MAX
    app.config["MAX_FORM_PARTS"] = 50

    @app.before_request
    def begin() -> None:
        asked, kept = present()
        given = asked.environ.get("HTTP_X_REQUEST_ID", "")
        kept.request_id = given if _SANE_ID.fullmatch(given) else secrets.token_hex(16)
        kept.started = time.perf_counter()
        if not asked.environ.keys() & _SAYS_IT_HAS_A_BODY:
            return
        view = app.view_functions.get(asked.endpoint or "")
        most = getattr(view, "body_bytes_max", BODY_BYTES_MAX)
        if most != BODY_BYTES_MAX:
            asked.max_content_length = most
            # Werkzeug counts what it has read and not yet parsed as well, of a file too.
            asked.max_form_memory_size = most
        if (asked.content_length or 0) > most:
            raise RequestEntityTooLarge

    @app.after_request
    def finish(response: Response) -> Response:
        asked, kept = present()
        response.headers["X-Request-ID"] = kept.get("request_id", "")
        # A page fetches many pictures and files; who looks for one asks for the debug level.
        quiet = asked.path.startswith(_QUIET)
        if not quiet or response.status_code >= 500:
            log.info(
                "request",
                method=asked.method,
                path=asked.path,
                status=response.status_code,
                ms=round((time.perf_counter() - kept.get("started", 0.0)) * 1000, 1),
                **({"code": kept.problem_code} if "problem_code" in kept else {}),
            )
        return response

    if settings.async_mode != "threading":
        _yield_after_each(app)


class FixedHeaders:
    """Adds the same headers to every answer; below the routing, because that is cheap."""

    def __init__(
        self,
        application: WSGIApplication,
        headers: Mapping[str, str],
        instead: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Wrap a WSGI application; a path named in `instead` gets those headers."""
        self._application = application
        self._headers = list(headers.items())
        self._instead = {path: list(own.items()) for path, own in instead.items()}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        own = self._instead.get(environ.get("PATH_INFO", ""), self._headers)

        def start(
            status: str, headers: list[tuple[str, str]], *rest: Any
        ) -> Callable[[bytes], object]:
            return start_response(status, headers + own, *rest)

        return self._application(environ, start)


def _yield_after_each(app: Flask) -> None:
    """Let others have the hub after each request: one busy keep-alive client would hold it."""
    from greenlet import getcurrent, greenlet  # of both hubs

    # Another greenlet than the last time: the hub ran in between, and everybody had a turn.
    holder: greenlet | None = None
    since = time.perf_counter()

    @app.after_request
    def yield_to_the_hub(response: Response) -> Response:
        nonlocal holder, since
        current, at = getcurrent(), time.perf_counter()
        if current is not holder:
            holder, since = current, at
        elif at - since > HUB_HELD_SECONDS_MAX:
            sleep: Any = app.extensions["socketio"].sleep
            sleep(0)
            since = time.perf_counter()
        return response


def security_headers(settings: Settings) -> dict[str, str]:
    """Headers of every answer; pages have no inline script or style and reach nowhere else."""
    address = urlsplit(settings.public_url)
    socket = f"{'wss' if address.scheme == 'https' else 'ws'}://{address.netloc}"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"font-src 'self'; connect-src 'self' {socket}; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'; manifest-src 'self'"
    )
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        PERMISSIONS: "camera=(), microphone=(), geolocation=(), payment=()",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    if address.scheme == "https":
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers
