"""Deletion of test halves' old data, by a job in production (docs/decisions/0084)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog

from config import Settings
from core.errors import ConcurrentUpdate
from repository.database import Work, in_unit_of_work, now, reading
from repository.old_test_rows import KINDS, OldTestRows

log = structlog.get_logger()

BATCH = 100
"""Payments, or rows of another kind, per transaction, each with all that refers to it."""
BATCHES_PER_HALF_MAX = 200
"""So that a test half with a flood of payments leaves the run to others."""
BATCHES_MAX = 1000
"""Transactions per run, so that a run ends."""
_HALVES_AT_ONCE = 500


class OldDataDeletion:
    """Delete what is older than TEST_DATA_DAYS; a run goes on where the run before it ended."""

    def __init__(self, settings: Settings) -> None:
        self._age = timedelta(days=settings.test_data_days)
        self._after_id = 0
        self._batches = 0

    def run(self, keep_going: Callable[[], bool]) -> int:
        """Delete in small transactions; return the number of rows."""
        before, total, self._batches = now() - self._age, 0, 0
        while keep_going() and self._batches < BATCHES_MAX:
            with reading() as work:
                rows = OldTestRows(work.session, work.now, before)
                halves = rows.next_halves(self._after_id, _HALVES_AT_ONCE)
            for half in halves:
                if not keep_going() or self._batches >= BATCHES_MAX:
                    break
                total += self._delete_in(half, before, keep_going)
                self._after_id = half
            else:
                if len(halves) < _HALVES_AT_ONCE:
                    self._after_id = 0
                    break
        if total:
            log.info("test-data.deleted", rows=total)
        return total

    def _delete_in(self, half: int, before: datetime, keep_going: Callable[[], bool]) -> int:
        total, last = 0, self._batches + BATCHES_PER_HALF_MAX
        for kind in KINDS:
            while keep_going() and self._batches < min(last, BATCHES_MAX):
                with reading() as work:
                    ids = OldTestRows(work.session, work.now, before).find(kind, half, BATCH)
                if not ids:
                    break
                self._batches += 1
                delete = partial(_delete, kind=kind, half=half, ids=ids, before=before)
                try:
                    deleted = in_unit_of_work(delete)
                except ConcurrentUpdate:
                    log.warning("test-data.postponed", kind=kind, account=half)
                    break
                if deleted == 0:
                    break
                total += deleted
        return total


def _delete(work: Work, kind: str, half: int, ids: Sequence[int], before: datetime) -> int:
    return OldTestRows(work.session, work.now, before).delete(kind, half, ids)
