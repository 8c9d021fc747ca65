"""The sweep: writes down, and so announces, the payments whose deadline has passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from core.errors import ConcurrentUpdate, DatabaseUnavailable
from db_models import Payment
from payments import lifecycle
from repository.database import Work, in_unit_of_work, ledger, now, reading
from repository.events import Recorded

log = structlog.get_logger()

BATCH = 200
BATCHES_MAX = 20  # a run ends in time for the next; what is left waits a second


@dataclass
class Sweep:
    """One process's sweep. Any number may run at once: a conditional update decides each row.

    After a start, and after the database was away, it waits a grace first, so that confirmations
    queued at the bank meanwhile are heard before anything is announced as expired.
    """

    grace: timedelta
    not_before: datetime

    @classmethod
    def starting_at(cls, instant: datetime, grace: timedelta) -> Sweep:
        """A sweep whose first grace begins at this instant."""
        return cls(grace, instant + grace)

    def run(self, keep_going: Callable[[], bool] = lambda: True) -> int:
        """Expire what is due, in bounded batches; gives how many rows this process won."""
        if now() < self._not_before():
            return 0
        expired = 0
        try:
            for _ in range(BATCHES_MAX):
                found, won = expire_batch(BATCH)
                expired += won
                if found < BATCH or not keep_going():
                    break
        except ConcurrentUpdate:
            log.info("sweep.contended", expired=expired)
        except DatabaseUnavailable:
            log.warning("sweep.database_unavailable")
        if expired:
            log.info("sweep.expired", payments=expired)
        return expired

    def _not_before(self) -> datetime:
        """When it may run: whoever found the database away, a bank may have been sent off."""
        lost_at = ledger().lost_at
        return self.not_before if lost_at is None else max(self.not_before, lost_at + self.grace)


def expire_batch(limit: int) -> tuple[int, int]:
    """Expire at most `limit` due payments; gives how many were found and how many were won."""
    with reading() as work:
        ids = list(work.payments.ids_due(work.now, limit))
    if not ids:
        return 0, 0
    return len(ids), in_unit_of_work(lambda work: _expire(work, ids))


def _expire(work: Work, ids: list[int]) -> int:
    won = work.payments.lock_due(ids, work.now)
    if not won:
        return 0
    # The rule reads the columns of the table here, so one statement expires the whole batch.
    values = lifecycle.expire(Payment).values
    if work.payments.change_due([payment.id for payment in won], work.now, values) != len(won):
        raise ConcurrentUpdate  # an engine without row locks: the unit starts again
    work.record_many([_expired(payment, work.now) for payment in won])
    return len(won)


def _expired(payment: Payment, at: datetime) -> Recorded:
    change = lifecycle.expire(payment)
    return Recorded(
        name=change.event,
        payment_id=payment.id,
        merchant_id=payment.merchant_id,
        txid=payment.txid,
        status=str(change.values["status"]),
        sequence=change.values["sequence"],
        occurred_at=at,
        message=change.message,
    )
