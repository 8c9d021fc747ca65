"""Serving: one socket, three kinds of concurrency, and a stop that answers what is under way."""

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

CONNECTIONS_MAX = 20_000  # websockets count; eventlet's own default freezes at 1,024
BACKLOG = 1024
DRAIN_SECONDS = 10.0
SILENCE_SECONDS_MAX = 45
"""A client that says nothing for so long is gone: a living websocket answers a ping each 20 s."""

LONG_LIVED = ("/socket.io", "/api/merchant/ws")
"""Connections that stay: nobody waits for their end."""

_TICK_SECONDS = 0.1


class InFlight:
    """Counts requests being answered, so that a stop can wait for them."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        """Wrap a WSGI application; long-lived requests are not waited for."""
        self._application = application
        self._lock = threading.Lock()
        self._count = 0
        self.stopping = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request; while the process stops, the last one of its connection."""
        if environ.get("PATH_INFO", "").startswith(LONG_LIVED):
            return self._application(environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            last = [("Connection", "close")] if self.stopping else []
            return start_response(status, [*headers, *last], *rest)

        self._add(1)
        try:
            return _Counted(self._application(environ, start), lambda: self._add(-1))
        except BaseException:
            self._add(-1)
            raise

    def wait(self, limit: float) -> int:
        """Wait while requests are being answered, until `limit` (monotonic); gives how many are."""
        while self._count > 0 and time.monotonic() < limit:
            time.sleep(_TICK_SECONDS / 2)
        return self._count

    def _add(self, change: int) -> None:
        with self._lock:
            self._count += change


class _Counted:
    """A response that says when it has been sent whole."""

    def __init__(self, answer: Iterable[bytes], sent: Callable[[], None]) -> None:
        self._answer = answer
        self._sent = sent
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        """Called by the server after the last byte."""
        try:
            if hasattr(self._answer, "close"):
                self._answer.close()
        finally:
            if self._open:
                self._open = False
                self._sent()


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises ConfigurationError where the address cannot be had."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by each connection: an event right behind another would wait 40 ms for an ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"Port {settings.port} on {settings.host} is taken by another program: "
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
    started: Callable[[], None],
    stopping: Callable[[], None],
) -> None:
    """Serve until SIGTERM or Ctrl-C; then accept nothing new and answer what is under way."""
    _allow_open_files()
    counted = InFlight(application)
    start = {"eventlet": _eventlet, "gevent": _gevent, "threading": _threading}
    stop_accepting = start[settings.async_mode](counted, listener)
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: asked.append(received))
    started()
    while not asked:
        time.sleep(_TICK_SECONDS)  # green where the process is patched
    counted.stopping = True
    time.sleep(_TICK_SECONDS)  # for who is connected already and was not accepted yet
    stop_accepting()
    listener.close()
    limit = time.monotonic() + DRAIN_SECONDS
    counted.wait(limit)
    stopping()
    if unanswered := counted.wait(limit):
        log.warning("stop.unanswered", requests=unanswered)


def _allow_open_files() -> None:
    """Each connection is an open file, and systems allow 1,024 of them until they are asked."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX + 1000
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _eventlet(application: InFlight, listener: socket.socket) -> Callable[[], None]:
    import eventlet
    import eventlet.wsgi

    class QuietProtocol(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]  # eventlet is untyped
        """Writes nothing of its own: not of each request, nor of bytes that are none."""

        def log_message(self, *_args: Any) -> None:
            """Nothing: each request is logged with its id elsewhere."""

    server = eventlet.spawn(
        eventlet.wsgi.server,
        listener,
        application,
        protocol=QuietProtocol,
        max_size=CONNECTIONS_MAX,
        socket_timeout=SILENCE_SECONDS_MAX,
        log_output=False,
        debug=False,
        capitalize_response_headers=False,  # names mean the same in any case
    )
    return lambda: server.kill()


def _gevent(application: InFlight, listener: socket.socket) -> Callable[[], None]:
    from gevent import pywsgi
    from gevent.pool import Pool

    class QuickHandler(pywsgi.WSGIHandler):
        """Sends small answers at once: pywsgi writes head and body apart."""

        def __init__(self, sock: Any, address: Any, server: Any, rfile: Any = None) -> None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(SILENCE_SECONDS_MAX)
            super().__init__(sock, address, server, rfile)  # type: ignore[call-arg]

        def _handle_client_error(self, ex: Exception) -> Any:
            if isinstance(ex, OSError):  # it fell silent or left: there is nobody to answer
                return None
            return super()._handle_client_error(ex)  # type: ignore[misc]

    server = pywsgi.WSGIServer(
        listener,
        application,
        handler_class=QuickHandler,
        log=None,
        error_log=None,
        spawn=Pool(CONNECTIONS_MAX),
    )
    server.start()
    return lambda: server.close()


class _QuietHandler(WSGIRequestHandler):
    """Speaks HTTP/1.1 and leaves the logging to the application."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = SILENCE_SECONDS_MAX

    def log(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing: each request is logged with its id elsewhere."""


def _threading(application: InFlight, listener: socket.socket) -> Callable[[], None]:
    host, port = listener.getsockname()[:2]
    server = ThreadedWSGIServer(
        host, port, application, handler=_QuietHandler, fd=listener.fileno()
    )
    thread = threading.Thread(target=server.serve_forever, name="http", daemon=True)
    thread.start()
    return server.shutdown
