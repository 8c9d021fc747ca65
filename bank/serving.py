"""Serves the bank as a process of its own: settings, socket, jobs, graceful shutdown."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from typing import Any

import click
from sqlalchemy.exc import ArgumentError, DBAPIError
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from bank.app import close_bank_app, create_bank_app, start_jobs
from bank.money.demo import migrate
from bank.settings import BankSettings, BankSettingsError, environment, settings_from
from core.runtime.text_files import UnreadableFile

MOUNT = "/bank"
"""The bank answers here as well as at /, since a proxy may serve it below the service's host."""

REQUEST_TIMEOUT_SECONDS = 10
_BACKLOG = 128


class _Handler(WSGIRequestHandler):
    """Closes each connection after one request (HTTP/1.0), so that a stop waits for no idle one."""

    protocol_version = "HTTP/1.0"  # Werkzeug's default is 1.1
    timeout = REQUEST_TIMEOUT_SECONDS

    def send_header(self, keyword: str, value: str) -> None:
        """Skip a second Date header: the server has sent one, and static files bring another."""
        if keyword.lower() != "date" or not any(
            line.lower().startswith(b"date:") for line in getattr(self, "_headers_buffer", ())
        ):
            super().send_header(keyword, value)

    def log(self, *_args: Any, **_kwargs: Any) -> None:
        """Log no requests; the application logs its errors."""


class _Server(ThreadedWSGIServer):
    daemon_threads = False  # server_close() waits for the requests in progress


def main() -> int:
    """Serve the bank until SIGTERM or Ctrl-C and return the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # apscheduler warns of each late run. Late runs are coalesced and lose nothing here.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    try:
        settings = settings_from(environment())
        listener = _bind(settings)
        migrate(settings.database_url)
    except (BankSettingsError, UnreadableFile, RuntimeError) as error:
        return _report(str(error))
    except ArgumentError:
        return _report("BANK_DATABASE_URL is not the URL of a database.")
    except DBAPIError as error:
        return _report(f"Its database cannot be opened: {_reason(error)}.")
    _serve(settings, listener)
    return 0


def _report(sentence: str) -> int:
    click.echo(f"The bank cannot start: {sentence}", err=True)
    return 1


def _reason(error: DBAPIError) -> str:
    # PyMySQL's errors hold a number and a message; the other drivers' hold a message alone.
    messages = [arg for arg in getattr(error.orig, "args", ()) if isinstance(arg, str) and arg]
    return messages[0].splitlines()[0].rstrip(".") if messages else type(error.orig).__name__


def _bind(settings: BankSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        address = f"{settings.host}, port {settings.port}"
        raise BankSettingsError(f"Cannot listen on {address}: {error.strerror or error}.") from None
    return listener


def _serve(settings: BankSettings, listener: socket.socket) -> None:
    app = create_bank_app(settings)
    application = DispatcherMiddleware(app.wsgi_app, {MOUNT: app.wsgi_app})
    server = _Server(
        settings.host, settings.port, application, handler=_Handler, fd=listener.fileno()
    )
    stop_requested = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop_requested.set())
    server_thread = threading.Thread(target=server.serve_forever, name="http")
    server_thread.start()
    start_jobs(app)
    click.echo(f"The bank is open at http://{settings.host}:{settings.port}/. Ctrl-C closes it.")
    sys.stdout.flush()
    stop_requested.wait()
    server.shutdown()
    server_thread.join()
    server.server_close()
    close_bank_app(app)
