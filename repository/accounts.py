"""Queries on accounts and their API keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.orm import Session

from core.errors import NotFound
from db_models import Account, ApiKey, SignIn
from repository.connections import rows_changed
from repository.paging import Keyset, Page

KNOWN_FOR_SECONDS = 2.0
_KNOWN_MAX = 1000
KEY_USE_GRAIN = timedelta(minutes=1)
"""How exactly a key's last use is kept."""
_NEWEST_KEYS = Keyset(ApiKey.id, cursor=ApiKey.public_id)


class RecentAccounts:
    """Whom the last requests were about, for two seconds: a shop asks many times in a row.

    So a changed name may be shown that much longer in a process that just saw it. Credentials are
    not kept here: what was revoked opens nothing from then on, in any process.
    """

    def __init__(self) -> None:
        """Nobody yet."""
        self._seen: dict[Hashable, tuple[float, Account]] = {}

    def get(self, key: Hashable, find: Callable[[], Account | None]) -> Account | None:
        """The account under this key, found anew after two seconds."""
        moment = time.monotonic()
        known = self._seen.get(key)
        if known is not None and moment - known[0] < KNOWN_FOR_SECONDS:
            return known[1]
        account = find()
        if account is not None:
            if len(self._seen) >= _KNOWN_MAX:
                self._seen.clear()
            self._seen[key] = (moment, account)
        return account


class Accounts:
    """Queries on accounts."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def find(self, account_id: int) -> Account | None:
        """The account with this row id, or None."""
        return self._session.scalars(select(Account).where(Account.id == account_id)).one_or_none()

    def find_by_login(self, login: str) -> Account | None:
        """The account with this login, or None."""
        return self._session.scalars(select(Account).where(Account.login == login)).one_or_none()

    def find_by_public_id(self, public_id: str) -> Account | None:
        """The account with this id of the wire, or None."""
        found = select(Account).where(Account.public_id == public_id)
        return self._session.scalars(found).one_or_none()

    def by_login(self, login: str) -> Account:
        """The account with this login. Raises NotFound."""
        found = self.find_by_login(login)
        if found is None:
            raise NotFound("There is no account with this login.")
        return found

    def find_by_key_sha256(self, key_sha256: str) -> tuple[Account, ApiKey] | None:
        """Whose valid API key has this SHA-256 (hex), and the key; None for any other."""
        owner = (
            select(Account, ApiKey)
            .join(ApiKey, ApiKey.account_id == Account.id)
            .where(
                ApiKey.key_sha256 == key_sha256,
                ApiKey.revoked_at.is_(None),
                Account.disabled_at.is_(None),
            )
        )
        found = self._session.execute(owner).one_or_none()
        return None if found is None else (found[0], found[1])

    def find_signed_in(self, public_id: str, sign_in_id: str, now: datetime) -> Account | None:
        """The account of a sign-in that has not ended, or None."""
        owner = (
            select(Account)
            .join(SignIn, SignIn.account_id == Account.id)
            .where(
                SignIn.public_id == sign_in_id,
                SignIn.ended_at.is_(None),
                SignIn.expires_at > now,
                Account.public_id == public_id,
                Account.disabled_at.is_(None),
            )
        )
        return self._session.scalars(owner).one_or_none()

    def any_exists(self) -> bool:
        """Whether there is any account at all."""
        return self._session.scalars(select(Account.id).limit(1)).first() is not None

    def insert(self, values: Mapping[str, Any]) -> None:
        """Store a new account."""
        self._session.execute(insert(Account).values(**values))

    def change(self, account_id: int, values: Mapping[str, Any]) -> None:
        """Write new values into an account's columns."""
        self._session.execute(update(Account).where(Account.id == account_id).values(**values))

    def set_disabled(self, account_id: int, at: datetime | None) -> bool:
        """Disable an account, or enable it where `at` is None; False where it was so before."""
        is_enabled = Account.disabled_at.is_(None)
        otherwise = is_enabled if at is not None else ~is_enabled
        return self._changed(
            update(Account).where(Account.id == account_id, otherwise).values(disabled_at=at)
        )

    def enter(
        self, account_id: int, known_hash: str, now: datetime, new_hash: str | None = None
    ) -> bool:
        """Note a sign-in, if the password is still the one that was checked; whether it is.

        Whoever changes the password waits for this row, and so ends this sign-in too.
        """
        values: dict[str, Any] = {"signed_in_at": now}
        if new_hash is not None:
            values["password_hash"] = new_hash
        return self._changed(
            update(Account)
            .where(
                Account.id == account_id,
                Account.password_hash == known_hash,
                Account.disabled_at.is_(None),
            )
            .values(**values)
        )

    def replace_password(self, account_id: int, known_hash: str | None, new_hash: str) -> bool:
        """Set a password, if it is still the one that was checked; whether it was."""
        known = (
            Account.password_hash.is_(None)
            if known_hash is None
            else Account.password_hash == known_hash
        )
        return self._changed(
            update(Account).where(Account.id == account_id, known).values(password_hash=new_hash)
        )

    def insert_key(self, values: Mapping[str, Any]) -> None:
        """Store the hash of a new API key."""
        self._session.execute(insert(ApiKey).values(**values))

    def keys_of(self, account_id: int, after: str | None, limit: int) -> Page[ApiKey]:
        """A page of an account's keys, newest first, revoked ones too. Raises InvalidCursor."""
        own = ApiKey.account_id == account_id
        query = select(ApiKey).where(own)
        return _NEWEST_KEYS.page(
            self._session, query, own, after=after, limit=limit, unknown_is_end=True
        )

    def find_key(self, account_id: int, public_id: str) -> ApiKey | None:
        """One of the account's keys, or None."""
        found = select(ApiKey).where(ApiKey.account_id == account_id, ApiKey.public_id == public_id)
        return self._session.scalars(found).one_or_none()

    def revoke_key(self, key_id: int, now: datetime) -> bool:
        """End a key; False where it was ended before."""
        return self._changed(
            update(ApiKey)
            .where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
            .values(revoked_at=now)
        )

    def note_key_use(self, key_id: int, at: datetime) -> None:
        """Keep when a key was used, unless it was noted within the minute before."""
        stale = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= at - KEY_USE_GRAIN)
        self._session.execute(
            update(ApiKey).where(ApiKey.id == key_id, stale).values(last_used_at=at)
        )

    def _changed(self, statement: Any) -> bool:
        return rows_changed(self._session, statement) == 1
