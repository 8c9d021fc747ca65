"""Start the service by a fork of a process that has imported it already.

A start by `python app.py` spends most of its processor time in imports, and the tests start the
service some hundred times. So the first start of each async mode starts a *prepared process*,
which does what `app.py` does up to its first function, imports the bank and takes over the URL
builders that the tests have compiled, then waits. Each start forks this process.
The fork gets its own environment, folder and log, and runs `app.main`. The tests of starts and
stops (`tests/process`) run `python app.py` instead.

The prepared process forks a small process, and this one the service: it waits for the service and
writes its exit status to a pipe, because the tests are not the service's parent.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

from tests.support.places import new_folder
from tests.support.quick_rules import compiled_builders, share_builders

ROOT = Path(__file__).resolve().parents[2]
IMPORTED_WITHIN_SECONDS = 60.0
READ_BY_IMPORTS = ("LD_PRELOAD", "PROMETHEUS_", "EVENTLET_", "GEVENT_", "PYTHON")
"""How names begin that the dynamic linker, libraries or Python read before `app.main`."""

_prepared_processes: dict[str, PreparedProcess] = {}


class ForkedProcess:
    """What a test needs of `subprocess.Popen`, for a forked service."""

    def __init__(self, answers: int) -> None:
        """`answers` reads from the process that waits: the service's pid, then its exit status."""
        self.returncode: int | None = None
        self._answers = answers
        self._text = b""
        self.pid = self._number(IMPORTED_WITHIN_SECONDS)

    def poll(self) -> int | None:
        """The exit status, negative for a signal, or None while the service runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0.0)
        return None

    def wait(self, timeout: float) -> int:
        """Wait for the end, at most `timeout` seconds. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self.returncode = self._number(timeout)
            os.close(self._answers)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, if the service runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _number(self, seconds: float) -> int:
        """The next line as a number. Raises subprocess.TimeoutExpired."""
        limit = time.monotonic() + seconds
        while b"\n" not in self._text:
            rest = max(limit - time.monotonic(), 0.0)
            if not select.select([self._answers], [], [], rest)[0]:
                raise subprocess.TimeoutExpired("app.py", seconds)
            part = os.read(self._answers, 100)
            if not part:
                raise AssertionError("the process that waits for the service has ended")
            self._text += part
        line, self._text = self._text.split(b"\n", 1)
        return int(line)


class PreparedProcess:
    """A process that has imported the service for one async mode."""

    def __init__(self, mode: str) -> None:
        self._folder = new_folder("prepared-process")
        self._numbers = count()
        self._lock = threading.Lock()
        self._log = self._folder / "log"
        builders = self._folder / "builders"
        builders.write_bytes(compiled_builders())
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, mode, str(builders)],
                cwd=ROOT,
                env={"PATH": os.environ.get("PATH", "")},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
            )

    def fork(self, environment: Mapping[str, str], log: Path) -> ForkedProcess:
        """Start the service with this environment; it writes to the end of the log."""
        pipe = self._folder / f"answers-{next(self._numbers)}"
        os.mkfifo(pipe)
        answers = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        order = {"environment": dict(environment), "log": str(log), "answers": str(pipe)}
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        # Without a writer the pipe is at its end, so the first byte cannot be waited for yet.
        limit = time.monotonic() + IMPORTED_WITHIN_SECONDS
        while not (ready := pipe.with_suffix(".open")).exists():
            if self._process.poll() is not None or time.monotonic() > limit:
                raise AssertionError(f"the service was not imported:\n{self._log.read_text()}")
            time.sleep(0.005)
        ready.unlink()
        pipe.unlink()
        return ForkedProcess(answers)

    def close(self) -> None:
        """End the prepared process; its services run on."""
        self._process.kill()
        self._process.communicate()


def suits(environment: Mapping[str, str]) -> bool:
    """Whether a fork would be what the program is, because no import reads this environment."""
    return not any(name.startswith(READ_BY_IMPORTS) for name in environment)


def start(environment: Mapping[str, str], log: Path) -> ForkedProcess:
    """Start the service as `python app.py` would with this environment."""
    mode = environment.get("ASYNC_MODE") or "eventlet"
    if mode not in _prepared_processes:
        _prepared_processes[mode] = PreparedProcess(mode)
        atexit.register(_prepared_processes[mode].close)
    return _prepared_processes[mode].fork(environment, log)


@dataclass(frozen=True)
class _Calls:
    """The calls of the system as they were before the hub was patched."""

    fork: Callable[[], int] = os.fork
    open: Callable[..., int] = os.open
    read: Callable[[int, int], bytes] = os.read
    write: Callable[[int, bytes], int] = os.write
    wait: Callable[[int, int], tuple[int, int]] = os.waitpid


def serve_forks(mode: str, builders: str) -> None:
    """The program of a prepared process: import as `app.py` does, then fork for each order.

    `builders` is a file of `compiled_builders`. No app is made here: it would start timers, which
    each fork would have.
    """
    calls = _Calls()
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from server import async_mode

    async_mode.patch(mode)
    import app
    import bank.app  # noqa: F401  # as the service does when it serves the bank

    share_builders(Path(builders).read_bytes())
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise RuntimeError("the imports have started a thread, which a fork would not have")
    # The kernel collects the processes that wait for a service: nobody else does.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for order in _orders(calls):
        if calls.fork() == 0:
            _wait_for_service(order, calls, app)


def _orders(calls: _Calls) -> Iterator[dict[str, Any]]:
    """The orders on the standard input, until it ends."""
    text = b""
    while part := calls.read(0, 65536):
        *lines, text = (text + part).split(b"\n")
        for line in lines:
            yield json.loads(line)


def _wait_for_service(order: Mapping[str, Any], calls: _Calls, app: Any) -> NoReturn:
    """Fork the service; tell its pid, then its exit status."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = calls.fork()
    if pid == 0:
        _be_service(order, calls, app)
    answers = calls.open(order["answers"], os.O_WRONLY)
    calls.write(answers, b"%d\n" % pid)
    Path(order["answers"]).with_suffix(".open").touch()
    _, status = calls.wait(pid, 0)
    with suppress(BrokenPipeError):
        calls.write(answers, b"%d\n" % os.waitstatus_to_exitcode(status))
    os._exit(0)


def _be_service(order: Mapping[str, Any], calls: _Calls, app: Any) -> NoReturn:
    """Run `app.main` as `python app.py` does."""
    log = calls.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    nothing = calls.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(order["environment"])
    time.tzset()
    sys.argv = ["app.py"]
    status = 1
    try:
        status = app.main()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    app._leave(status)
    raise AssertionError("the process has left")


_PROGRAM = (
    "import sys; from tests.support.forked_service import serve_forks; serve_forks(*sys.argv[1:])"
)
