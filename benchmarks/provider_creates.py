"""How long creations at a real bank take.

Run `python -m benchmarks.provider_creates`: a service as a process, SQLite, and a stand-in bank
that answers each call after 50 ms. Prints the time of 100 creations at once with one account.
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import urllib3

from tests.db.tables import Tables
from tests.providers.at_stand_in import enrol
from tests.providers.stand_in import Fault, StandInBank
from tests.support.service import ServiceProcess

BANK_SECONDS = 0.05
AT_ONCE = 100

_pool = urllib3.PoolManager(maxsize=AT_ONCE, retries=False, timeout=60)


def create(service: ServiceProcess) -> int:
    """Create a payment; returns the status."""
    answer = _pool.request("POST", f"{service.url}/payments/pix", json={"value": "54.90"})
    return answer.status


def crowd(service: ServiceProcess) -> float:
    """The seconds that AT_ONCE creations at once take; all must succeed."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        begin = time.perf_counter()
        statuses = set(threads.map(create, [service] * AT_ONCE))
        seconds = time.perf_counter() - begin
    if statuses != {201}:
        click.echo(f"unexpected statuses: {statuses}")
    return seconds


def main() -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder, StandInBank() as bank:
        url = f"sqlite:///{folder}/bench.db"
        with ServiceProcess(Path(folder), DATABASE_URL=url) as service:
            tables = Tables(url)
            service.kill()
            enrol(tables, bank)
            service.start()
            bank.faults.append(Fault("*", "delay", count=10**9, seconds=BANK_SECONDS))
            create(service)
            for _ in range(3):
                click.echo(f"{AT_ONCE} creations at once: {crowd(service):.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
