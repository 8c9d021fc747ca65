"""Runs of `python app.py` that must not start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.service import ROOT, ServiceProcess

ENDS_WITHIN_SECONDS = 40


@dataclass(frozen=True)
class FailedStart:
    """A process that ended before it served."""

    status: int
    stdout: str
    stderr: str


def refused_start(
    instance: Path, changes: Mapping[str, str], unset: tuple[str, ...] = ()
) -> FailedStart:
    """Start the service with bad settings and wait for its end; it waits for no database."""
    service = ServiceProcess(instance)
    service.environment |= {"START_WAIT_SECONDS": "0", **changes}
    for name in unset:
        service.environment.pop(name)
    process = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=service.environment, capture_output=True,
        text=True, timeout=ENDS_WITHIN_SECONDS, check=False,
    )  # fmt: skip
    return FailedStart(process.returncode, process.stdout, process.stderr)


def assert_one_sentence(ended: FailedStart, *words: str) -> None:
    """Check for exit status 1 and a single sentence with these words on stderr."""
    assert ended.status == 1, ended
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("Balcão cannot start: ")
    assert lines[0].endswith(".")
    assert not lines[0].endswith("..")
    for word in words:
        assert word in lines[0]
