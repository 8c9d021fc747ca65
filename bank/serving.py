"""Serves the bank as a process of its own: settings, socket, jobs, graceful shutdown."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from sqlalchemy.exc import ArgumentError, DBAPIError
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from bank.app import close_bank_app, create_bank_app, start_jobs
from bank.cli import bank_cli
from bank.money.demo import migrate
from bank.settings import BankSettings, BankSettingsError, secret_in
from core.runtime.secret_files import read_or_create
from core.runtime.text_files import UnreadableFile, read_env_file
from core.signing import signatures

ROOT = Path(__file__).resolve().parents[1]
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


def settings_from(environment: Mapping[str, str]) -> BankSettings:
    """Read the settings. In development, create and store missing secrets as the service does.

    Bank and service then share the signing secret in the same instance folder, and the bank's
    tables are in the service's database, unless that is SQLite. Raises BankSettingsError.
    """
    values = {name: value for name, value in environment.items() if value != ""}
    if values.get("APP_ENV", "development") != "production":
        instance = Path(values.get("INSTANCE_DIR", ROOT / "instance"))
        _ensure_secret(values, "BANK_WEBHOOK_SECRET", instance, signatures.new_secret())
        _ensure_secret(values, "BANK_SECRET_KEY", instance, secrets.token_urlsafe(48))
        if not secret_in(values, "BANK_DATABASE_URL"):
            service_database = secret_in(values, "DATABASE_URL")
            is_shared = service_database and not service_database.startswith("sqlite")
            own_database = f"sqlite:///{instance / 'bank.sqlite3'}"
            values["BANK_DATABASE_URL"] = service_database if is_shared else own_database
    return BankSettings.from_env(values)


def _ensure_secret(values: dict[str, str], name: str, folder: Path, new_secret: str) -> None:
    """Set the secret from its file in `folder`; a missing file is created with `new_secret`."""
    if name in values or f"{name}_FILE" in values:
        return
    path = folder / name.lower()
    try:
        values[name] = read_or_create(path, new_secret)
    except OSError as error:
        raise BankSettingsError(f"{path} cannot be written or read: {error.strerror}.") from None
    except UnreadableFile as error:
        raise BankSettingsError(str(error)) from None


def main(arguments: Sequence[str]) -> int:
    """Serve the bank until SIGTERM or Ctrl-C and return the exit status.

    With arguments, run one of the bank's commands instead and end the process.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # apscheduler warns of each late run. Late runs are coalesced and lose nothing here.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    try:
        settings = settings_from({**read_env_file(ROOT / ".env"), **os.environ})
        if arguments:
            _run_command(settings, arguments)
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


def _run_command(settings: BankSettings, arguments: Sequence[str]) -> NoReturn:
    """Run a command of `flask bank` with the addresses and the database of these settings."""
    own_host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - compared
    os.environ.setdefault("BANK_URL", f"http://{own_host}:{settings.port}")
    os.environ["BANK_DATABASE_URL"] = settings.database_url
    os.environ["PUBLIC_URL"] = settings.service_url
    bank_cli.main(list(arguments), "python -m bank", standalone_mode=True)


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
