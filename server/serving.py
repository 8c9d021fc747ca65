"""Serve on one socket in one of three async modes, and stop gracefully."""

from __future__ import annotations

import errno
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import structlog
from werkzeug.exceptions import HTTPException
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from config import ConfigurationError, Settings
from server.connections import AcceptLoop, Capacity, Seat, Seats, allow_open_files
from server.incoming import SILENCE_SECONDS_MAX, Body, Bounds, Incoming, body_of, with_body

log = structlog.get_logger()

BACKLOG = 1024
DRAIN_SECONDS = 10.0

LONG_LIVED = ("/socket.io", "/api/merchant/ws")
"""Paths of connections that stay open; a stop does not wait for them."""

IS_STOPPING = "balcao.is_stopping"
"""In the environment: a function by which an answer that stays open learns that it must end."""

_TICK_SECONDS = 0.1


class InFlight:
    """WSGI middleware that counts the requests in progress, so that a stop can wait for them."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._count = 0
        self.is_stopping = False

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request; tell the client if the connection ends with it."""
        environ[IS_STOPPING] = lambda: self.is_stopping
        if environ.get("PATH_INFO", "").startswith(LONG_LIVED):
            return self._answer(environ, start_response)
        body = body_of(environ)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            is_last = self.is_stopping or (body is not None and body.is_broken)
            last = [("Connection", "close")] if is_last else []
            return start_response(status, [*headers, *last], *rest)

        self._add(1)
        try:
            return _CountedResponse(self._answer(environ, start), lambda: self._add(-1))
        except BaseException:
            self._add(-1)
            raise

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            return self._application(environ, start_response)
        except HTTPException as error:  # a bad body, read by code outside of Flask
            return error(environ, start_response)

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
) -> int:
    """Serve until SIGTERM or Ctrl-C; then refuse new requests and finish those in progress.

    Returns the exit status: 1 if the process could not go on accepting connections.
    """
    allow_open_files(settings)
    in_flight = InFlight(application)
    seats = Seats(Capacity.of(settings))
    start = {"eventlet": _eventlet, "gevent": _gevent, "threading": _threading}
    spawn, talk, body_type = start[settings.async_mode](in_flight, listener)
    bounds = Bounds.of(settings)

    def serve_client(seat: Seat, address: Any) -> None:
        incoming = Incoming(
            seat.connection, bounds, body_type, lambda waits: seats.set_waiting(seat, waits)
        )
        talk(incoming, address)

    accepting = AcceptLoop(listener, seats, spawn, serve_client)
    accepting.start()
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: signals.append(received))
    on_start()
    while not signals and not accepting.has_ended:
        time.sleep(_TICK_SECONDS)  # yields to the hub in a patched process
    status = 0
    if accepting.has_ended:
        log.critical("serving.cannot_accept")
        status = 1  # so that a supervisor starts the process again
    in_flight.is_stopping = True
    time.sleep(_TICK_SECONDS)  # accept clients that are connected but not accepted yet
    accepting.stop()
    listener.close()
    limit = time.monotonic() + DRAIN_SECONDS
    in_flight.wait(limit)
    on_stop()
    if unanswered := in_flight.wait(limit):
        log.warning("stop.unanswered", requests=unanswered)
    return status


Spawn = Callable[..., object]
Talk = Callable[[Incoming, Any], None]
"""Serve the requests of one connection, whose client has this address."""


def _eventlet(application: InFlight, listener: socket.socket) -> tuple[Spawn, Talk, type[Body]]:
    import eventlet
    import eventlet.wsgi

    class EventletBody(Body):
        """With what eventlet's handler asks of its own input."""

        chunked_input = True  # so that `discard` is called
        headers_sent: Any = None

        @property
        def should_send_hundred_continue(self) -> bool:
            """Whether the client still waits for leave to send the body."""
            return self.expects_continue

        def discard(self) -> None:
            """Discard the rest. Raises OSError if the connection must be closed."""
            if not self.finish():
                raise ConnectionError

        def get_socket(self) -> Any:
            """The client's socket, for websockets."""
            return self._incoming.connection

    class EventletHandler(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]  # eventlet is untyped
        """Reads by `Incoming`; writes no log lines."""

        def setup(self) -> None:
            """Replace the file that the requests are read from."""
            super().setup()
            self.rfile = self.incoming = self.conn_state[3]

        def handle_one_request(self) -> None:
            """Answer one request, if there is one."""
            self.close_connection = True
            if self.incoming.next_head():
                super().handle_one_request()

        def get_environ(self) -> dict[str, Any]:
            """The environment, with a body that ends by itself."""
            environ: dict[str, Any] = super().get_environ()
            environ["eventlet.input"] = self.incoming.body
            return with_body(environ, self.incoming)

        def finish(self) -> None:
            """Close the connection, after the client has had a moment to read the answer."""
            with suppress(OSError):
                self.wfile.flush()
            self.incoming.leave()
            super().finish()

        def log_message(self, *_args: Any) -> None:
            """Do nothing: web.requests logs each request with its id."""

    server = eventlet.wsgi.Server(
        listener,
        listener.getsockname(),
        application,
        protocol=EventletHandler,
        socket_timeout=SILENCE_SECONDS_MAX,
        log_output=False,
        debug=False,
        minimum_chunk_size=1,  # else it gathers 4 KB of an event stream before it writes
        capitalize_response_headers=False,  # names are sent as they are written
    )

    def talk(incoming: Incoming, address: Any) -> None:
        server.process_request([address, incoming.connection, eventlet.wsgi.STATE_IDLE, incoming])

    return eventlet.spawn_n, talk, EventletBody


