"""Serve on one socket in one of three async modes, and stop gracefully."""

from __future__ import annotations

import errno
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import structlog
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from config import ConfigurationError, Settings
from server.connections import (
    ACCEPTED_AT_ONCE,
    ACCEPTED_BY_ONE_OF_SEVERAL,
    AcceptLoop,
    Capacity,
    Seat,
    Seats,
    allow_open_files,
)
from server.environ import GeventHeaders, environ_of
from server.in_flight import InFlight
from server.incoming import (
    SILENCE_SECONDS_MAX,
    Body,
    Bounds,
    Incoming,
    TlsFacts,
    with_body,
)
from server.library_bodies import EventletBody, GeventBody
from server.tls import TlsTunnel, server_context

log = structlog.get_logger()

BACKLOG = 1024
DRAIN_SECONDS = 10.0

_TICK_SECONDS = 0.1


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises ConfigurationError if the address cannot be bound."""
    return listen(settings.host, settings.port, "PORT")


def bind_tls(settings: Settings) -> socket.socket | None:
    """The listening socket for TLS, if TLS_PORT is set. Raises ConfigurationError."""
    return listen(settings.host, settings.tls_port, "TLS_PORT") if settings.tls_port else None


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A socket that listens there; errors name the setting. Raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with ExitStack() as after_error:
            listener = after_error.enter_context(socket.socket(family, socket.SOCK_STREAM))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Each connection inherits it. Without it, the second of two quick events waits 40 ms
            # for the ACK of the first, and so does a body that pywsgi writes after its head.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener.bind((host, port))
            listener.listen(BACKLOG)
            after_error.pop_all()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigurationError(
                f"Port {port} on {host} is in use by another program: stop it, or set {setting}."
            ) from None
        raise ConfigurationError(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}."
        ) from None
    return listener


def serve(
    application: Callable[..., Iterable[bytes]],
    settings: Settings,
    listener: socket.socket,
    on_start: Callable[[], None],
    on_stop: Callable[[], None],
    tls_listener: socket.socket | None = None,
) -> int:
    """Serve until SIGTERM or Ctrl-C; then refuse new requests and finish those in progress.

    Returns the exit status: 1 if the process could not go on accepting connections.
    """
    allow_open_files(settings)
    in_flight = InFlight(application)
    seats = Seats(Capacity.of(settings))
    start = {"eventlet": _eventlet, "gevent": _gevent, "threading": _threading}
    spawn, talk, body_type = start[settings.async_mode](in_flight, listener)
    loops = _accept_loops(settings, seats, spawn, talk, body_type, listener, tls_listener)
    for accepting in loops:
        accepting.start()
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: signals.append(received))
    on_start()
    while not signals and not any(accepting.has_ended for accepting in loops):
        time.sleep(_TICK_SECONDS)  # yields to the hub in a patched process
    status = 0
    if any(accepting.has_ended for accepting in loops):
        log.critical("serving.cannot_accept")
        status = 1  # so that a supervisor starts the process again
    in_flight.is_stopping = True
    time.sleep(_TICK_SECONDS)  # accept clients that are connected but not accepted yet
    for accepting in loops:
        accepting.stop()
    for one in (listener, tls_listener):
        if one is not None:
            one.close()
    limit = time.monotonic() + DRAIN_SECONDS
    in_flight.wait(limit)
    on_stop()
    if unanswered := in_flight.wait(limit):
        log.warning("stop.unanswered", requests=unanswered)
    return status


def _accept_loops(
    settings: Settings,
    seats: Seats,
    spawn: Spawn,
    talk: Talk,
    body_type: type[Body],
    listener: socket.socket,
    tls_listener: socket.socket | None,
) -> list[AcceptLoop]:
    """A loop for each listener; the connections of both share the seats."""
    bounds = Bounds.of(settings)

    def serve_plain(seat: Seat, address: Any) -> None:
        hear = partial(seats.set_waiting, seat)
        talk(Incoming(seat.connection, bounds, body_type, hear), address)

    at_once = ACCEPTED_BY_ONE_OF_SEVERAL if settings.workers > 1 else ACCEPTED_AT_ONCE
    loops = [AcceptLoop(listener, seats, spawn, serve_plain, at_once)]
    if tls_listener is None:
        return loops
    context = server_context(settings)

    def serve_tls(seat: Seat, address: Any) -> None:
        # The connection counts as waiting until its first request, also during the handshake.
        connection = TlsTunnel(seat.connection, context, spawn)
        try:
            if connection.open(bounds.head_seconds):
                hear = partial(seats.set_waiting, seat)
                incoming = Incoming(connection.plain, bounds, body_type, hear)
                incoming.tls = TlsFacts(connection.certificate_thumbprint)
                talk(incoming, address)
        finally:
            connection.close()

    return [*loops, AcceptLoop(tls_listener, seats, spawn, serve_tls, at_once)]


Spawn = Callable[..., object]
Talk = Callable[[Incoming, Any], None]
"""Serve the requests of one connection, whose client has this address."""


def _eventlet(application: InFlight, listener: socket.socket) -> tuple[Spawn, Talk, type[Body]]:
    import eventlet
    import eventlet.wsgi

    class EventletHandler(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]  # eventlet is untyped
        """Takes heads from `Incoming`; writes no log lines."""

        def setup(self) -> None:
            """Replace the file that the requests are read from."""
            super().setup()
            self.rfile = self.incoming = self.conn_state[3]
            self.own_address = eventlet.wsgi.addr_to_host_port(self.request.getsockname())

        def handle_one_request(self) -> None:
            """Answer one request, if there is one."""
            self.close_connection = True
            if not self.incoming.next_head():
                return
            self.conn_state[2] = eventlet.wsgi.STATE_REQUEST
            self.headers = head = self.incoming.take_head()
            self.command, self.request_version = head.method, head.version
            self.requestline = f"{head.method} {head.target} {head.version}"
            self.close_connection = not head.keeps_alive
            self.environ = self.get_environ()
            self.application = self.server.app
            try:
                self.handle_one_response()
            except OSError as error:
                if error.errno not in eventlet.wsgi.BROKEN_SOCK:  # else the client has gone
                    raise

        def get_environ(self) -> dict[str, Any]:
            """The environment, with a body that ends by itself."""
            environ = environ_of(self.headers, self.client_address, self.own_address)
            environ["eventlet.input"] = self.incoming.body
            environ["eventlet.posthooks"] = []
            environ["eventlet.set_idle"] = self.set_idle
            return with_body(environ, self.incoming)

        def set_idle(self) -> None:
            """Note that a websocket waits, for eventlet's websockets."""
            self.conn_state[2] = eventlet.wsgi.STATE_IDLE

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

    class GeventHandler(pywsgi.WSGIHandler):
        """Takes heads from `Incoming`."""

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

        def read_requestline(self) -> str:
            """The first line of the head."""
            head = self.head = self.incoming.take_head()
            return f"{head.method} {head.target} {head.version}"

        def MessageClass(self, *_: Any) -> Any:
            """The rest of the head."""
            return GeventHeaders(self.head)

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

    def __init__(self, incoming: Incoming, address: Any, server: ThreadedWSGIServer) -> None:
        self._incoming = incoming
        self._has_date = False
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

    def send_response(self, code: int, message: str | None = None) -> None:
        """Begin the head of an answer; the application may add a `Date` of its own."""
        self._has_date = False
        self.send_response_only(code, message)
        self.send_header("Server", self.version_string())

    def send_header(self, keyword: str, value: str) -> None:
        """Add a header."""
        self._has_date = self._has_date or keyword == "Date"
        super().send_header(keyword, value)

    def end_headers(self) -> None:
        """End the head, with the machine's `Date` if it has none."""
        if not self._has_date:
            self.send_header("Date", self.date_time_string())
        super().end_headers()

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
