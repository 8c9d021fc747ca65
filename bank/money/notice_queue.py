"""The claims and ends of the rows of an outbox, for each table of notices to the service.

A worker claims a notice by moving its `next_attempt_at` ahead with a conditional update. So two
workers never send the same notice at once, and a killed worker delays it by the lease only.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from sqlalchemy import ColumnElement, Update, and_, or_, select, update
from sqlalchemy.orm import Session

from bank.codes.http import ANSWER_TIMEOUT_SECONDS
from bank.models import NoticeColumns
from bank.money.notices import NoticeAnswer, NoticeVerdict
from bank.updates import rows_changed
from core.clock import Clock, latest_end

LEASE = timedelta(seconds=2 * ANSWER_TIMEOUT_SECONDS)
"""Longer than an attempt can take, so that it ends before another worker claims the notice."""

BATCH = 64
_DELAY_FIRST_SECONDS, _DELAY_MAX_SECONDS = 1.0, 60.0
RETRY_PAUSE_MAX = max(LEASE, timedelta(seconds=_DELAY_MAX_SECONDS))

Row = TypeVar("Row", bound=NoticeColumns)


class NoticeQueue(Generic[Row]):
    """Claims, postpones and ends the notices of one table, in its callers' transactions."""

    def __init__(self, table: type[Row], clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def due_ids(self, session: Session, limit: int = BATCH) -> Sequence[int]:
        """Ids of due notices, the oldest due time first."""
        query = select(self._table.id).where(self._is_due(self._clock.now()))
        return session.scalars(query.order_by(self._table.next_attempt_at).limit(limit)).all()

    def claim(self, session: Session, notice_id: int) -> Row | None:
        """Claim a due notice until the lease ends; None if another worker has it, or it ended."""
        now, table = self._clock.now(), self._table
        due_notice = update(table).where(table.id == notice_id, self._is_due(now))
        claim = due_notice.values(next_attempt_at=now + LEASE, attempts=table.attempts + 1)
        if rows_changed(session, claim) != 1:
            return None
        return session.get_one(table, notice_id)

    def postpone(
        self, session: Session, notice_id: int, attempts: int, answer: NoticeAnswer
    ) -> None:
        """Store an answer that decides nothing, and set the next attempt.

        A worker that claimed the notice later has raised `attempts`; its lease must stay.
        """
        wait = retry_delay(attempts, answer.retry_after_seconds)
        own_claim = self._open(notice_id).where(self._table.attempts == attempts)
        values = answer_columns(answer) | {"next_attempt_at": self._clock.now() + wait}
        session.execute(own_claim.values(**values))

    def end(self, session: Session, notice_id: int, answer: NoticeAnswer) -> bool:
        """End a notice with the answer's verdict. False if it had ended: the first end counts."""
        return self.end_as(session, self._open(notice_id), answer, answer.verdict)

    def end_as(
        self, session: Session, notice: Update, answer: NoticeAnswer, verdict: NoticeVerdict
    ) -> bool:
        """End the notice that this update names with a verdict of its own; False as in `end`."""
        values = answer_columns(answer) | {"done_at": self._clock.now(), "verdict": verdict.value}
        return rows_changed(session, notice.values(**values)) == 1

    def _open(self, notice_id: int) -> Update:
        return update(self._table).where(self._table.id == notice_id, self._table.done_at.is_(None))

    def _is_due(self, now: datetime) -> ColumnElement[bool]:
        """Whether a notice may be sent; also if the clock was set back since its pause was set."""
        end = self._table.next_attempt_at
        is_late = end > latest_end(now, RETRY_PAUSE_MAX)
        return and_(self._table.done_at.is_(None), or_(end <= now, is_late))


def answer_columns(answer: NoticeAnswer) -> dict[str, object]:
    """The columns of a notice that keep the service's last answer."""
    return {
        "answer_status": answer.status,
        "answer_code": answer.code,
        "answer_detail": answer.detail,
    }


def retry_delay(attempts: int, retry_after_seconds: int) -> timedelta:
    """The delay after this many attempts: exponential backoff with jitter, at most a minute.

    A longer Retry-After of the service is respected, up to the same minute.
    """
    step = min(_DELAY_FIRST_SECONDS * 2.0 ** min(attempts - 1, 16), _DELAY_MAX_SECONDS)
    delay = step * random.uniform(0.5, 1.0)  # noqa: S311 - jitter needs no secure randomness
    return timedelta(seconds=max(delay, min(retry_after_seconds, _DELAY_MAX_SECONDS)))
