"""What gunicorn's master does: where to listen, how many workers, reloads, its log, the metrics.

The master stays unpatched and imports no part of the service. So each worker can patch the
standard library before its imports, and a worker that is started after an upgrade has the new code.
"""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

from server.async_mode import early_setting

METRICS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
RELOAD_CHECK_SECONDS = 60.0
_ROOT = Path(__file__).resolve().parents[1]
_MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of the system, in which gunicorn makes a file


def addresses() -> list[str]:
    """Where to listen: HOST and PORT, and TLS_PORT if it is set."""
    host = early_setting("HOST", "127.0.0.1")
    ports = [early_setting("PORT", "5000")]
    tls_port = early_setting("TLS_PORT", "")
    if tls_port and early_setting("ROLE", "all") != "worker":
        ports.append(tls_port)
    # A port that is no port gets a free one; then the worker stops the start with a sentence.
    numbers = [port if _is_port(port) else "0" for port in ports]
    return [f"[{host}]:{number}" if ":" in host else f"{host}:{number}" for number in numbers]


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= len("65535") and int(text) <= 65535


def worker_count() -> int:
    """WORKERS; the worker refuses a value that is not a number."""
    text = early_setting("WORKERS", "1")
    return int(text) if text.isascii() and text.isdecimal() and int(text) else 1


def memory_folder() -> str | None:
    """A folder in memory, if the system has one; else gunicorn takes that for temporary files."""
    return str(_MEMORY) if _MEMORY.is_dir() else None


@cache
def _metrics_folder() -> tuple[str, bool]:
    """The folder of the workers' common metrics, and whether the operator has named it."""
    setting = early_setting(METRICS_VARIABLE, "")
    return setting or tempfile.mkdtemp(prefix="balcao-metrics-"), bool(setting)


def change_workers(arbiter: Any, count: int, _count_before: int | None) -> None:
    """Give several workers common metrics; gunicorn calls it at the start, too.

    What was allowed to start as one process stays one: a second worker might share SQLite, or the
    bank, and each would hear only of its own payments.
    """
    if arbiter.cfg.workers == 1 and count > 1:
        arbiter.log.warning("WORKERS is 1, so no worker is added: set WORKERS, then send SIGHUP.")
        arbiter.num_workers = 1
    elif arbiter.cfg.workers > 1:  # also by gunicorn's own option
        variables = {**arbiter.cfg.env, METRICS_VARIABLE: _metrics_folder()[0]}
        arbiter.cfg.set("raw_env", [f"{name}={value}" for name, value in variables.items()])


def prepare(arbiter: Any) -> None:
    """What gunicorn calls before it listens."""
    prepare_metrics(arbiter)
    guard_reloads(arbiter)


def guard_reloads(arbiter: Any) -> None:
    """Let SIGHUP replace the workers only if new ones can start.

    gunicorn ends the old workers while the new ones still start, and has no hook before that.
    """
    reload = arbiter.handle_hup

    def reload_or_refuse() -> None:
        if fault := fault_of_reload(arbiter):
            arbiter.log.error("Reload refused, the workers go on as they are: %s", fault)
        else:
            reload()

    arbiter.handle_hup = reload_or_refuse


def fault_of_reload(arbiter: Any) -> str | None:
    """Why new workers could not start, as a sentence; None if they can.

    Another process looks, because the master imports nothing of the service. What it writes to the
    standard error, such as a traceback, is in the master's.
    """
    # The check must not write into the workers' metrics.
    without_metrics = ["env", "-u", METRICS_VARIABLE, f"PYTHONPATH={_ROOT}"]
    check = [sys.executable, "-P", "-m", "server.reload_check", *sys.argv[1:]]
    try:
        ended = subprocess.run(  # noqa: S603  # our own arguments
            [*without_metrics, *check],
            cwd=arbiter.START_CTX["cwd"],  # gunicorn's options may have relative paths
            input=json.dumps(arbiter.cfg.address),
            stdout=subprocess.PIPE,
            text=True,
            timeout=RELOAD_CHECK_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the check of the new settings took more than {RELOAD_CHECK_SECONDS:.0f} seconds."
    if ended.returncode == 0:
        return None
    return ended.stdout.strip() or "a worker would not start; the lines above say why."


def prepare_metrics(arbiter: Any) -> None:
    """Delete the metrics of an earlier run, whose processes have ended."""
    if folder := arbiter.cfg.env.get(METRICS_VARIABLE):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for file in Path(folder).glob("*.db"):
            file.unlink(missing_ok=True)


def forget_worker(arbiter: Any, worker: Any) -> None:
    """Drop the gauges that only a live worker has; its counters stay in the sums."""
    if folder := arbiter.cfg.env.get(METRICS_VARIABLE):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid, folder)  # type: ignore[no-untyped-call]


def remove_metrics(arbiter: Any) -> None:
    """Delete the folder of the metrics, unless the operator has named one."""
    if METRICS_VARIABLE in arbiter.cfg.env:
        folder, is_of_operator = _metrics_folder()
        if not is_of_operator:
            shutil.rmtree(folder, ignore_errors=True)


def log_config() -> dict[str, Any]:
    """Write the master's lines to the standard error, in the form of the service's own lines."""
    level = early_setting("LOG_LEVEL", "info").upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": {"()": LogLine, "is_json": early_setting("LOG_FORMAT", "console") == "json"}
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": "WARNING", "handlers": ["stderr"]},
        "loggers": {
            "gunicorn.error": {
                "level": level if level in logging.getLevelNamesMapping() else "INFO",
                "handlers": ["stderr"],
                "propagate": False,
            },
            # The service logs its requests itself.
            "gunicorn.access": {"level": "CRITICAL", "handlers": [], "propagate": False},
        },
    }


class LogLine(logging.Formatter):
    """One line as JSON or logfmt, with the fields of the service's lines."""

    converter = staticmethod(time.gmtime)

    def __init__(self, *, is_json: bool) -> None:
        super().__init__()
        self._is_json = is_json

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record, and its traceback."""
        fields = {
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if self._is_json:
            return json.dumps(fields)
        exception = fields.pop("exception", None)
        quoted = {name: json.dumps(text) if " " in text else text for name, text in fields.items()}
        line = " ".join(f"{name}={text}" for name, text in quoted.items())
        return f"{line}\n{exception}" if exception else line
