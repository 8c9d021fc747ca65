"""The sweep: store and announce the expiry of payments whose deadline has passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from core.errors import ConcurrentUpdate, DatabaseUnavailable
from db_models import ChargeKind, Payment
from payments import lifecycle, snapshots
from payments.recurring import charge_steps
from repository.database import Work, in_unit_of_work, ledger, now, reading
from repository.events import StoredEvent

log = structlog.get_logger()

BATCH = 200
BATCHES_MAX = 20  # A run must end before the next; the rest waits for that run, a second later.


@dataclass
class Sweep:
    """One process's sweep. Any number may run at once: a conditional update decides each row.

    After a start, and after the database was unavailable, a sweep waits for `grace`, so that
    confirmations that are queued at the bank arrive before their payments are announced as expired.
    """

    grace: timedelta
    not_before: datetime

    @classmethod
    def starting_at(cls, instant: datetime, grace: timedelta) -> Sweep:
        """A sweep whose first grace begins at `instant`."""
        return cls(grace, instant + grace)

    def move(self, jump: timedelta) -> None:
        """Move the end of the first grace with the wall clock, which someone has set."""
        self.not_before += jump

    def run(self, keep_going: Callable[[], bool] = lambda: True) -> int:
        """Expire due payments in bounded batches; returns how many this process expired."""
        if now() < self._not_before():
            return 0
        expired = 0
        try:
            for _ in range(BATCHES_MAX):
                due_count, won = expire_batch(BATCH)
                expired += won
                if due_count < BATCH or not keep_going():
                    break
        except ConcurrentUpdate:
            log.info("sweep.contended", expired=expired)
        except DatabaseUnavailable:
            log.warning("sweep.database_unavailable")
        if expired:
            log.info("sweep.expired", payments=expired)
        return expired

    def _not_before(self) -> datetime:
        """The earliest time to run: the bank retries what it could not deliver during an outage."""
        lost_at = ledger().lost_at
        return self.not_before if lost_at is None else max(self.not_before, lost_at + self.grace)


def expire_batch(limit: int) -> tuple[int, int]:
    """Expire at most `limit` payments; returns how many were due and how many this call expired.

    Another process may expire some of the due payments first.
    """
    with reading() as work:
        ids = list(work.payments.ids_due(work.now, limit))
    if not ids:
        return 0, 0
    return len(ids), in_unit_of_work(lambda work: _expire(work, ids))


def _expire(work: Work, ids: list[int]) -> int:
    won = work.payments.lock_due(ids, work.now)
    if not won:
        return 0
    # Given the class, the rule returns SQL expressions: one statement expires the whole batch.
    values = lifecycle.expire(Payment).values
    if work.payments.change_due([payment.id for payment in won], work.now, values) != len(won):
        raise ConcurrentUpdate  # SQLite has no row locks: the unit of work starts again.
    work.record_many([_expiry_event(payment, work.now) for payment in won])
    recurring = [payment.id for payment in won if payment.charge_kind == ChargeKind.COBR]
    if recurring:
        for record in work.recurring_charges.by_payments(recurring).values():
            charge_steps.expire(work, record)
    return len(won)


def _expiry_event(payment: Payment, at: datetime) -> StoredEvent:
    change = lifecycle.expire(payment)
    return StoredEvent(
        name=change.event,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        txid=payment.txid,
        status=str(change.values["status"]),
        sequence=change.values["sequence"],
        occurred_at=at,
        message=change.message,
        state=snapshots.of_payment(payment, change.values),
    )
