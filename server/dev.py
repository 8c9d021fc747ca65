"""`make dev`: the service with automatic reload and with tracebacks in the browser.

A parent process holds the listening socket and watches the source files; a child process serves.
When a Python file, a translation or `.env` changes, the parent replaces the child, and requests
that arrive meanwhile wait in the socket's queue. Templates, style sheets and scripts need no
restart: the child reads them again for each request.

A traceback shows source code to everybody who can open the page, so all of this is refused in
production and on addresses that other machines reach.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import ipaddress
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from flask import Flask

    from config import Settings

# The child imports the rest of the service inside `serve_reloaded`, where a mistake in any module
# becomes a page.

ROOT = Path(__file__).resolve().parents[1]
NOT_SERVED = {
    "tests", "benchmarks", "clients", "scripts", "docs", "docker", "static", "instance",
}  # fmt: skip
POLL_SECONDS = 0.2
STOP_SECONDS = 5.0
"""How long a child may finish its requests before the parent kills it."""


def main() -> int:
    """Serve and reload until SIGTERM or Ctrl-C; return the exit status."""
    from config import ConfigurationError
    from server import serving

    stop_signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stop_signals.append(received))
    try:
        listener = serving.bind(development_settings())
    except ConfigurationError as error:
        click.echo(f"Balcão cannot start: {error}", err=True)
        return 1
    files = watched_files()
    child = _start(listener)
    while not stop_signals:
        time.sleep(POLL_SECONDS)
        latest = watched_files()
        if latest != files:
            changed = sorted(path for path, _ in files.items() ^ latest.items())
            click.echo(f"Reloading: {_names(set(changed))}")
            _stop(child)
            _delete_bytecode(changed)
            if any(path.suffix == ".po" for path in changed):
                _compile_catalogues()
            files, child = latest, _start(listener)
        elif child.poll() is not None and not stop_signals:
            click.echo("The service ended by itself. It starts again when a file changes.")
            while latest == files and not stop_signals:
                time.sleep(POLL_SECONDS)
                latest = watched_files()
    _stop(child)
    return 0


def development_settings() -> Settings:
    """The settings for reloading. Raises ConfigurationError if tracebacks must not be shown."""
    from config import ConfigurationError, Settings

    settings = Settings.load()
    if not settings.is_development:
        raise ConfigurationError("`make dev` shows source code: it needs APP_ENV=development.")
    if not _is_loopback(settings.host):
        raise ConfigurationError(
            f"`make dev` shows source code, and other machines reach HOST={settings.host}: "
            "set HOST=127.0.0.1."
        )
    return settings.model_copy(update={"async_mode": "threading", "tls_port": None})


def refuse_flask_run() -> None:
    """End `flask run`, which would serve without schema, demo accounts, bank and jobs.

    Raises click.UsageError, which Flask's command line prints.
    """
    from flask.cli import run_command

    context = click.get_current_context(silent=True)
    if context is not None and context.command is run_command:
        raise click.UsageError(
            "`flask run` serves neither the jobs nor the bank, and migrates no database. "
            "Run `make dev` (reloads, shows tracebacks) or `make run`."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


# --- the parent: watching and restarting ----------------------------------------------------------


def watched_files() -> dict[Path, int]:
    """The files whose change needs a restart, with the time of their last change."""
    changed_at: dict[Path, int] = {}
    for folder, folders, names in os.walk(ROOT):
        if Path(folder) == ROOT:
            folders[:] = [name for name in folders if name not in NOT_SERVED and name[0] != "."]
        for name in names:
            if name.endswith((".py", ".po")) or name == ".env":
                path = Path(folder, name)
                try:
                    changed_at[path] = path.stat().st_mtime_ns
                except FileNotFoundError:  # an editor replaces files by renaming
                    continue
    return changed_at


def _names(paths: Iterable[Path]) -> str:
    names = sorted(str(path.relative_to(ROOT)) for path in paths)
    return ", ".join(names) if len(names) < 4 else f"{names[0]} and {len(names) - 1} more"


def _start(listener: socket.socket) -> subprocess.Popen[bytes]:
    number = listener.fileno()
    command = [sys.executable, "-m", "server.dev", str(number)]
    return subprocess.Popen(command, cwd=ROOT, pass_fds=[number])  # noqa: S603 - this module


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _delete_bytecode(paths: Iterable[Path]) -> None:
    """Python takes bytecode for current if the source has the same size and the same second.

    So a second save within one second would show the first one.
    """
    for path in paths:
        if path.suffix == ".py":
            Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def _compile_catalogues() -> None:
    compile_all = [sys.executable, "-m", "babel.messages.frontend", "--quiet", "compile"]
    for folder in ("translations", "bank/translations"):
        subprocess.run([*compile_all, "-d", folder], cwd=ROOT, check=False)  # noqa: S603 - ours


# --- the child: serving ---------------------------------------------------------------------------


def serve_reloaded(listener: socket.socket) -> None:
    """Serve on the parent's socket until a signal ends it; a start that fails becomes a page."""
    gc.disable()  # until it serves, as in app.py
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()
    try:
        # Imported by name, because `app` is above this folder: an import statement would point up.
        service: Any = importlib.import_module("app")
        settings = development_settings()
        app, bank = service.prepare(settings)
        for application in (app, bank):
            if application is not None:
                show_changes_and_tracebacks(application)
    except Exception as error:
        sys.excepthook(type(error), error, error.__traceback__)
        _serve_failure(listener, error)
    else:
        service.run(app, bank, settings, listener)


def _end_with(parent: int) -> None:
    """End this process when its parent has ended, because nothing else would."""
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    os._exit(1)


def show_changes_and_tracebacks(app: Flask) -> None:
    """Read templates and static files again for each request; answer a browser with a traceback."""
    from werkzeug.debug import DebuggedApplication

    from web.pages import forget_static_files
    from web.problems import prefers_page

    app.debug = True  # Jinja compares templates with their files, and errors reach the debugger
    app.before_request(forget_static_files)
    answer_error: Any = app.error_handler_spec[None][None][Exception]

    def show(error: Exception) -> Any:
        if prefers_page():
            raise error
        return answer_error(error)

    app.register_error_handler(Exception, show)
    # Without its console, which would run code for everyone who reaches the page.
    app.wsgi_app = DebuggedApplication(app.wsgi_app, evalex=False)  # type: ignore[method-assign]


def _serve_failure(listener: socket.socket, error: Exception) -> None:
    """Answer every request with the traceback of the failed start, until SIGTERM.

    Requests that were read before the signal are answered, as in the service itself.
    """
    from werkzeug.debug import DebuggedApplication
    from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

    class OneRequest(WSGIRequestHandler):
        """A connection that a browser keeps open would delay the restart."""

        protocol_version = "HTTP/1.0"
        timeout = 1

    traceback = error.__traceback__

    def fail(_environ: object, _start_response: object) -> NoReturn:
        raise error.with_traceback(traceback)

    host, port = listener.getsockname()[:2]
    page = DebuggedApplication(fail, evalex=False)
    server = ThreadedWSGIServer(host, port, page, OneRequest, fd=listener.fileno())
    server.daemon_threads = False  # closing the server then waits for their answers

    def stop(_number: int, _frame: object) -> None:
        # A shutdown waits for the loop that this handler interrupts.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    server.serve_forever(poll_interval=POLL_SECONDS)
    server.server_close()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve_reloaded(socket.socket(fileno=int(sys.argv[1])))
        os._exit(0)  # sockets that browsers keep open must not hold the process
    sys.exit(main())
