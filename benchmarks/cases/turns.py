"""The same requests with and without turns: CPU time of a status poll and of a creation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.in_process import Environ, Service, environ, send_to, service
from benchmarks.report import Outcome, median

ROUNDS = 60
AT_ONCE = 20
CPU_BOUND = 1.05


def measure(folder: Path, database_url: str, rounds: int = ROUNDS) -> list[Outcome]:
    """Measure with both, in turns."""
    with service(folder, database_url) as running:
        return compare(running, rounds)


def compare(running: Service, rounds: int) -> list[Outcome]:
    """CPU time of a poll and of a creation, through the turns and around them."""
    through: Any = running.app.wsgi_app
    around: Any = through._application
    poll = [environ("GET", f"/payments/pix/{running.payment['id']}/status")] * AT_ONCE
    return [
        _compare("poll", through, around, lambda: poll, rounds),
        _compare("create", through, around, lambda: running.new_payments(AT_ONCE), rounds),
    ]


def _compare(
    name: str, through: Any, around: Any, requests: Callable[[], Sequence[Environ]], rounds: int
) -> Outcome:
    milliseconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            milliseconds[side].append(_cpu_ms((through, around)[side], requests()))
    times = median(milliseconds[0]), median(milliseconds[1])
    return Outcome(f"{name}, in turn / at once", *times, "ms of CPU", CPU_BOUND, "lower", rounds)


def _cpu_ms(application: Any, requests: Sequence[Environ]) -> float:
    """CPU milliseconds of one request."""
    start = time.process_time()
    for request in requests:
        assert send_to(application, dict(request)).status in (200, 201)
    return (time.process_time() - start) * 1000 / len(requests)
