"""Every optimisation of docs/performance.md against the plain form in its place."""

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
"""What gains less than a twentieth of its request is not worth a reader's time."""
MODE = "eventlet"


PARTS = {
    "loading": ("app.py: the collector rests while the service loads", "s of CPU"),
    "pauses": ("app.py main: what was loaded is frozen; longest collection", "s of CPU"),
    "memory": ("core/runtime/memory.py: large blocks are given back", "MB kept after 16 pictures"),
    "hashing": ("core/runtime/offload.py: hashing takes turns", "MB at most, 100 at once"),
}
"""Of `benchmarks.tricks.process`."""
ROUNDS_OF_PARTS_MAX = 5


def measure(
    folder: Path, database_url: str, rounds: int = ROUNDS, words: Sequence[str] = ()
) -> list[Outcome]:
    """A request with each trick and without it, and a process; of tricks that have the words."""
    arguments = [MODE, str(folder), database_url, str(rounds), *words]
    outcomes = list(_requests(arguments, rounds))
    for part, (name, unit) in PARTS.items():
        if all(word in name for word in words):
            outcomes.append(_process(part, name, unit, min(rounds, ROUNDS_OF_PARTS_MAX)))
    return outcomes


def _process(part: str, name: str, unit: str, rounds: int) -> Outcome:
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for is_on in (1, 0):
            run = subprocess.run(
                [sys.executable, "-m", "benchmarks.tricks.process", part, str(is_on)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=True,
            )
            taken[1 - is_on].append(float(run.stdout))
    ours, plain = median(taken[0]), median(taken[1])
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
            found = json.loads(line)
            print(line, end="", file=sys.stderr)
            yield Outcome(
                f"{found['operation']}: {found['name']}",
                found["with"] * 1000,
                found["without"] * 1000,
                f"ms, {found['clock']}; least {found['least'][0] * 1000:.3g} and "
                f"{found['least'][1] * 1000:.3g}",
                BOUND,
                "lower",
                rounds,
            )
    assert child.returncode == 0, f"the measuring process ended with {child.returncode}"
