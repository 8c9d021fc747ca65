"""A worker of gunicorn that serves with the service's own accept loop, reader and handlers.

gunicorn opens the sockets, starts the workers, restarts one that has ended or hangs, and stops
them. What comes in over the sockets is read as by `python app.py` in the mode gevent, with the same
bounds (docs/decisions/0045-bytes-of-strangers.md).

gunicorn's master imports this module, so it imports nothing of the service at the top.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any, NoReturn

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from server import async_mode

BEAT_SECONDS = 1.0
RESTART_PAUSE_SECONDS = 5.0
"""A worker that cannot start waits before it ends, because gunicorn starts another at once."""


class ServiceWorker(Worker):  # type: ignore[misc]  # gunicorn is untyped
    """One process that serves."""

    wsgi: Any
    """`app.serve_sockets`, which the setting `wsgi_app` names."""

    def init_process(self) -> None:
        """Patch the standard library, then import the service and serve; does not return."""
        self._let_signals_end_the_start()  # the patch takes a while
        gc.disable()  # until `app.run`: imports create no garbage
        async_mode.patch("gevent")
        try:
            super().init_process()
        except Exception:
            # gunicorn would end its master for a module that cannot be imported, and would start
            # a worker that fails later again at once.
            if self.age == 1 and not self.booted:
                raise
            self.log.exception("A worker has ended because of an unexpected error.")
            time.sleep(RESTART_PAUSE_SECONDS)
            self._leave(1)

    def init_signals(self) -> None:
        """Let a signal end the start at once; `serving.serve` replaces SIGTERM and SIGINT."""
        super().init_signals()
        signal.set_wakeup_fd(-1)  # nobody reads gunicorn's pipe
        self._let_signals_end_the_start()
        # The master sends SIGABRT to a worker that hangs: the log shows where.
        faulthandler.enable()

    def _let_signals_end_the_start(self) -> None:
        """Replace the master's handlers, which the process has by its fork: they end nothing."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGABRT):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGQUIT, lambda *_: os.kill(os.getpid(), signal.SIGTERM))

    def run(self) -> NoReturn:
        """Serve until a signal asks to stop, then end the process."""
        threading.Thread(target=self._beat, name="gunicorn-heartbeat", daemon=True).start()
        from config import ConfigurationError

        try:
            status = self.wsgi(self._listeners(), self.cfg.workers, self.age)
        except ConfigurationError as error:
            status = self._refuse(error)
        self._leave(status)

    def _leave(self, status: int) -> NoReturn:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(status)  # clients may keep sockets open

    def _listeners(self) -> list[socket.socket]:
        """The master's sockets as sockets of the patched standard library."""
        return [
            socket.socket(one.FAMILY, socket.SOCK_STREAM, fileno=one.sock.detach())
            for one in self.sockets
        ]

    def _refuse(self, error: Exception) -> int:
        """Say why the service cannot start; return an exit status.

        The first worker ends the master too: a wrong setting needs a person. Another one is
        started again, because others may serve; the pause lets the first one speak for all.
        """
        if self.age == 1:
            import click

            from server.schema import DatabaseAway

            click.echo(f"Balcão cannot start: {error}", err=True)
            # Systemd starts the service again only if it waits for a database.
            is_away = isinstance(error, DatabaseAway)
            status: int = Arbiter.WORKER_BOOT_ERROR if is_away else Arbiter.APP_LOAD_ERROR
            return status
        time.sleep(RESTART_PAUSE_SECONDS)
        self.log.critical("Balcão cannot start: %s", error)
        return 1

    def _beat(self) -> None:
        """Show the master that this process works; stop when the master has gone."""
        while True:
            self.notify()
            if os.getppid() != self.ppid:
                self.log.warning("The master has gone: worker %s stops.", self.pid)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            time.sleep(BEAT_SECONDS)
