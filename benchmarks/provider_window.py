"""Read a bank's list of 10,000 Pix: first all new, then all known; time and memory.

    python -m benchmarks.provider_window [number]

The bank is the stand-in of the tests, in a process of its own. The limits are 60 s and 150 MB of
memory beyond that of the process before.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import click
import sqlalchemy as sa

from core.clock import SystemClock
from db_models import Reconciliation
from payments.at_bank.walking import NEAR
from payments.at_bank.watching import MoneyWatch
from repository.database import unit_of_work
from tests.providers.bank_rows import BankRows
from tests.providers.stand_in import PIX_KEY, StandInBank
from tests.support.service import close_app, ready_app, resident_bytes, settings_for

NUMBER = 10_000
STOP_SECONDS = 300
MEBIBYTE = 1024 * 1024


def serve(number: int, pipe: Connection) -> None:
    """Run the bank until the pipe says something."""
    with StandInBank() as bank:
        moment = datetime.now(UTC)
        for place in range(number):
            bank.book.receive(PIX_KEY, 100 + place, moment - timedelta(seconds=place % 3000))
        pipe.send((bank.overrides(), bank.secrets()))
        pipe.recv()


def main(number: int) -> None:
    """Measure both walks and print one line for each."""
    near, far = multiprocessing.Pipe()
    bank = multiprocessing.get_context("spawn").Process(target=serve, args=(number, far))
    bank.start()
    overrides, secrets = near.recv()
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_for(f"sqlite:///{folder}/window.db", Path(folder), log_level="error")
        app = ready_app(settings, SystemClock())
        try:
            for name in ("all new", "all known"):
                measure(name, BankRows(app, SystemClock()), overrides, secrets)
        finally:
            close_app(app)
            near.send("stop")
            bank.join()


def measure(name: str, rows: BankRows, overrides: dict[str, Any], secrets: Any) -> None:
    """Let a new process's watch read the list; the account is created an hour ago."""
    with rows.app.app_context():
        vault = rows.app.extensions["balcao"].provider_clients.vault
    begun = datetime.now(UTC) - timedelta(hours=1)
    existing = [row.provider_account_id or 0 for row in rows.receipts()[:1]]
    values = {"overrides": overrides, "pix_key": PIX_KEY, "sealed": vault.seal(secrets)}
    account = existing[0] if existing else rows.account(created_at=begun, **values)
    if existing:
        rewind(rows, account, begun)
    watch = MoneyWatch(rows.app)
    before, started = resident_bytes(multiprocessing.current_process().pid or 0), time.monotonic()
    peak, visits = before, 0
    while time.monotonic() < started + STOP_SECONDS:
        with rows.app.app_context():
            visits += watch.visit(account)
        peak = max(peak, resident_bytes(multiprocessing.current_process().pid or 0))
        if account not in watch.unfinished and visits:
            break
        time.sleep(0.5)
    seconds, grown = time.monotonic() - started, (peak - before) / MEBIBYTE
    number = len(rows.receipts())
    click.echo(f"{name}: {number} receipts, {seconds:.1f} s, {visits} visits, +{grown:.0f} MiB")


def rewind(rows: BankRows, account: int, to: datetime) -> None:
    """Set the marks back, so that everything is listed again."""
    with rows.app.app_context(), unit_of_work() as work:
        near = Reconciliation.name == NEAR.row_of(account)
        values = {"walked_to": to, "window_to": None, "cursor": None}
        work.connection.execute(sa.update(Reconciliation).where(near).values(**values))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else NUMBER)
