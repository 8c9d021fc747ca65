"""Lets gunicorn's master replace its workers only if new ones can start.

gunicorn ends the old workers while the new ones still start, and has no hook before that. So a
process of its own checks the new settings. The master looks after it in each turn of its loop, at
least once a second, and goes on to hear signals and to replace workers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from server.async_mode import early_setting

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
RELOAD_CHECK_SECONDS = 60.0
PASSED = "passed"
"""What the check writes if workers can start; otherwise a sentence.

After an upgrade the master of the version before runs the new `reload_check.py`: what they say to
each other stays as it is.
"""
_ROOT = Path(__file__).resolve().parents[1]


_TOO_SLOW = f"the check of the new settings took more than {RELOAD_CHECK_SECONDS:.0f} seconds."


def _fault_in(output: IO[bytes]) -> str | None:
    """Why new workers could not start, as a sentence; None if they can."""
    output.seek(0)
    text = output.read().decode(errors="replace").strip()
    if text == PASSED:
        return None
    # The check catches its own exceptions. An older one writes nothing then.
    return text or (
        "the check of the new settings ended without a result: it was killed, or the lines above "
        "say why."
    )


class _WorkersReplaced(Exception):  # no error
    """The new workers are started, and the old ones were told to end."""


class ReloadGuard:
    """The check of one reload, and whether another reload waits for its end."""

    def __init__(self, arbiter: Any, fault_of: Callable[[Any], str | None]) -> None:
        """Take the place of the master's way to reload.

        `fault_of` says why this master cannot do a reload, before new settings are checked.
        """
        self._arbiter = arbiter
        self._fault_of = fault_of
        self._reload = arbiter.handle_hup
        self._turn = arbiter.murder_workers
        self._stop = arbiter.stop
        self._process: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] | None = None
        self._ends_at = 0.0
        self._is_repeated = False
        arbiter.handle_hup = self.request
        arbiter.murder_workers = self.look  # gunicorn calls it in each turn of its loop
        arbiter.stop = self.stop

    def request(self) -> None:
        """Begin a check; during one, remember that another must follow."""
        if self._process is not None:
            self._is_repeated = True
            return
        if fault := self._fault_of(self._arbiter):
            self._refuse(fault)
            return
        try:
            self._process = self._begin()
        except OSError as error:
            self._refuse(f"the check of the new settings cannot start: {error}.")

    def look(self) -> None:
        """Do a turn of gunicorn's loop; reload if the check has passed."""
        self._turn()
        if self._process is None or self._output is None:
            return
        # gunicorn collects all children that have ended, so the exit status can be lost: what the
        # process has written decides.
        has_ended = self._process.poll() is not None
        if not has_ended and time.monotonic() < self._ends_at:
            return
        fault = _fault_in(self._output) if has_ended else _TOO_SLOW
        self._end()
        is_repeated, self._is_repeated = self._is_repeated, False
        if fault:
            self._refuse(fault)
        if is_repeated:  # the settings may have changed since the check has read them
            self.request()
        elif not fault:
            self._replace_workers()

    def _replace_workers(self) -> None:
        """Reload, without gunicorn's wait for the old workers: it hears no signal meanwhile.

        So the old workers can get SIGTERM again in later turns; one more changes nothing for them.
        """
        arbiter = self._arbiter
        manage = arbiter.manage_workers

        def manage_once() -> None:
            manage()
            raise _WorkersReplaced  # the wait is what follows in `Arbiter.reload`

        arbiter.manage_workers = manage_once
        try:
            self._reload()
        except _WorkersReplaced:
            pass
        finally:
            arbiter.manage_workers = manage

    def stop(self, graceful: bool = True) -> None:
        """End the check, then the workers."""
        self._end()
        self._stop(graceful)

    def _begin(self) -> subprocess.Popen[bytes]:
        """Start the check. What it writes to the standard error is in the master's log."""
        arbiter = self._arbiter
        # The check must not write into the workers' metrics.
        without_metrics = ["env", "-u", METRICS_VARIABLE, f"PYTHONPATH={_ROOT}"]
        check = [sys.executable, "-P", "-m", "server.reload_check", *sys.argv[1:]]
        facts = {
            "addresses": arbiter.cfg.address,
            "metrics_folder": early_setting(METRICS_VARIABLE, ""),
        }
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed by _end
        with tempfile.TemporaryFile() as facts_file:
            facts_file.write(json.dumps(facts).encode())
            facts_file.seek(0)
            self._ends_at = time.monotonic() + RELOAD_CHECK_SECONDS
            return subprocess.Popen(  # noqa: S603  # our own arguments
                [*without_metrics, *check],
                cwd=arbiter.START_CTX["cwd"],  # gunicorn's options may have relative paths
                stdin=facts_file,
                stdout=self._output,
            )

    def _end(self) -> None:
        if self._process is not None:
            with suppress(OSError, subprocess.TimeoutExpired):
                self._process.kill()  # nothing happens if it has ended
                self._process.wait(1)
            self._process = None
        if self._output is not None:
            self._output.close()
            self._output = None

    def _refuse(self, fault: str) -> None:
        self._arbiter.log.error("Reload refused, the workers go on as they are: %s", fault)
