"""Which sign-ins and API keys are still valid, asked for many open connections at once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from db_models import Account, ApiKey, SignIn


class Credentials:
    """Queries on the sign-ins and keys of open connections."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def open_sign_ins(self, public_ids: Collection[str], now: datetime) -> set[str]:
        """The sign-ins among these that have not ended and whose accounts are not disabled."""
        if not public_ids:
            return set()
        query = (
            select(SignIn.public_id)
            .join(Account, Account.id == SignIn.account_id)
            .where(
                SignIn.public_id.in_(public_ids),
                SignIn.ended_at.is_(None),
                SignIn.expires_at > now,
                Account.disabled_at.is_(None),
            )
        )
        return set(self._session.scalars(query))

    def valid_keys(self, key_ids: Collection[int]) -> set[int]:
        """The API keys among these that are not revoked and whose accounts are not disabled."""
        if not key_ids:
            return set()
        query = (
            select(ApiKey.id)
            .join(Account, Account.id == ApiKey.account_id)
            .where(
                ApiKey.id.in_(key_ids),
                ApiKey.revoked_at.is_(None),
                Account.disabled_at.is_(None),
            )
        )
        return set(self._session.scalars(query))
