"""The door of /socket.io: whose pages may connect, and how many connections an address may open."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from werkzeug.wsgi import get_host

from accounts.csrf import is_own_origin
from config import Settings
from realtime.allowance import Connections
from web.limits import network_of
from web.metrics import Metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/socket.io/"
LIMIT = "sockets-per-address"
RETRY_AFTER_SECONDS = 60
NO_POLLING = (
    'Several processes answer here, so long polling is off: connect with transports ["websocket"].'
)


class SocketGate:
    """WSGI middleware around the Socket.IO server."""

    def __init__(
        self,
        application: WSGIApplication,
        settings: Settings,
        connections: Connections,
        metrics: Metrics,
    ) -> None:
        self._application = application
        self._settings = settings
        self._connections = connections
        self._metrics = metrics
        self._networks: dict[str, str] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Pass a request on, or refuse it."""
        if not environ.get("PATH_INFO", "").startswith(PATH):
            return self._application(environ, start_response)
        host_url = f"{environ['wsgi.url_scheme']}://{get_host(environ)}"
        if not is_own_origin(environ.get("HTTP_ORIGIN"), host_url, self._settings):
            return _refuse(start_response, "400 Bad Request", "Not an accepted origin.")
        query = parse_qs(environ.get("QUERY_STRING", ""))
        if self._settings.workers > 1 and query.get("transport") == ["polling"]:
            return _refuse(start_response, "400 Bad Request", NO_POLLING)
        is_handshake = "sid" not in query
        if is_handshake and self._connections.is_full(_network(environ)):
            self._metrics.reached_limits.labels(LIMIT).inc()
            return _refuse(
                start_response,
                "429 Too Many Requests",
                "This address has too many open connections.",
                ("Retry-After", str(RETRY_AFTER_SECONDS)),
            )
        return self._application(environ, start_response)

    def count(self, engine: Any) -> None:
        """Count the connections of this engine.io server while they are open."""
        connect, disconnect = engine.handlers["connect"], engine.handlers["disconnect"]

        def on_connect(sid: str, environ: WSGIEnvironment) -> Any:
            network = _network(environ)
            if not self._connections.enter(network):
                return False  # another thread took the last place since the check
            self._networks[sid] = network
            return connect(sid, environ)

        def on_disconnect(sid: str, reason: Any) -> Any:
            if network := self._networks.pop(sid, None):
                self._connections.leave(network)
            return disconnect(sid, reason)

        engine.on("connect", on_connect)
        engine.on("disconnect", on_disconnect)


def _network(environ: WSGIEnvironment) -> str:
    return network_of(environ.get("REMOTE_ADDR") or "unknown")


def _refuse(
    start_response: StartResponse, status: str, message: str, *headers: tuple[str, str]
) -> list[bytes]:
    """Answer as engine.io does: one sentence as JSON."""
    body = json.dumps(message).encode()
    head = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    start_response(status, [*head, *headers])
    return [body]
