"""The two servers of a comparison, as processes: the service and the bare app."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.service import ROOT, ServiceProcess

READY_WITHIN_SECONDS = 30.0


@dataclass
class Bare:
    """A running bare server."""

    port: int
    pid: int


def resident_bytes(pid: int) -> int:
    """The resident memory of a process (VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"process {pid} has ended")


@contextmanager
def own_server(folder: Path, database_url: str, **environment: Any) -> Iterator[ServiceProcess]:
    """The service in its default mode, with its default logging."""
    instance = folder / "ours"
    instance.mkdir(exist_ok=True)
    with ServiceProcess(instance, DATABASE_URL=database_url, **environment) as service:
        yield service


@contextmanager
def bare_server(
    folder: Path, database_url: str, page_bytes: int = 5000, picture: bytes = b"x" * 1000
) -> Iterator[Bare]:
    """The bare app on the same kind of server."""
    bare_folder = folder / "bare"
    bare_folder.mkdir(exist_ok=True)
    (bare_folder / "picture.png").write_bytes(picture)
    port = free_port()
    arguments = [str(port), database_url, str(page_bytes), str(bare_folder / "picture.png")]
    with (bare_folder / "bare.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.bare", *arguments],
            cwd=ROOT,
            env=dict(os.environ),
            stdout=log,
            stderr=log,
        )
    try:
        _wait(port, process, bare_folder / "bare.log")
        yield Bare(port, process.pid)
    finally:
        process.kill()
        process.wait(10)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    import urllib.request

    limit = time.monotonic() + READY_WITHIN_SECONDS
    while time.monotonic() < limit and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text()[-2000:])
