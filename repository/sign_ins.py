"""Queries on sign-ins. Each change is conditional: of two concurrent changes one succeeds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.orm import Session

from db_models import SignIn
from repository.connections import rows_changed
from repository.paging import Keyset, Page

_NEWEST_FIRST = Keyset(SignIn.id, cursor=SignIn.public_id)


class SignIns:
    """Queries on sign_ins."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def insert(self, values: Mapping[str, Any]) -> None:
        """Store a new sign-in."""
        self._session.execute(insert(SignIn).values(**values))

    def find(self, public_id: str) -> SignIn | None:
        """The sign-in with this id, ended or not, or None."""
        query = select(SignIn).where(SignIn.public_id == public_id)
        return self._session.scalars(query).one_or_none()

    def rotate(self, public_id: str, old_id: str, new_id: str, now: datetime) -> bool:
        """Replace the refresh token; False if `old_id` is not the current token.

        If two requests present the same token, only one of them succeeds.
        """
        statement = (
            update(SignIn)
            .where(
                SignIn.public_id == public_id,
                SignIn.refresh_id == old_id,
                SignIn.ended_at.is_(None),
                SignIn.expires_at > now,
            )
            .values(refresh_id=new_id, previous_refresh_id=old_id, rotated_at=now, seen_at=now)
        )
        return rows_changed(self._session, statement) == 1

    def end(self, public_id: str, now: datetime, reason: str) -> bool:
        """End a sign-in and every token of its family; False if it had ended already."""
        statement = (
            update(SignIn)
            .where(SignIn.public_id == public_id, SignIn.ended_at.is_(None))
            .values(ended_at=now, end_reason=reason)
        )
        return rows_changed(self._session, statement) == 1

    def end_all(self, account_id: int, now: datetime, reason: str, but: str | None = None) -> int:
        """End every sign-in of an account except `but`; return how many were open.

        Those that have expired end as well: a clock that is set back must not open them again.
        """
        statement = update(SignIn).where(SignIn.account_id == account_id, SignIn.ended_at.is_(None))
        if but is not None:
            statement = statement.where(SignIn.public_id != but)
        end = statement.values(ended_at=now, end_reason=reason)
        open_ones = rows_changed(self._session, end.where(SignIn.expires_at > now))
        rows_changed(self._session, end)
        return open_ones

    def open_of(
        self, account_id: int, now: datetime, after: str | None, limit: int
    ) -> Page[SignIn]:
        """A page of an account's sign-ins that have not ended, newest first.

        Raises InvalidCursor.
        """
        own = SignIn.account_id == account_id
        query = select(SignIn).where(own, SignIn.ended_at.is_(None), SignIn.expires_at > now)
        return _NEWEST_FIRST.page(
            self._session, query, own, after=after, limit=limit, unknown_is_end=True
        )

    def forget_before(self, instant: datetime, limit: int) -> int:
        """Delete up to `limit` sign-ins that were over before the instant; return how many."""
        old = self._session.scalars(
            select(SignIn.id)
            .where(or_(SignIn.expires_at < instant, SignIn.ended_at < instant))
            .limit(limit)
        ).all()
        if not old:
            return 0
        return rows_changed(self._session, delete(SignIn).where(SignIn.id.in_(old)))
