"""Renew the leases of calls to banks while they run, so that the leases of a dead process end soon.

A lease is the row's `attempts`: only who has the present number may write an outcome. A process
that stalls for longer than its lease loses it to another one, and then its writes change nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import structlog
from flask import Flask

from repository.bank_leases import BankLease
from repository.database import Work, in_unit_of_work

log = structlog.get_logger()

RENEW_SECONDS = 4.0
"""How often one process renews; a lease outlives two renewals that fail."""
_AT_ONCE = 500
"""Leases in one transaction."""


class LeaseKeeper:
    """The leases that this process holds, and one thread that renews them while there are any."""

    def __init__(self, app: Flask) -> None:
        """Nothing is held yet, so there is no thread."""
        self._app = app
        self._lock = threading.Lock()
        self._renewed_at: dict[BankLease, float] = {}
        """When each lease was acquired or renewed, by the monotonic clock."""
        self._is_running = False
        self._stopped = threading.Event()

    def hold(self, lease: BankLease) -> None:
        """Renew this lease from now on; the caller has just acquired it."""
        with self._lock:
            self._renewed_at[lease] = time.monotonic()
            if self._is_running or self._stopped.is_set():
                return
            self._is_running = True
        threading.Thread(target=self._run, name="bank-leases", daemon=True).start()

    def release(self, lease: BankLease) -> None:
        """Renew this lease no more."""
        with self._lock:
            self._renewed_at.pop(lease, None)

    @contextmanager
    def holding(self, lease: BankLease) -> Iterator[None]:
        """Hold the lease while the block runs."""
        self.hold(lease)
        try:
            yield
        finally:
            self.release(lease)

    def renew(self, older_than: float = 0.0) -> int:
        """Renew the leases of so many seconds of age; returns how many are still held.

        A lease that another process has acquired meanwhile stays lost.
        """
        before = time.monotonic() - older_than
        with self._lock:
            leases = [lease for lease, moment in self._renewed_at.items() if moment <= before]
        count = 0
        for start in range(0, len(leases), _AT_ONCE):
            part = leases[start : start + _AT_ONCE]
            moment = time.monotonic()
            with self._app.app_context():
                count += in_unit_of_work(partial(_renew, part))
            with self._lock:
                for lease in part:
                    if lease in self._renewed_at:
                        self._renewed_at[lease] = moment
        return count

    def stop(self) -> None:
        """Renew no lease any more: those that are still held end soon after the process."""
        self._stopped.set()

    def _run(self) -> None:
        while True:
            self._stopped.wait(RENEW_SECONDS)
            with self._lock:
                if not self._renewed_at or self._stopped.is_set():
                    self._is_running = False
                    return
            try:
                self.renew(RENEW_SECONDS / 2)
            except Exception:
                # The next round tries again; without this thread every long call would lose its
                # lease.
                log.exception("provider.leases_not_renewed")


def _renew(leases: Sequence[BankLease], work: Work) -> int:
    return work.bank_leases.renew(leases, work.now)
