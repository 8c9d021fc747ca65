"""Measure tricks in a separate process, under the hub of the service.

python -m benchmarks.tricks.child MODE FOLDER DATABASE_URL ROUNDS [WORDS]

Writes one JSON object per line: name, operation, and the seconds with and without the trick.
"""

from __future__ import annotations

import sys

from server import async_mode

if __name__ == "__main__":
    async_mode.patch(sys.argv[1])

import gc
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from pymysql.connections import Connection

from app import NEW_OBJECTS_BEFORE_COLLECTION
from benchmarks.in_process import Operation, Service, service
from benchmarks.tricks import commands, connections, pictures, reads, statements, web
from benchmarks.tricks.trick import Trick

_MODULES = (web, statements, commands, reads, connections, pictures)
TRICKS: list[Trick] = [trick for module in _MODULES for trick in module.TRICKS]
DISTANCE_SECONDS = 0.0005
"""The time of a round trip to a database on another machine in the same building."""


def measure(
    trick: Trick, operation: Operation, with_it: Service, without: Service, rounds: int
) -> dict[str, Any]:
    """Seconds with and without the trick, measured in turns; wall time if the trick is distant."""
    off = _unchanged if trick.is_built_in else trick.off
    clock = time.perf_counter if trick.is_distant else time.process_time
    seconds: tuple[list[float], list[float]] = ([], [])
    with _distant_database() if trick.is_distant else ExitStack():
        for number in range(-1, rounds):
            for is_off in (False, True) if number % 2 else (True, False):
                if is_off:
                    with off(without.app):
                        elapsed = operation.measure(without.app, clock)
                else:
                    elapsed = operation.measure(with_it.app, clock)
                if number >= 0:  # the first round fills the caches
                    seconds[is_off].append(elapsed)
    share = median(fast / plain for fast, plain in zip(*seconds, strict=True))
    plain = median(seconds[1])
    return {
        "name": f"{trick.where}: {trick.name}",
        "operation": operation.name,
        "with": plain * share,
        "without": plain,
        "least": [min(seconds[0]), min(seconds[1])],
        "clock": "wall" if trick.is_distant else "CPU",
    }


@contextmanager
def _unchanged(_app: Any) -> Iterator[None]:
    yield


@contextmanager
def _distant_database() -> Iterator[None]:
    """Delay each command to MySQL as if it ran on another machine."""
    send = Connection._execute_command  # type: ignore[attr-defined]

    def send_slowly(self: Any, *arguments: Any) -> Any:
        answer = send(self, *arguments)
        time.sleep(DISTANCE_SECONDS)
        return answer

    with patch.object(Connection, "_execute_command", send_slowly):
        yield


def main() -> None:
    """Measure the tricks whose place or name contains the words."""
    _, folder, url, rounds, *words = sys.argv[1:]
    with service(Path(folder), url) as ours:
        gc.collect()
        gc.freeze()
        gc.set_threshold(NEW_OBJECTS_BEFORE_COLLECTION, *gc.get_threshold()[1:])
        for trick in TRICKS:
            if not all(word in f"{trick.where}: {trick.name}" for word in words):
                continue
            with ExitStack() as stack:
                pair = ours, ours
                if trick.is_built_in:
                    own = stack.enter_context(service(Path(folder), url))
                    with trick.off(ours.app):
                        pair = own, stack.enter_context(service(Path(folder), url))
                for name in trick.operations:
                    operation = pair[1].operations()[name]
                    print(json.dumps(measure(trick, operation, *pair, int(rounds))), flush=True)


if __name__ == "__main__":
    main()
