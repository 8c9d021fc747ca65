"""Queries on outgoing mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from db_models import OutgoingMail
from repository.connections import rows_changed
from repository.due import is_over, is_too_far

LEASE = timedelta(minutes=2)
"""How long one process may send a message alone; after a crash another process tries again."""
PAUSES = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=6),
)
"""The pauses between tries; after the last try the message is given up."""


class OutgoingMails:
    """Queries on outgoing mail."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def insert(self, values: Mapping[str, Any]) -> None:
        """Store a message that is due at once."""
        self._session.execute(insert(OutgoingMail).values(**values))

    def due(self, now: datetime, limit: int) -> Sequence[OutgoingMail]:
        """Messages that are due, the oldest due time first."""
        query = select(OutgoingMail).where(_is_due(now))
        ordered = query.order_by(OutgoingMail.next_try_at, OutgoingMail.id).limit(limit)
        return self._session.scalars(ordered).all()

    def acquire(self, mail: OutgoingMail, until: datetime) -> bool:
        """Acquire the lease to send this message; False if another process was first."""
        statement = update(OutgoingMail).where(
            OutgoingMail.id == mail.id, OutgoingMail.next_try_at == mail.next_try_at
        )
        values = {"next_try_at": until, "tries": OutgoingMail.tries + 1}
        return rows_changed(self._session, statement.values(**values)) == 1

    def finish(self, mail_id: int, values: Mapping[str, Any]) -> None:
        """Write the end of a message, and forget its text, which may hold a secret link."""
        statement = update(OutgoingMail).where(OutgoingMail.id == mail_id)
        self._session.execute(statement.values(next_try_at=None, body="", **values))

    def try_again(self, mail_id: int, at: datetime, error: str) -> None:
        """Write when to try the message again, and why it failed."""
        statement = update(OutgoingMail).where(OutgoingMail.id == mail_id)
        self._session.execute(statement.values(next_try_at=at, error=error))

    def waiting(self) -> int:
        """How many messages wait to be sent."""
        query = select(func.count()).where(OutgoingMail.next_try_at.is_not(None))
        return int(self._session.scalar(query.select_from(OutgoingMail)) or 0)

    def forget_before(self, instant: datetime, limit: int) -> int:
        """Delete up to `limit` messages older than the instant; return how many."""
        old = self._session.scalars(
            select(OutgoingMail.id)
            .where(OutgoingMail.created_at < instant)
            .order_by(OutgoingMail.created_at)
            .limit(limit)
        ).all()
        if not old:
            return 0
        return rows_changed(self._session, delete(OutgoingMail).where(OutgoingMail.id.in_(old)))


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Whether a message may be tried; also if the clock was set back since its last try."""
    end = OutgoingMail.next_try_at
    # Nobody has set a pause for a message that was never tried.
    is_untried = and_(end.is_not(None), OutgoingMail.tries == 0)
    # Each try has its own longest pause; after the last one there is only the lease.
    was_set_back = [
        and_(OutgoingMail.tries == tries, is_too_far(end, now, max(LEASE, pause)))
        for tries, pause in enumerate((*PAUSES, LEASE), start=1)
    ]
    return or_(is_over(end, now, PAUSES[-1]), is_untried, *was_set_back)
