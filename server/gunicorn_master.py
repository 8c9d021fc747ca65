"""What gunicorn's master does: where to listen, how many workers, its log, the metrics.

The master stays unpatched and imports no part of the service. So each worker can patch the
standard library before its imports, and a worker that is started after an upgrade has the new code.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from server.async_mode import early_setting
from server.reload_guard import METRICS_VARIABLE, ReloadGuard

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

    A folder that gunicorn's option `-e` names stays: the option wins over the environment and
    `.env`, as for every variable.

    What was allowed to start as one process stays one: a second worker might share SQLite, or the
    bank, and each would hear only of its own payments.
    """
    if arbiter.cfg.workers == 1 and count > 1:
        arbiter.log.warning("WORKERS is 1, so no worker is added: set WORKERS, then send SIGHUP.")
        arbiter.num_workers = 1
    # Several workers may also come from gunicorn's own option.
    elif arbiter.cfg.workers > 1 and not arbiter.cfg.env.get(METRICS_VARIABLE):
        variables = {**arbiter.cfg.env, METRICS_VARIABLE: _metrics_folder()[0]}
        arbiter.cfg.set("raw_env", [f"{name}={value}" for name, value in variables.items()])


def prepare(arbiter: Any) -> None:
    """What gunicorn calls before it listens."""
    prepare_metrics(arbiter)
    ReloadGuard(arbiter, partial(fault_of_reload, setting=_metrics_setting(arbiter)))


def _metrics_setting(arbiter: Any) -> str:
    """The folder of metrics that `.env` or the environment names now, or nothing.

    The master has set the variable itself since it was started, and gunicorn's own option may set
    it, too: neither counts.
    """
    return early_setting(METRICS_VARIABLE, "", arbiter.cfg.env_orig)


def fault_of_reload(arbiter: Any, setting: str) -> str | None:
    """Why the master as it is cannot do a reload, as a sentence; None if it can.

    `setting` is `_metrics_setting` at the start.
    Old and new workers share the folder of metrics while both serve, and the counts of workers that
    have ended are in it. A single worker uses none that `.env` names.
    """
    if METRICS_VARIABLE not in arbiter.cfg.env:
        return None
    if _metrics_setting(arbiter) == setting:
        return None
    folder = arbiter.cfg.env[METRICS_VARIABLE]
    return (
        f"{METRICS_VARIABLE} has changed, and the workers' common metrics are in {folder}: restart "
        "the service."
    )


def prepare_metrics(arbiter: Any) -> None:
    """Delete the metrics of an earlier run, whose processes have ended.

    End the master if a file stays: its numbers would be added to those of this run.
    """
    folder = arbiter.cfg.env.get(METRICS_VARIABLE)
    if not folder:
        return
    with suppress(OSError, ValueError):  # the first worker says what is wrong, and ends the master
        Path(folder).mkdir(parents=True, exist_ok=True)
        for file in Path(folder).glob("*.db"):
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                arbiter.log.critical(
                    "Balcão cannot start: %s: %s of an earlier run cannot be deleted: %s.",
                    METRICS_VARIABLE,
                    file,
                    error.strerror,
                )
                arbiter.halt(exit_status=arbiter.APP_LOAD_ERROR)


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
