"""The payment page and its own files, compressed and plain: bytes on the wire and CPU time."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.in_process import BROWSER, Environ, Service, environ, send, service
from benchmarks.report import Outcome, median

ROUNDS = 60
AT_ONCE = 10
"""How often each address is asked within one round."""
BYTES_BOUND = 0.5
PAGE_MS_MAX, FILES_MS_MAX = 0.15, 0.05
"""How much CPU compression may cost, in milliseconds; files are compressed once."""

GZIP = {**BROWSER, "HTTP_ACCEPT_ENCODING": "gzip, deflate, br"}
_FILE = re.compile(rb'(?:href|src)="(/static/(?!vendor/)[^"]+\.(?:css|js)[^"]*)"')


def measure(folder: Path, database_url: str, rounds: int = ROUNDS) -> list[Outcome]:
    """Measure the page and its style sheets and scripts, with turns of both encodings."""
    with service(folder, database_url) as running:
        return compare(running, rounds)


def compare(running: Service, rounds: int) -> list[Outcome]:
    """Bytes and CPU time of the page, then of its files together."""
    page = f"/payments/pix/{running.payment['id']}"
    html = send(running.app, _get(page, BROWSER)).body
    files = [path.decode() for path in _FILE.findall(html)]
    return [
        *_compare_paths(running, "payment page", [page], rounds, PAGE_MS_MAX),
        *_compare_paths(running, f"its {len(files)} own files", files, rounds, FILES_MS_MAX),
    ]


def _compare_paths(
    running: Service, name: str, paths: Sequence[str], rounds: int, ms_max: float
) -> list[Outcome]:
    milliseconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 == 0 else (1, 0):
            milliseconds[side].append(_cpu_ms(running, paths, (GZIP, BROWSER)[side]))
    sizes = _bytes(running, paths, GZIP), _bytes(running, paths, BROWSER)
    times = median(milliseconds[0]), median(milliseconds[1])
    cost = times[0] - times[1]
    return [
        Outcome(f"{name}, gzip / plain", *sizes, "bytes", BYTES_BOUND, "lower", rounds),
        Outcome(f"{name}, gzip / plain", *times, "ms of CPU", None, "lower", rounds),
        Outcome(f"{name}, cost of gzip / limit", cost, ms_max, "ms of CPU", 1.0, "lower", rounds),
    ]


def _bytes(running: Service, paths: Sequence[str], headers: dict[str, str]) -> int:
    answers = [send(running.app, _get(path, headers)) for path in paths]
    assert {answer.status for answer in answers} == {200}
    # Texts of less than a packet are sent as they are.
    are_compressed = any(("Content-Encoding", "gzip") in answer.headers for answer in answers)
    assert are_compressed == (headers is GZIP)
    return sum(len(answer.body) for answer in answers)


def _cpu_ms(running: Service, paths: Sequence[str], headers: dict[str, str]) -> float:
    """CPU milliseconds for all paths once."""
    environs = [_get(path, headers) for _ in range(AT_ONCE) for path in paths]
    start = time.process_time()
    for request in environs:
        send(running.app, request)
    return (time.process_time() - start) * 1000 / AT_ONCE


def _get(path: str, headers: dict[str, str]) -> Environ:
    return environ("GET", path, headers)
