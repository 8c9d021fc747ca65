"""The loop of jobs that change one row after another, each in a unit of work of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import structlog

from core.errors import ConcurrentUpdate, DatabaseUnavailable
from repository.database import Work, in_unit_of_work

log = structlog.get_logger()
Row = TypeVar("Row", int, str)


def change_each(
    job: str,
    rows: Iterable[Row],
    change: Callable[[Work, Row], bool],
    keep_going: Callable[[], bool],
) -> int:
    """Call `change` for each row, named by an id; returns how many calls returned True.

    A row that fails stays due, and does not stop the others. Raises DatabaseUnavailable.
    """
    changed = 0
    for row in rows:
        if not keep_going():
            break
        changed += _change_one(job, row, change)
    return changed


def _change_one(job: str, row: Row, change: Callable[[Work, Row], bool]) -> bool:
    try:
        return in_unit_of_work(lambda work: change(work, row))
    except DatabaseUnavailable:
        raise
    except ConcurrentUpdate:
        log.info("job.row_contended", job=job, row=row)
    except Exception:
        log.exception("job.row_failed", job=job, row=row)
    return False
