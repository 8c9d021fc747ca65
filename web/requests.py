"""What happens around every request: its id, its log line, its limits, its headers."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog
from flask import Flask, Request, Response, current_app, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from config import Settings
from core.runtime.hub import current_greenlet
from web.bodies import BODY_BYTES_MAX
from web.problems import RECOVER_PATH

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from flask_socketio import SocketIO

log = structlog.get_logger()

PERMISSIONS = "Permissions-Policy"
HUB_HELD_SECONDS_MAX = 0.002
"""How long quick answers to one connection may follow each other before others have a turn."""

_SANE_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}", re.ASCII)
_QUIET = ("/healthz", "/readyz", "/metrics", "/static/", "/docs/assets/", "/payments/pix/qr_code/")


def present() -> tuple[Request, Any]:
    """The request and its `g` themselves: what asks both often saves the way through proxies."""
    proxies: Any = (request, g)
    return proxies[0]._get_current_object(), proxies[1]._get_current_object()


def init_requests(app: Flask, settings: Settings) -> None:
    """Bound bodies, and add the headers that every answer has."""
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


def begin_request() -> None:
    """Name the request and bound its body; a hook. Raises RequestEntityTooLarge."""
    asked, kept = present()
    given = asked.environ.get("HTTP_X_REQUEST_ID", "")
    kept.request_id = given if _SANE_ID.fullmatch(given) else secrets.token_hex(16)
    kept.started = time.perf_counter()
    view = current_app.view_functions.get(asked.endpoint or "")
    most = getattr(view, "body_bytes_max", BODY_BYTES_MAX)
    if most != BODY_BYTES_MAX:
        asked.max_content_length = most
        # Werkzeug counts what it has read and not yet parsed as well, of a file too.
        asked.max_form_memory_size = most
    if (asked.content_length or 0) > most:
        raise RequestEntityTooLarge


def log_request(response: Response) -> Response:
    """Write the request's line in the log and send its id back; an `after_request` hook."""
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


def hub_hooks(settings: Settings, socketio: SocketIO) -> list[HubYield]:
    """The `after_request` hook of a cooperative async mode; none for threads."""
    sleep: Any = socketio.sleep
    return [] if settings.async_mode == "threading" else [HubYield(sleep)]


class HubYield:
    """An `after_request` hook that yields to the hub: a busy keep-alive client would hold it.

    Used in the cooperative async modes alone.
    """

    def __init__(self, sleep: Callable[[float], object]) -> None:
        """Yield by `sleep(0)` of the async mode."""
        self._sleep = sleep
        self._holder: object = None
        self._since = time.perf_counter()

    def __call__(self, response: Response) -> Response:
        """Yield where the same greenlet has answered for longer than HUB_HELD_SECONDS_MAX."""
        current, at = current_greenlet(), time.perf_counter()
        if current is not self._holder:
            # Another greenlet answered the last request: the hub ran in between.
            self._holder, self._since = current, at
        elif at - self._since > HUB_HELD_SECONDS_MAX:
            self._sleep(0)
            self._since = time.perf_counter()
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
