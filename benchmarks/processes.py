"""The service as a process, and the memory of processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.service import ServiceProcess


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
