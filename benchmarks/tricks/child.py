"""Measures tricks in a process of its own, under the hub that the service serves with.

python -m benchmarks.tricks.child MODE FOLDER DATABASE_URL ROUNDS [WORDS]

Writes one JSON object a line: name, operation, and the seconds with and without the trick.
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

from benchmarks.in_process import Operation, Service, service
from benchmarks.tricks import database as data
from benchmarks.tricks import pictures, web
from benchmarks.tricks.trick import Trick

TRICKS: list[Trick] = [*web.TRICKS, *data.TRICKS, *pictures.TRICKS]
DISTANCE_SECONDS = 0.0005
"""A round trip to a database on another machine of the same building."""


def measured(
    trick: Trick, operation: Operation, with_it: Service, without: Service, rounds: int
) -> dict[str, Any]:
    """Seconds with and without, in turns; by the processor's clock, or by the wall's if told so."""
    off = _as_it_is if trick.is_built_in else trick.off
    by = time.perf_counter if trick.is_distant else time.process_time
    taken: tuple[list[float], list[float]] = ([], [])
    with _database_away() if trick.is_distant else ExitStack():
        for number in range(-1, rounds):
            for is_off in (False, True) if number % 2 else (True, False):
                if is_off:
                    with off(without.app):
                        spent = operation.spent(without.app, by)
                else:
                    spent = operation.spent(with_it.app, by)
                if number >= 0:  # the first is for caches
                    taken[is_off].append(spent)
    share = median(one / other for one, other in zip(*taken, strict=True))
    plain = median(taken[1])
    return {
        "name": f"{trick.where}: {trick.name}",
        "operation": operation.name,
        "with": plain * share,
        "without": plain,
        "least": [min(taken[0]), min(taken[1])],
        "clock": "wall" if trick.is_distant else "CPU",
    }


@contextmanager
def _as_it_is(_app: Any) -> Iterator[None]:
    yield


@contextmanager
def _database_away() -> Iterator[None]:
    """Each command to MySQL takes as long as on another machine."""
    send = Connection._execute_command  # type: ignore[attr-defined]

    def sent(self: Any, *arguments: Any) -> Any:
        answer = send(self, *arguments)
        time.sleep(DISTANCE_SECONDS)
        return answer

    with patch.object(Connection, "_execute_command", sent):
        yield


def main() -> None:
    """Measure those whose place or name has the words in it."""
    _, folder, url, rounds, *words = sys.argv[1:]
    with service(Path(folder), url) as ours:
        gc.collect()
        gc.freeze()
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
                    print(json.dumps(measured(trick, operation, *pair, int(rounds))), flush=True)


if __name__ == "__main__":
    main()
