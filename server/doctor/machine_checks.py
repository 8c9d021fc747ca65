"""The checks of settings and of this machine: disk and open files."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

from config import Settings
from core.version import VERSION
from server.async_mode import early_setting
from server.check_results import CheckResult
from server.metrics_folder import fault_of
from server.reload_guard import METRICS_VARIABLE
from web.metrics import shared_folder

DISK_WARNED, DISK_FAILED = 1_000_000_000, 100_000_000
MEGABYTE = 1_000_000


def check_settings(settings: Settings) -> Iterator[CheckResult]:
    """Settings that are allowed, and seldom meant."""
    notes = []
    if not settings.is_development:
        if settings.database_url.startswith("sqlite") and settings.redis_url is not None:
            notes.append("several processes need a database server, not SQLite")
        if settings.public_url.startswith("https") and not settings.trusted_proxies:
            notes.append("behind a proxy that terminates TLS, TRUSTED_PROXIES must not be 0")
    if notes:
        yield CheckResult("settings", "warn", f"{'; '.join(notes)}.")
    else:
        yield CheckResult("settings", "ok", f"Version {VERSION}, {settings.app_env}.")


def check_disk(settings: Settings) -> Iterator[CheckResult]:
    """Free space where secrets, backups and an SQLite database are."""
    folder = settings.instance_dir
    while not folder.exists() and folder != Path(folder.root):
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    detail = f"{free // MEGABYTE} MB are free at {folder}."
    if free < DISK_FAILED:
        yield CheckResult("disk", "fail", f"{detail} Payments fail when it is full.")
    elif free < DISK_WARNED:
        yield CheckResult("disk", "warn", detail)
    else:
        yield CheckResult("disk", "ok", detail)


def check_metrics_folder(settings: Settings) -> Iterator[CheckResult]:
    """Whether the processes of this machine can share their metrics."""
    folder = shared_folder()
    if settings.workers > 1 and (text := early_setting(METRICS_VARIABLE, "")):
        folder = Path(text)  # gunicorn's master reads .env too
    if folder is None:
        yield CheckResult("metrics", "ok", "Each process answers for itself.")
    elif fault := fault_of(folder):
        yield CheckResult("metrics", "fail", fault)
    else:
        yield CheckResult("metrics", "ok", f"Processes share their metrics in {folder}.")


def check_open_files(settings: Settings) -> Iterator[CheckResult]:
    """The limit that a service inherits which is started from here."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # A websocket takes a second descriptor for its writes.
    needed = 2 * settings.connections_max
    if hard == resource.RLIM_INFINITY or hard >= needed:
        yield CheckResult("open files", "ok", f"Enough for {settings.connections_max} connections.")
        return
    detail = (
        f"{hard} open files are enough for {hard // 2} of {settings.connections_max} connections: "
        "raise `ulimit -Hn`, or LimitNOFILE of the unit."
    )
    yield CheckResult("open files", "warn", detail)
