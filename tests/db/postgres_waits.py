"""Statements that wait, in a process of a hub: what each raised, and whether other work went on.

    python -m tests.db.postgres_waits MODE DATABASE_URL SILENT_PORT

The module patches the hub, so it is imported first. It writes JSON to standard output.
"""

from __future__ import annotations

import sys

from server import async_mode

if __name__ == "__main__":
    async_mode.patch(sys.argv[1])

import gc
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from core.runtime.hub import active_hub
from repository.driver_errors import is_away
from repository.hosts import use_hosts

TICK_SECONDS = 0.01
BIG = 20_000_000
STEADY = "SELECT pg_sleep(0.3), repeat('x', 200000) FROM generate_series(1, 6)"
"""Six rows, each larger than what the server gathers before it sends."""


def watched(work: Callable[[], object]) -> dict[str, Any]:
    """Run the work in a thread of the hub; measure the longest pause of this one meanwhile."""
    outcome: dict[str, Any] = {"error": None, "is_away": None, "result": None}

    def run() -> None:
        try:
            outcome["result"] = work()
        except sa.exc.DBAPIError as error:
            outcome["error"] = type(error.orig).__name__
            outcome["is_away"] = is_away(error)

    thread = threading.Thread(target=run)
    began = last = time.monotonic()
    longest = 0.0
    thread.start()
    while thread.is_alive():
        time.sleep(TICK_SECONDS)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    thread.join()
    return {**outcome, "seconds": last - began, "pause": longest}


def engine_for(url: sa.URL, **options: Any) -> sa.Engine:
    """An engine with one connection of the service's kind."""
    engine = sa.create_engine(url, pool_size=1, max_overflow=0, connect_args=options)
    use_hosts(engine)
    return engine


def beside_lost_connections(url: sa.URL) -> list[int]:
    """The answers of statements that wait while other connections of their pool are closed.

    A socket that is closed under a greenlet that waits for it gets its number again with the next
    connection, and eventlet then refuses that connection's greenlet, or wakes the wrong one.
    """
    engine = sa.create_engine(url, pool_size=8, max_overflow=0)
    use_hosts(engine)
    results: list[int] = []

    def ask(number: int, seconds: float) -> None:
        with engine.connect() as connection:
            query = sa.text("SELECT CAST(:number AS integer) FROM pg_sleep(:seconds)")
            results.append(connection.scalar(query, {"number": number, "seconds": seconds}))

    def run(numbers: range, seconds: float) -> list[threading.Thread]:
        threads = [threading.Thread(target=ask, args=(one, seconds)) for one in numbers]
        for thread in threads:
            thread.start()
        return threads

    first_ones = run(range(3), 1.5)
    time.sleep(0.3)
    with engine.connect() as invalid:
        invalid.scalar(sa.text("SELECT 1"))
        invalid.invalidate()
    with suppress(sa.exc.DBAPIError), engine.connect() as lost:  # replaces the whole pool
        lost.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))
    engine.dispose()
    del lost, invalid
    gc.collect()
    for thread in [*first_ones, *run(range(3, 8), 0.3)]:
        thread.join()
    engine.dispose()
    return sorted(results)


def main() -> None:
    """Run each case."""
    url, silent_port = sa.make_url(sys.argv[2]), int(sys.argv[3])
    engine = engine_for(url)
    hasty = engine_for(url, read_timeout=1)
    silent = engine_for(url.set(host="127.0.0.1", port=silent_port), connect_timeout=2)

    def ask(one: sa.Engine, statement: str, **values: Any) -> Any:
        with one.connect() as connection:
            return connection.scalar(sa.text(statement), values)

    def end_itself() -> None:
        with engine.connect() as connection:
            number = connection.scalar(sa.text("SELECT pg_backend_pid()"))
            end = sa.text(f"SELECT pg_terminate_backend({number})")
            threading.Timer(0.3, lambda: ask(hasty, str(end))).start()
            connection.execute(sa.text("SELECT pg_sleep(20)"))

    def read_all(one: sa.Engine, statement: str) -> int:
        with one.connect() as connection:
            return len(connection.execute(sa.text(statement)).all())

    ask(engine, "SELECT 1")
    length = "SELECT length(CAST(:text AS text))"
    results = {
        "slow": watched(lambda: ask(engine, "SELECT 1 FROM pg_sleep(1)")),
        "big": watched(lambda: ask(engine, length, text="x" * BIG)),
        "limit": watched(lambda: ask(hasty, "SELECT pg_sleep(20)")),
        "steady": watched(lambda: read_all(hasty, STEADY)),
        "beside": watched(lambda: beside_lost_connections(url)),
        "after the limit": watched(lambda: ask(hasty, "SELECT 7")),
        "terminated": watched(end_itself),
        "after the end": watched(lambda: ask(engine, "SELECT 8")),
        "silent": watched(lambda: ask(silent, "SELECT 1")),
    }
    sys.stdout.write(json.dumps({"hub": active_hub(), **results}))


if __name__ == "__main__":
    main()
