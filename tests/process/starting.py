"""Running `python app.py` to its end, for tests of how it starts and why it does not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.service import ROOT, ServiceProcess

ENDS_WITHIN_SECONDS = 40


@dataclass(frozen=True)
class Ended:
    """A process that did not get as far as serving."""

    status: int
    said: str
    complained: str


def refused_start(instance: Path, changes: Mapping[str, str], unset: tuple[str, ...] = ()) -> Ended:
    """Start the service where it must not start, and wait for its end."""
    service = ServiceProcess(instance)
    service.environment |= changes
    for name in unset:
        service.environment.pop(name)
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=service.environment, capture_output=True,
        text=True, timeout=ENDS_WITHIN_SECONDS, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def assert_one_sentence(ended: Ended, *words: str) -> None:
    """One sentence on stderr that holds these words, a status that is not 0, and no trace."""
    assert ended.status == 1, ended
    assert ended.said == ""
    lines = ended.complained.splitlines()
    assert len(lines) == 1, ended.complained
    assert lines[0].startswith("Balcão cannot start: ")
    assert lines[0].endswith(".")
    assert not lines[0].endswith("..")
    for word in words:
        assert word in lines[0]
