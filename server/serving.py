"""Serve on one socket in one of three async modes, and stop gracefully."""

from __future__ import annotations

import errno
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import structlog
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from config import ConfigurationError, Settings

log = structlog.get_logger()

CONNECTIONS_MAX = 20_000  # websockets included; eventlet stops accepting at 1,024 by default
BACKLOG = 1024
DRAIN_SECONDS = 10.0
SILENCE_SECONDS_MAX = 45
"""A client that is silent for longer has gone: an open websocket answers a ping every 20 s."""

LONG_LIVED = ("/socket.io", "/api/merchant/ws")
"""Paths of connections that stay open; a stop does not wait for them."""

_TICK_SECONDS = 0.1


class InFlight:
    """WSGI middleware that counts the requests in progress, so that a stop can wait for them."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._count = 0
        self.is_stopping = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request; while the process stops, tell the client to close the connection."""
        if environ.get("PATH_INFO", "").startswith(LONG_LIVED):
            return self._application(environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            last = [("Connection", "close")] if self.is_stopping else []
            return start_response(status, [*headers, *last], *rest)

        self._add(1)
        try:
            return _CountedResponse(self._application(environ, start), lambda: self._add(-1))
        except BaseException:
            self._add(-1)
            raise

    def wait(self, limit: float) -> int:
        """Wait for the requests in progress until `limit` (monotonic); return how many are left."""
        while self._count > 0 and time.monotonic() < limit:
            time.sleep(_TICK_SECONDS / 2)
        return self._count

    def _add(self, change: int) -> None:
        with self._lock:
            self._count += change


class _CountedResponse:
    """A response that calls back once, when the server closes it."""

    def __init__(self, response: Iterable[bytes], on_close: Callable[[], None]) -> None:
        self._response = response
        self._on_close = on_close
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._response)

    def close(self) -> None:
        """Called by the server after the last byte."""
        try:
            if hasattr(self._response, "close"):
                self._response.close()
        finally:
            if self._open:
                self._open = False
                self._on_close()


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises ConfigurationError if the address cannot be bound."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Each connection inherits it. Without it, the second of two quick events waits 40 ms for
        # the ACK of the first, and so does a body that pywsgi writes after its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"Port {settings.port} on {settings.host} is in use by another program: "
                "stop it, or set PORT."
            ) from None
        raise ConfigurationError(
            f"Cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}."
        ) from None
    return listener


def serve(
    application: Callable[..., Iterable[bytes]],
    settings: Settings,
    listener: socket.socket,
    on_start: Callable[[], None],
    on_stop: Callable[[], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C; then refuse new requests and finish those in progress."""
    _allow_open_files()
    in_flight = InFlight(application)
    start = {"eventlet": _eventlet, "gevent": _gevent, "threading": _threading}
    stop_accepting = start[settings.async_mode](in_flight, listener)
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: signals.append(received))
    on_start()
    while not signals:
        time.sleep(_TICK_SECONDS)  # yields to the hub in a patched process
    in_flight.is_stopping = True
    time.sleep(_TICK_SECONDS)  # accept clients that are connected but not accepted yet
    stop_accepting()
    listener.close()
    limit = time.monotonic() + DRAIN_SECONDS
    in_flight.wait(limit)
    on_stop()
    if unanswered := in_flight.wait(limit):
        log.warning("stop.unanswered", requests=unanswered)


def _allow_open_files() -> None:
    """Raise the limit of open files: each connection is one, and the usual limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = CONNECTIONS_MAX + 1000
    if hard != resource.RLIM_INFINITY:
        target = min(target, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


def _eventlet(application: InFlight, listener: socket.socket) -> Callable[[], None]:
    import eventlet
    import eventlet.wsgi

    class QuietProtocol(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]  # eventlet is untyped
        """Writes no log lines, neither for requests nor for malformed bytes."""

        def log_message(self, *_args: Any) -> None:
            """Do nothing: web.requests logs each request with its id."""

    server = eventlet.spawn(
        eventlet.wsgi.server,
        listener,
        application,
        protocol=QuietProtocol,
        max_size=CONNECTIONS_MAX,
        socket_timeout=SILENCE_SECONDS_MAX,
        log_output=False,
        debug=False,
        capitalize_response_headers=False,  # names are sent as they are written
    )
    return lambda: server.kill()


def _gevent(application: InFlight, listener: socket.socket) -> Callable[[], None]:
    from gevent import pywsgi
    from gevent.pool import Pool

    class TimedHandler(pywsgi.WSGIHandler):
        """Closes the connection of a client that stays silent."""

        def __init__(self, sock: Any, address: Any, server: Any, rfile: Any = None) -> None:
            sock.settimeout(SILENCE_SECONDS_MAX)
            super().__init__(sock, address, server, rfile)  # type: ignore[call-arg]

        def _handle_client_error(self, ex: Exception) -> Any:
            if isinstance(ex, OSError):  # the client was silent too long, or has gone
                return None
            return super()._handle_client_error(ex)  # type: ignore[misc]

    server = pywsgi.WSGIServer(
        listener,
        application,
        handler_class=TimedHandler,
        log=None,
        error_log=None,
        spawn=Pool(CONNECTIONS_MAX),
    )
    server.start()
    return lambda: server.close()


class _QuietHandler(WSGIRequestHandler):
    """Speaks HTTP/1.1 and writes no log lines."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = SILENCE_SECONDS_MAX

    def log(self, *_args: Any, **_kwargs: Any) -> None:
        """Do nothing: web.requests logs each request with its id."""


def _threading(application: InFlight, listener: socket.socket) -> Callable[[], None]:
    host, port = listener.getsockname()[:2]
    server = ThreadedWSGIServer(
        host, port, application, handler=_QuietHandler, fd=listener.fileno()
    )
    thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    thread.start()
    return server.shutdown
