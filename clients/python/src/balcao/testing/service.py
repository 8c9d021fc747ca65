"""A private service with its bank, as a process; and a service that somebody else has started."""

from __future__ import annotations

import os
import re
import secrets
import socket
import subprocess
import time
from pathlib import Path
from typing import Protocol

from balcao.errors import BalcaoError, NotFound
from balcao.testing.checkout import python_of
from balcao.testing.clock import MovableClock
from balcao.testing.errors import SandboxError
from balcao.transport import RetryPolicy, Transport

START_SECONDS = 60.0
PORT_TRIES = 3
LOG_CHARACTERS = 4000
_OPEN = "Balcão is open"
"""The first line of the startup banner: the port is ours, and the database is ready."""
_PORT_TAKEN = "is in use by another program"
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
_CHILD = Path(__file__).with_name("child.py")
_SETTING = re.compile(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=", re.M)


class Service(Protocol):
    """A service with a simulated bank."""

    url: str
    api_key: str | None
    """The key to use; None if each test may sign up a merchant of its own."""
    clock: MovableClock

    def check(self) -> None:
        """Raise SandboxError if the service has ended."""

    def log_size(self) -> int:
        """How long the log is, to ask for what follows; 0 without a log."""

    def log_since(self, size: int) -> str:
        """The end of the log since it had this size; empty without a log."""


class PrivateService:
    """The service of a checkout with databases, secrets and a clock of its own."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        """`folder` is empty and gets databases, log and clock. `start` runs the service."""
        self.url = ""
        self.api_key: str | None = None
        self.clock = MovableClock(folder / "clock")
        self._checkout = checkout
        self._folder = folder
        self._log = folder / "service.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = START_SECONDS) -> None:
        """Start on a free port and wait until it answers. Raises SandboxError with the log."""
        python = python_of(self._checkout)
        limit = time.monotonic() + seconds
        for _ in range(PORT_TRIES):
            self._spawn(python, free_port())
            try:
                if self._is_open(limit):
                    return
                self.stop()
            except BaseException:
                self.stop()
                raise
        raise SandboxError(f"Balcão found no free port.\n{self.log_since(0)}")

    def stop(self) -> None:
        """End the process at once; a second call does nothing."""
        if self._process is None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()

    def check(self) -> None:
        """Raise SandboxError with the log if the service has ended."""
        status = None if self._process is None else self._process.poll()
        if status is not None:
            raise SandboxError(f"Balcão has ended with status {status}.\n{self.log_since(0)}")

    def log_size(self) -> int:
        """How many bytes the log has."""
        return self._log.stat().st_size if self._log.exists() else 0

    def log_since(self, size: int) -> str:
        """The last LOG_CHARACTERS of what was logged since then."""
        if not self._log.exists():
            return ""
        return self._log.read_bytes()[size:].decode(errors="replace")[-LOG_CHARACTERS:]

    def _spawn(self, python: str, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._log.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            try:
                # Its own session, so that Ctrl-C ends the tests first and the service after them.
                self._process = subprocess.Popen(  # noqa: S603 - the developer's own checkout
                    [python, str(_CHILD), str(self._checkout), str(os.getpid())],
                    cwd=self._checkout,
                    env=self._environment(port),
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            except OSError as error:
                raise SandboxError(f"{python} cannot be started: {error.strerror}.") from None

    def _is_open(self, limit: float) -> bool:
        """Wait until the service answers; False if another program took the port."""
        transport = Transport(self.url, timeout=5, retries=RetryPolicy(attempts=1))
        while True:
            log = self.log_since(0)
            if self._process is not None and self._process.poll() is not None:
                if _PORT_TAKEN in log:
                    return False
                raise SandboxError(
                    f"Balcão of {self._checkout} did not start (status "
                    f"{self._process.returncode}).\n{self.log_since(0)}"
                )
            if _OPEN in log and _answers(transport, "/readyz"):
                return True
            if time.monotonic() > limit:
                raise SandboxError(f"Balcão of {self._checkout} did not start in time.\n{log}")
            time.sleep(0.05)

    def _environment(self, port: int) -> dict[str, str]:
        """The settings. Those of the checkout's `.env` are for its developer, and are emptied."""
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        file = self._checkout / ".env"
        text = file.read_text(encoding="utf-8-sig", errors="replace") if file.is_file() else ""
        limits = ("REQUESTS", "BANK_REQUESTS", "CREATIONS", "RENEWALS", "CHECKS", "QR_IMAGES")
        return {
            **dict.fromkeys(_SETTING.findall(text), ""),
            **inherited,
            "APP_ENV": "development",
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "INSTANCE_DIR": str(self._folder),
            "DATABASE_URL": f"sqlite:///{self._folder / 'balcao.sqlite3'}",
            "BANK_DATABASE_URL": f"sqlite:///{self._folder / 'bank.sqlite3'}",
            "CLOCK_FILE": str(self._folder / "clock"),
            "DEMO_PASSWORD": secrets.token_urlsafe(12),
            "SIGN_UP": "open",
            "SIGN_UPS_PER_ADDRESS_MAX": "100000",
            "SWEEP_INTERVAL_SECONDS": "0.2",
            "SWEEP_START_GRACE_SECONDS": "0",
            "RECONCILE_INTERVAL_SECONDS": "1",
            "PYTHONUNBUFFERED": "1",
            **{f"{name}_PER_MINUTE": "1000000" for name in limits},
        }


class RunningService:
    """A development service that somebody else has started; nothing is started or stopped."""

    def __init__(self, url: str, api_key: str | None) -> None:
        """Raises SandboxError unless a development service with its bank answers there."""
        self.url = url.rstrip("/")
        self.api_key = api_key
        self.clock = MovableClock(None)
        try:
            transport = Transport(self.url, timeout=10, retries=RetryPolicy(attempts=2, base=0.2))
            transport.request("GET", "/readyz").json()
            # This route of the simulated bank exists in development only, and changes nothing.
            answer = transport.request("GET", "/bank/api/chaos").json()
        except NotFound:
            answer = None
        except (BalcaoError, ValueError) as error:
            raise SandboxError(f"No Balcão answers at BALCAO_URL ({url}): {error}") from None
        if not isinstance(answer, dict) or "presets" not in answer:
            raise SandboxError(
                f"The service at BALCAO_URL ({url}) serves no simulated bank, so its money is "
                "real, or its bank is elsewhere. Tests use a development service only: name "
                "another, or unset BALCAO_URL, so that the plugin starts a private one."
            )

    def check(self) -> None:
        """Nothing to check: each request says whether the service is there."""

    def log_size(self) -> int:
        """There is no log to read."""
        return 0

    def log_since(self, size: int) -> str:  # noqa: ARG002 - the protocol's
        """There is no log to read."""
        return ""


def free_port() -> int:
    """A port of loopback that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _answers(transport: Transport, path: str) -> bool:
    try:
        return transport.request("GET", path).status == 200
    except BalcaoError:
        return False
