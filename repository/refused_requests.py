"""Queries on refused requests."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from db_models import Account, ApiKey, RefusedRequest
from db_models.account import MERCHANT
from repository.connections import rows_changed


class RefusedRequests:
    """Queries on refused requests."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def key_owners(self, key_sha256s: Collection[str]) -> dict[str, tuple[int, int]]:
        """The merchant's and the key's row ids by SHA-256, also of revoked keys."""
        if not key_sha256s:
            return {}
        query = (
            select(ApiKey.key_sha256, ApiKey.account_id, ApiKey.id)
            .join(Account, Account.id == ApiKey.account_id)
            .where(ApiKey.key_sha256.in_(key_sha256s), Account.role == MERCHANT)
        )
        rows = self._session.execute(query).all()
        return {sha256: (account_id, key_id) for sha256, account_id, key_id in rows}

    def merchant_ids(self, public_ids: Collection[str]) -> dict[str, int]:
        """The merchants' row ids by public id."""
        if not public_ids:
            return {}
        query = select(Account.public_id, Account.id).where(
            Account.public_id.in_(public_ids), Account.role == MERCHANT
        )
        return {row[0]: row[1] for row in self._session.execute(query).all()}

    def insert_many(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store rows; the oldest first, because their order is that of the list."""
        self._session.execute(insert(RefusedRequest).values([dict(row) for row in rows]))

    def trim(self, account_id: int, most: int) -> None:
        """Delete all but the newest `most` rows of an account."""
        own = RefusedRequest.account_id == account_id
        newest_first = select(RefusedRequest.id).where(own).order_by(RefusedRequest.id.desc())
        too_many = self._session.scalars(newest_first.offset(most).limit(1)).first()
        if too_many is not None:
            self._session.execute(delete(RefusedRequest).where(own, RefusedRequest.id <= too_many))

    def newest_of(
        self, account_id: int, since: datetime, limit: int
    ) -> list[tuple[RefusedRequest, ApiKey | None]]:
        """The account's rows since the instant, newest first, each with its API key."""
        query = (
            select(RefusedRequest, ApiKey)
            .outerjoin(ApiKey, ApiKey.id == RefusedRequest.key_id)
            .where(RefusedRequest.account_id == account_id, RefusedRequest.refused_at >= since)
            .order_by(RefusedRequest.id.desc())
            .limit(limit)
        )
        return [(row[0], row[1]) for row in self._session.execute(query).all()]

    def forget_before(self, instant: datetime, limit: int) -> int:
        """Delete up to `limit` rows older than the instant; return how many."""
        old = self._session.scalars(
            select(RefusedRequest.id)
            .where(RefusedRequest.refused_at < instant)
            .order_by(RefusedRequest.refused_at)
            .limit(limit)
        ).all()
        if not old:
            return 0
        return rows_changed(self._session, delete(RefusedRequest).where(RefusedRequest.id.in_(old)))
