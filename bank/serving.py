"""The bank served by itself: its settings, its socket, its jobs, and a stop that answers first."""

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
from dotenv import dotenv_values
from sqlalchemy.exc import ArgumentError, DBAPIError
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from bank.app import close_bank_app, create_bank_app, start_jobs
from bank.cli import bank_cli
from bank.money.demo import migrate
from bank.settings import BankSettings, BankSettingsError, secret_in
from core.runtime.secret_files import kept
from core.signing import signatures

ROOT = Path(__file__).resolve().parents[1]
MOUNT = "/bank"
"""The bank answers here as well as at the root: behind a proxy it shares the service's address."""

SILENCE_SECONDS_MAX = 10
_BACKLOG = 128


class _Handler(WSGIRequestHandler):
    """One request for each connection (HTTP/1.0), so that a stop waits for requests alone."""

    protocol_version = "HTTP/1.0"  # Werkzeug takes 1.1 where nothing is said
    timeout = SILENCE_SECONDS_MAX

    def send_header(self, keyword: str, value: str) -> None:
        """But for a second Date: files bring one, and the server has said it already."""
        if keyword.lower() != "date" or not any(
            line.lower().startswith(b"date:") for line in getattr(self, "_headers_buffer", ())
        ):
            super().send_header(keyword, value)

    def log(self, *_args: Any, **_kwargs: Any) -> None:
        """Nothing: what went wrong is logged by the application."""


class _Server(ThreadedWSGIServer):
    """Waits at its close for the requests under way."""

    daemon_threads = False


def settings_from(environment: Mapping[str, str]) -> BankSettings:
    """The settings; in development what is missing is made and kept, as the service does.

    The two then agree by themselves: the same signing secret in the same folder, and the bank's
    tables on the service's database server where it has one. Raises BankSettingsError.
    """
    given = {name: value for name, value in environment.items() if value != ""}
    if given.get("APP_ENV", "development") != "production":
        instance = Path(given.get("INSTANCE_DIR", ROOT / "instance"))
        _keep(given, "BANK_WEBHOOK_SECRET", instance, signatures.new_secret())
        _keep(given, "BANK_SECRET_KEY", instance, secrets.token_urlsafe(48))
        if not secret_in(given, "BANK_DATABASE_URL"):
            services = secret_in(given, "DATABASE_URL")
            own = f"sqlite:///{instance / 'bank.sqlite3'}"
            given["BANK_DATABASE_URL"] = own if services.startswith("sqlite") else services or own
    return BankSettings.from_env(given)


def _keep(given: dict[str, str], name: str, folder: Path, fresh: str) -> None:
    if name in given or f"{name}_FILE" in given:
        return
    path = folder / name.lower()
    try:
        given[name] = kept(path, fresh)
    except OSError as error:
        raise BankSettingsError(f"{path} cannot be written or read: {error.strerror}.") from None


def main(arguments: Sequence[str]) -> int:
    """Serve the bank until SIGTERM or Ctrl-C; gives the exit status.

    With arguments it runs one of the bank's commands instead, which ends the process.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # It reports each late tick; a coalesced tick loses nothing here.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    in_file = {k: v for k, v in dotenv_values(ROOT / ".env").items() if v is not None}
    try:
        settings = settings_from({**in_file, **os.environ})
        if arguments:
            _command(settings, arguments)
        listener = _bound(settings)
        migrate(settings.database_url)
    except (BankSettingsError, RuntimeError) as error:
        return _refused(str(error))
    except ArgumentError:
        return _refused("BANK_DATABASE_URL is not the address of a database.")
    except DBAPIError as error:
        return _refused(f"Its database cannot be opened: {_reason(error)}.")
    _serve(settings, listener)
    return 0


def _command(settings: BankSettings, arguments: Sequence[str]) -> NoReturn:
    """`flask bank …` where the bank runs: its commands find both sides as this bank does."""
    own = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - compared
    os.environ.setdefault("BANK_URL", f"http://{own}:{settings.port}")
    os.environ["BANK_DATABASE_URL"] = settings.database_url
    os.environ["PUBLIC_URL"] = settings.service_url
    bank_cli.main(list(arguments), "python -m bank", standalone_mode=True)


def _refused(sentence: str) -> int:
    click.echo(f"The bank cannot start: {sentence}", err=True)
    return 1


def _reason(error: DBAPIError) -> str:
    # PyMySQL's errors are pairs of a number and a sentence; the others' are the sentence.
    said = [arg for arg in getattr(error.orig, "args", ()) if isinstance(arg, str) and arg]
    return said[0].splitlines()[0].rstrip(".") if said else type(error.orig).__name__


def _bound(settings: BankSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        where = f"{settings.host}, port {settings.port}"
        raise BankSettingsError(f"Cannot listen on {where}: {error.strerror or error}.") from None
    return listener


def _serve(settings: BankSettings, listener: socket.socket) -> None:
    app = create_bank_app(settings)
    application = DispatcherMiddleware(app.wsgi_app, {MOUNT: app.wsgi_app})
    server = _Server(
        settings.host, settings.port, application, handler=_Handler, fd=listener.fileno()
    )
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    thread = threading.Thread(target=server.serve_forever, name="http")
    thread.start()
    start_jobs(app)
    click.echo(f"The bank is open at http://{settings.host}:{settings.port}/. Ctrl-C closes it.")
    sys.stdout.flush()
    asked.wait()
    server.shutdown()
    thread.join()
    server.server_close()
    close_bank_app(app)
