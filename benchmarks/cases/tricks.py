"""Every optimisation of docs/performance.md, compared with its plain form."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.report import Outcome, median
from tests.support.service import ROOT

ROUNDS = 40
BOUND = 0.95
"""An optimisation must gain at least a twentieth of its request."""
MODE = "eventlet"


PARTS = {
    "loading": ("app.py: no garbage collection while the service loads", "s of CPU"),
    "pauses": ("app.py main: loaded objects are frozen; longest collection", "s of CPU"),
    "memory": ("core/runtime/memory.py: large blocks are returned", "MB kept after 16 pictures"),
    "hashing": ("accounts/passwords.py: at most a few hashes at once", "MB at most, 100 at once"),
}
"""Name and unit of each part of `benchmarks.tricks.process`."""
ROUNDS_OF_PARTS_MAX = 5


def measure(
    folder: Path, database_url: str, rounds: int = ROUNDS, words: Sequence[str] = ()
) -> list[Outcome]:
    """Measure requests and processes with and without each trick whose name has the words."""
    arguments = [MODE, str(folder), database_url, str(rounds), *words]
    outcomes = list(_requests(arguments, rounds))
    for part, (name, unit) in PARTS.items():
        if all(word in name for word in words):
            outcomes.append(_process(part, name, unit, min(rounds, ROUNDS_OF_PARTS_MAX)))
    return outcomes


def _process(part: str, name: str, unit: str, rounds: int) -> Outcome:
    results: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for is_on in (1, 0):
            run = subprocess.run(
                [sys.executable, "-m", "benchmarks.tricks.process", part, str(is_on)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            results[1 - is_on].append(float(run.stdout))
    ours, plain = median(results[0]), median(results[1])
    return Outcome(name, ours, plain, unit, BOUND, "lower", rounds)


def _requests(arguments: Sequence[str], rounds: int) -> Iterator[Outcome]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.tricks.child", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            result = json.loads(line)
            print(line, end="", file=sys.stderr)
            yield Outcome(
                f"{result['operation']}: {result['name']}",
                result["with"] * 1000,
                result["without"] * 1000,
                f"ms, {result['clock']}; minimum {result['least'][0] * 1000:.3g} and "
                f"{result['least'][1] * 1000:.3g}",
                BOUND,
                "lower",
                rounds,
            )
    assert child.returncode == 0, f"the measuring process ended with {child.returncode}"
