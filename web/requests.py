"""Hooks around every request: its id, its log line, its body limit, its headers."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from config import Settings, current_parts
from core.runtime.hub import current_greenlet
from core.runtime.proxies import behind
from web.bodies import BODY_BYTES_MAX
from web.logs import plain_lines
from web.problems import RECOVER_PATH

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment
    from flask_socketio import SocketIO

log = structlog.get_logger()

PERMISSIONS = "Permissions-Policy"
HUB_HELD_SECONDS_MAX = 0.002
"""How long one connection's requests may run in a row before other connections get a turn."""

_TOKEN_OF_CALLBACKS = re.compile(r"(/providers/).+", re.ASCII | re.DOTALL | re.IGNORECASE)
_SANE_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}", re.ASCII)
_QUIET = ("/healthz", "/readyz", "/metrics", "/static/", "/docs/assets/", "/payments/pix/qr_code/")


def init_requests(app: Flask, settings: Settings) -> None:
    """Limit the size of bodies, and add the headers that every answer has."""
    headers = security_headers(settings)
    # The only page that uses the camera.
    with_camera = {
        **headers,
        PERMISSIONS: headers[PERMISSIONS].replace("camera=()", "camera=(self)"),
    }
    app.wsgi_app = FixedHeaders(app.wsgi_app, headers, {RECOVER_PATH: with_camera})  # type: ignore[method-assign]
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    app.config["MAX_FORM_MEMORY_SIZE"] = BODY_BYTES_MAX
    app.config["MAX_FORM_PARTS"] = 50


def request_id_of(environ: WSGIEnvironment) -> str:
    """The id that the client gave to its request, or a new one."""
    client_id: str = environ.get("HTTP_X_REQUEST_ID", "")
    return client_id if _SANE_ID.fullmatch(client_id) else secrets.token_hex(16)


def begin_request() -> None:
    """Set the request's id and check its size; a `before_request` hook.

    Raises RequestEntityTooLarge.
    """
    context, incoming = behind(g), behind(request)
    context.request_id = request_id_of(incoming.environ)
    context.started = time.perf_counter()
    view = current_app.view_functions.get(incoming.endpoint or "")
    most = getattr(view, "body_bytes_max", BODY_BYTES_MAX)
    if most != BODY_BYTES_MAX:
        incoming.max_content_length = most
        # Werkzeug also counts bytes that it has read but not parsed, even those of a file.
        incoming.max_form_memory_size = most
    if (incoming.content_length or 0) > most:
        raise RequestEntityTooLarge


def log_request(response: Response) -> Response:
    """Log the request and send its id back; an `after_request` hook."""
    context, incoming = behind(g), behind(request)
    request_id = context.get("request_id", "")
    response.headers["X-Request-ID"] = request_id
    path, status = incoming.path, response.status_code
    # A page fetches many pictures and files, and probes ask every few seconds.
    if not path.startswith(_QUIET) or status >= 500:
        more = {"code": context.problem_code} if "problem_code" in context else {}
        seconds = time.perf_counter() - context.get("started", 0.0)
        log_answer(incoming.method, _path_to_log(path), status, seconds, request_id, **more)
    return response


def log_answer(
    method: str, path: str, status: int, seconds: float, request_id: str, **more: str
) -> None:
    """Write the log line of a request and its answer."""
    fields: dict[str, str | float] = {
        "method": method,
        "path": path,
        "status": status,
        "ms": round(seconds * 1000, 1),
        **more,
        "request_id": request_id,
    }
    if not plain_lines.write("request", fields):
        log.info("request", **fields)


def _path_to_log(path: str) -> str:
    """The path; without the token in the address of a bank's callbacks, which is its only proof.

    A bank may change the address, or call it by a method that it does not have.
    """
    if "/providers/" not in path.lower():
        return path
    if request.url_rule is not None and path.startswith("/providers/"):
        return str(request.url_rule)
    return _TOKEN_OF_CALLBACKS.sub(r"\1…", path)


class FixedHeaders:
    """WSGI middleware that adds the same headers to every answer.

    `StaticAnswers` inside it answers before Flask, whose hooks do not see these answers.
    """

    def __init__(
        self,
        application: WSGIApplication,
        headers: Mapping[str, str],
        headers_of_path: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Wrap a WSGI application; `headers_of_path` replaces the headers of some paths."""
        self._application = application
        self._headers = list(headers.items())
        self._headers_of_path = {path: list(own.items()) for path, own in headers_of_path.items()}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        own = self._headers_of_path.get(environ.get("PATH_INFO", ""), self._headers)

        def start(
            status: str, headers: list[tuple[str, str]], *rest: Any
        ) -> Callable[[bytes], object]:
            return start_response(status, headers + own, *rest)

        return self._application(environ, start)


def date_hooks(settings: Settings) -> list[Callable[[Response], Response]]:
    """The `after_request` hook of a clock that CLOCK_FILE moves; an empty list without one.

    Clients learn by `Date` how far our clock is ahead, and the servers write that of the machine.
    """
    if settings.clock_file is None:
        return []

    def date(response: Response) -> Response:
        response.date = current_parts().ledger.clock.now()
        return response

    return [date]


def hub_hooks(settings: Settings, socketio: SocketIO) -> list[HubYield]:
    """The `after_request` hook of the cooperative async modes; an empty list for threads."""
    sleep: Any = socketio.sleep
    return [] if settings.async_mode == "threading" else [HubYield(sleep)]


class HubYield:
    """An `after_request` hook that yields to the hub, which a busy keep-alive client would hold.

    Used only in the cooperative async modes.
    """

    def __init__(self, sleep: Callable[[float], object]) -> None:
        """`sleep` is that of the async mode; `sleep(0)` yields."""
        self._sleep = sleep
        self._holder: object = None
        self._since = time.perf_counter()

    def __call__(self, response: Response) -> Response:
        """Yield if needed; return the response."""
        self.after_answer()
        return response

    def after_answer(self) -> None:
        """Yield if the same greenlet has answered for longer than HUB_HELD_SECONDS_MAX."""
        current, now = current_greenlet(), time.perf_counter()
        if current is not self._holder:
            # Another greenlet answered the last request, so the hub ran in between.
            self._holder, self._since = current, now
        elif now - self._since > HUB_HELD_SECONDS_MAX:
            self._sleep(0)
            self._since = time.perf_counter()


def security_headers(settings: Settings) -> dict[str, str]:
    """Headers of every answer: no inline scripts or styles, no connections to other hosts."""
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
