"""The delay from a change to a good receiver in a large storm (`tests/faults/webhook_storm.py`).

Two processes serve one MariaDB; one process is killed, and the database stops for 20 seconds.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.report import Outcome, percentile
from tests.faults.webhook_storm import StormReport, StormSize, WebhookStorm, open_shops
from tests.support.databases import create_database
from tests.support.servers import PRIVATE_SERVERS
from tests.support.service import ServiceProcess

SIZE = StormSize(payments=1000, events_per_second=30, stop_seconds=20)
HANGING_SECONDS = 20
GOAL_MS = 1000.0
"""For the 99th percentile of events that the stop did not touch."""


def measure(folder: Path, _database_url: str, rounds: int = 1) -> list[Outcome]:
    """Run one storm on a server of its own, print what the good receiver saw, and check it."""
    with (
        PRIVATE_SERVERS["mysql"]() as server,
        open_shops(HANGING_SECONDS) as shops,
    ):
        url = create_database(server.url)
        with (
            ServiceProcess(folder / "one", is_first_start=True, DATABASE_URL=url) as one,
            ServiceProcess(folder / "other", DATABASE_URL=url) as other,
        ):
            report = WebhookStorm(SIZE, one, other, server, shops).run()
    print_report(report)
    report.check()
    quiet = percentile(report.quiet_delays, 0.99) * 1000
    note = f"the bare column is the goal; {report.repeated} repeated, {report.lost} lost"
    return [
        Outcome("storm of webhooks, p99", quiet, GOAL_MS, "ms", 1.0, "lower", rounds, note),
    ]


def print_report(report: StormReport) -> None:
    """Print delays, repetitions, losses and order."""
    for what, delays in (("outside of the stop", report.quiet_delays), ("all", report.delays)):
        p50, p99 = percentile(delays, 0.5), percentile(delays, 0.99)
        numbers = f"p50 {p50:.3f} s, p99 {p99:.3f} s, longest {max(delays):.3f} s"
        print(f"{len(delays)} events {what}: {numbers}")
    print(f"database away for {report.stop_seconds:.1f} s")
    print(
        f"{report.repeated} repeated, {report.lost} lost, {report.out_of_order} out of order, "
        f"requests {dict(report.attempts)}"
    )
