"""Queries on the audit; none of them changes a row."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from db_models import Account, AuditEntry
from repository.connections import rows_changed
from repository.paging import Keyset, Page

NEWEST_FIRST = Keyset(AuditEntry.id, cursor=AuditEntry.public_id)


class Audit:
    """Queries on audit_entries."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def insert(self, values: Mapping[str, Any]) -> None:
        """Store a new entry."""
        self._session.execute(insert(AuditEntry).values(**values))

    def page(
        self,
        limit: int,
        *,
        account_id: int | None = None,
        action: str | None = None,
        after: str | None = None,
    ) -> Page[tuple[AuditEntry, str | None]]:
        """A page of entries with the login of their account, newest first. Raises InvalidCursor."""
        query = select(AuditEntry, Account.login).outerjoin(
            Account, Account.id == AuditEntry.account_id
        )
        scope = [] if account_id is None else [AuditEntry.account_id == account_id]
        if action is not None:
            query = query.where(AuditEntry.action == action)
        return NEWEST_FIRST.page(
            self._session,
            query.where(*scope),
            *scope,
            after=after,
            limit=limit,
            unknown_is_end=True,
        )

    def forget_before(self, instant: datetime, limit: int) -> int:
        """Delete up to `limit` entries older than the instant; return how many."""
        old = self._session.scalars(
            select(AuditEntry.id)
            .where(AuditEntry.occurred_at < instant)
            .order_by(AuditEntry.occurred_at)
            .limit(limit)
        ).all()
        if not old:
            return 0
        return rows_changed(self._session, delete(AuditEntry).where(AuditEntry.id.in_(old)))
