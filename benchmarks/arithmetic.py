"""What 1,000 payments a second and 1,000,000 watchers need, by the figures of one measured process.

The arithmetic multiplies; it knows no limit of a database, a network or a lock. `capacity` compares
a model with a measurement where that is possible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.report import median

PAYMENTS_PER_SECOND = 1_000
WATCHERS = 1_000_000
BUSY_MAX = 0.6
"""The share of a core that a process should use: waiting grows fast above it."""
SOCKETS_PER_PROCESS = 10_000
"""Half of CONNECTIONS_MAX, because a process takes over the clients of one that has ended."""
JOURNEY_SECONDS = 60
STATEMENTS_WRITTEN = 5
"""Rows that a paid payment writes: payment, two events, its change, receipt."""
REDIS_MESSAGES = 2
"""Published for a payment that is created and confirmed; each process receives each."""


@dataclass(frozen=True)
class Needs:
    """What these many payments and watchers need."""

    service_cores: float
    database_cores: float
    processes: int
    watcher_gib: float
    idle_cores: float
    requests_per_second: float
    rows_per_second: int
    messages_per_second: int


def needs(results: Mapping[str, Any]) -> Needs:
    """By the medians of these results."""
    own = results["journey"]["subjects"]["service"]
    cpu, database, requests = (
        median([round_[field] or 0.0 for round_ in own])
        for field in ("cpu_ms", "database_cpu_ms", "requests")
    )
    live = results["live"]
    # The waiting of a journey is in its CPU already; the other watchers wait longer.
    waiting = max(0, WATCHERS - PAYMENTS_PER_SECOND * JOURNEY_SECONDS)
    idle_cores = median(live["idle_us_per_second"]["service"]) * waiting / 1_000_000
    service_cores = PAYMENTS_PER_SECOND * cpu / 1000
    by_cpu = (service_cores + idle_cores) / BUSY_MAX
    processes = max(by_cpu, WATCHERS / SOCKETS_PER_PROCESS)
    return Needs(
        service_cores,
        PAYMENTS_PER_SECOND * database / 1000,
        round(processes + 0.5),
        live["kib_each"]["service"] * WATCHERS / 1024 / 1024,
        idle_cores,
        PAYMENTS_PER_SECOND * requests,
        PAYMENTS_PER_SECOND * STATEMENTS_WRITTEN,
        PAYMENTS_PER_SECOND * REDIS_MESSAGES,
    )


def table(results: Mapping[str, Any]) -> str:
    """The needs as a table of a document."""
    one = needs(results)
    received = one.messages_per_second * one.processes
    rows = [
        ("CPU of journeys", f"{one.service_cores:.0f} cores"),
        ("CPU of the other watchers' pings", f"{one.idle_cores:.1f} cores"),
        ("CPU of the database", f"{one.database_cores:.0f} cores"),
        (
            f"processes, at {BUSY_MAX:.0%} of a core and {SOCKETS_PER_PROCESS:,} sockets each",
            f"{one.processes}",
        ),
        ("memory of the watchers", f"{one.watcher_gib:.0f} GiB"),
        ("HTTP requests", f"{one.requests_per_second:,.0f} per second"),
        ("rows written", f"{one.rows_per_second:,} per second"),
        ("Redis messages published", f"{one.messages_per_second:,} per second"),
        ("Redis messages received by all processes", f"{received:,} per second"),
    ]
    lines = [f"| {name} | {value} |" for name, value in rows]
    return "\n".join(["| Need | Figure |", "| --- | --- |", *lines])