def _gevent(application: InFlight, listener: socket.socket) -> tuple[Spawn, Talk, type[Body]]:
    import gevent
    from gevent import pywsgi

    class GeventBody(Body):
        """With what gevent's handler, and the websockets, ask of its own input."""

        @property
        def rfile(self) -> Incoming:
            """Leads to the client's socket, for websockets."""
            return self._incoming

        def _discard(self) -> None:
            self.finish()

    class GeventHandler(pywsgi.WSGIHandler):
        """Reads by `Incoming`."""

        def __init__(self, incoming: Incoming, address: Any, server: Any) -> None:
            super().__init__(incoming.connection, address, server, incoming)  # type: ignore[call-arg]
            self.incoming = incoming

        def handle_one_request(self) -> Any:
            """Answer one request, if there is one; None ends the connection."""
            if not self.incoming.next_head():
                return None
            result = super().handle_one_request()
            if result is True and self.incoming.is_between_requests:
                return True
            self.incoming.leave()
            return None

        def get_environ(self) -> dict[str, Any]:
            """The environment, with a body that ends by itself."""
            environ = with_body(super().get_environ(), self.incoming)
            self.wsgi_input = environ["wsgi.input"]
            return environ

    server = pywsgi.WSGIServer(
        listener,
        application,
        log=None,
        error_log=None,
        environ={"SERVER_NAME": listener.getsockname()[0]},
    )
    server.update_environ()

    def talk(incoming: Incoming, address: Any) -> None:
        GeventHandler(incoming, address, server).handle()

    return gevent.spawn, talk, GeventBody


class _WerkzeugHandler(WSGIRequestHandler):
    """Speaks HTTP/1.1, reads by `Incoming`, and writes no log lines."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, incoming: Incoming, address: Any, server: ThreadedWSGIServer) -> None:
        self._incoming = incoming
        super().__init__(incoming.connection, address, server)

    def setup(self) -> None:
        """Replace the file that the requests are read from."""
        super().setup()
        self.rfile = self._incoming  # type: ignore[assignment]  # has what the handler needs

    def handle_one_request(self) -> None:
        """Answer one request, if there is one."""
        self.close_connection = True
        if self._incoming.next_head():
            super().handle_one_request()

    def handle_expect_100(self) -> bool:
        """Do nothing: Werkzeug sends `100 Continue` just before `make_environ`."""
        return True

    def make_environ(self) -> Any:
        """The environment, with a body that ends by itself."""
        environ = with_body(super().make_environ(), self._incoming)
        environ["wsgi.input"].expects_continue = False
        return environ

    def finish(self) -> None:
        """Close the connection, after the client has had a moment to read the answer."""
        self._incoming.leave()
        super().finish()

    def log(self, *_args: Any, **_kwargs: Any) -> None:
        """Do nothing: web.requests logs each request with its id."""


def _threading(application: InFlight, listener: socket.socket) -> tuple[Spawn, Talk, type[Body]]:
    host, port = listener.getsockname()[:2]
    server = ThreadedWSGIServer(
        host, port, application, handler=_WerkzeugHandler, fd=listener.fileno()
    )
    server.socket.close()  # a copy, and only the loop accepts

    def spawn(function: Callable[..., object], *arguments: Any) -> None:
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def talk(incoming: Incoming, address: Any) -> None:
        _WerkzeugHandler(incoming, address, server)

    return spawn, talk, Body
