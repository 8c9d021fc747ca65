"""Queries on outgoing mail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from db_models import OutgoingMail
from repository.connections import rows_changed


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
        # A message that nobody has tried is due since it exists, even if the clock was set back.
        is_untried = and_(OutgoingMail.next_try_at.is_not(None), OutgoingMail.tries == 0)
        is_due = or_(OutgoingMail.next_try_at <= now, is_untried)
        query = select(OutgoingMail).where(is_due)
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
