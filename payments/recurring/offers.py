"""The end of offers that nobody has accepted in time.

The row decides, as for every change of a recurrence: an offer can be accepted until the job has
stored its expiry, and an acceptance that comes later is refused.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from core.pix.business_days import brasilia_day
from core.pix.recurrence_rules import last_day_to_accept
from db_models import RecurrenceStatus
from payments.recurring import recurrences
from payments.recurring.row_jobs import change_each
from repository.database import Work, reading

log = structlog.get_logger()

BATCH = 100


def run(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Expire one batch of offers that are over; returns how many this process expired.

    Any number of processes may run it: a conditional update decides each row.
    """
    with reading() as work:
        every_id = work.recurrences.ids_of_old_offers(brasilia_day(work.now), BATCH)
    expired = change_each("offers", every_id, _expire, keep_going)
    if expired:
        log.info("offers.expired", recurrences=expired)
    return expired


def _expire(work: Work, id_rec: str) -> bool:
    """Expire the offer; False if it was accepted or prolonged meanwhile, or has ended."""
    record = work.recurrences.by_id_rec(id_rec)
    if record is None or record.recurrence.status != RecurrenceStatus.CREATED:
        return False
    recurrence = record.recurrence
    end = last_day_to_accept(recurrence.first_day, recurrence.last_day)
    if brasilia_day(work.now) <= end:
        return False
    recurrences.expire(work, record)
    return True
