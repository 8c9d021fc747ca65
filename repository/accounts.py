"""Queries on accounts and their API keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, insert, or_, select, update
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.typed import caseless, plain_text
from db_models import Account, ApiKey, SignIn
from db_models.account import MERCHANT
from repository import usable_credentials
from repository.connections import Unit, rows_changed
from repository.detached import Detached
from repository.mysql_connections import answer_guard
from repository.paging import Keyset, Page
from repository.statements import QuickStatement
from repository.usable_credentials import ACCOUNTS

CACHE_SECONDS = 2.0
_CACHE_MAX = 1000
SHARED_COLUMNS = frozenset(
    {
        *("name", "city", "document", "street", "state", "postal_code", "grace_seconds"),
        *("shop_url", "support_url", "support_contact", "institution", "logo_url", "brand_color"),
        "disabled_at",
    }
)
"""The columns in which a merchant's test half is always as the merchant."""
_NEWEST_KEYS = Keyset(ApiKey.id, cursor=ApiKey.public_id)


class RecentAccounts:
    """A cache of accounts for CACHE_SECONDS: a shop sends many requests in a row.

    A process may show an account's old name for that long. No credentials are looked up here: those
    have a memory of their own, which hears of changes (`recent_callers`).
    """

    def __init__(self) -> None:
        self._cache: dict[Hashable, tuple[float, Account]] = {}

    def get(self, key: Hashable, find: Callable[[], Account | None]) -> Account | None:
        """The account under this key; `find` reads it when it is not cached or too old."""
        moment = time.monotonic()
        entry = self._cache.get(key)
        if entry is not None and moment - entry[0] < CACHE_SECONDS:
            return entry[1]
        account = find()
        if account is not None:
            if len(self._cache) >= _CACHE_MAX:
                self._cache.clear()
            self._cache[key] = (moment, account)
        return account


class Accounts:
    """Queries on accounts."""

    def __init__(self, unit: Unit) -> None:
        """Use the connection of the unit of work."""
        self._unit = unit

    @property
    def _session(self) -> Session:
        return self._unit.session

    def find(self, account_id: int) -> Account | None:
        return self._session.scalars(select(Account).where(Account.id == account_id)).one_or_none()

    def lock(self, account_id: int) -> Account | None:
        """The account as it is now; nobody changes it until this transaction ends."""
        query = select(Account).where(Account.id == account_id).with_for_update()
        latest = query.execution_options(populate_existing=True)
        return self._session.scalars(latest).one_or_none()

    def change_and_restore(self, account_id: int) -> None:
        """Change the row and change it back, so that nobody changes it at the same time.

        On a Galera cluster a lock holds at one node alone, and a foreign key to the row is no
        conflict either. A change is: of two at different nodes one fails at its COMMIT.
        """
        for step in (1, -1):
            values = {"grace_seconds": Account.grace_seconds + step}
            self._session.execute(update(Account).where(Account.id == account_id).values(values))

    def find_by_login(self, login: str) -> Account | None:
        """The account with this login, as people type it: exactly this one, or else in any case."""
        exact = plain_text(login)
        either = or_(Account.login == exact, Account.login_key == caseless(login))
        accounts = self._session.scalars(select(Account).where(either)).all()
        return min(accounts, key=lambda account: account.login != exact, default=None)

    def find_by_public_id(self, public_id: str) -> Account | None:
        query = select(Account).where(Account.public_id == public_id)
        return self._session.scalars(query).one_or_none()

    def find_by_pix_key(self, pix_key: str) -> Account | None:
        """The merchant that receives by this key, or None."""
        query = select(Account).where(Account.pix_key == pix_key, Account.role == MERCHANT)
        return self._session.scalars(query).one_or_none()

    def for_password_reset(self, login_or_email: str, limit: int) -> Sequence[Account]:
        """Enabled accounts with a password and an e-mail, by their login or their e-mail."""
        by_login = self.find_by_login(login_or_email)
        query = (
            select(Account)
            .where(
                or_(
                    Account.id == (by_login.id if by_login is not None else None),
                    Account.email == caseless(login_or_email),
                ),
                Account.email.is_not(None),
                Account.password_hash.is_not(None),
                Account.disabled_at.is_(None),
            )
            .order_by(Account.id)
            .limit(limit)
        )
        return self._session.scalars(query).all()

    def is_shop_name_taken(self, key: str, but: int | None = None) -> bool:
        """Whether a merchant, other than the row id `but`, has this name (`core.typed.name_key`).

        Two requests at once may both get False; then `held_name_key` gives one of them LostRace.
        """
        query = select(Account.id).where(Account.name_key == key)
        if but is not None:
            query = query.where(Account.id != but)
        return self._session.scalars(query.limit(1)).first() is not None

    def by_login(self, login: str) -> Account:
        """The account with this login. Raises NotFound."""
        account = self.find_by_login(login)
        if account is None:
            raise NotFound("There is no account with this login.")
        return account

    def find_by_key_sha256(self, key_sha256: str) -> tuple[Account, ApiKey] | None:
        """The valid API key with this SHA-256 (hex) and its account, or None.

        A revoked key, and a key of a disabled account, is not valid. Neither object belongs to a
        session.
        """
        row = _BY_KEY.row(self._unit.connection, {"key_sha256": key_sha256})
        return usable_credentials.account_and_credential(row, _KEYS)

    def find_by_key_with_guard(self, key_sha256: str) -> tuple[tuple[Account, ApiKey], str] | None:
        """As `find_by_key_sha256`, with the guard of a COMMIT (`mysql_connections.answer_guard`).

        It refuses once the key or its account has changed. On MySQL and MariaDB only.
        """
        row = _BY_KEY_WITH_FINGERPRINT.row(self._unit.connection, {"key_sha256": key_sha256})
        usable = usable_credentials.account_and_credential(row and row[:-1], _KEYS)
        if row is None or usable is None:
            return None
        question = _FINGERPRINT.text_with(self._unit.connection, {"key_sha256": key_sha256})
        return usable, answer_guard(question, row[-1])

    def find_signed_in(self, public_id: str, sign_in_id: str, now: datetime) -> Account | None:
        """The account of a sign-in that has not ended, or None; it belongs to no session."""
        who = {"public_id": public_id, "sign_in_id": sign_in_id, "now": now}
        row = _SIGNED_IN.row(self._unit.connection, who)
        return None if row is None else ACCOUNTS.of(row)

    def find_signed_in_halves(
        self, public_id: str, sign_in_id: str, now: datetime
    ) -> tuple[Account, Account | None] | None:
        """As `find_signed_in`, with the account's test half, which may be missing."""
        who = {"public_id": public_id, "sign_in_id": sign_in_id, "now": now}
        row = _SIGNED_IN_HALVES.row(self._unit.connection, who)
        if row is None:
            return None
        merchant, half = row[: ACCOUNTS.width], row[ACCOUNTS.width :]
        return ACCOUNTS.of(merchant), None if half[0] is None else ACCOUNTS.of(half)

    def find_test_half(self, account_id: int) -> Account | None:
        """The test half of the merchant with this row id, or None."""
        query = select(Account).where(Account.test_of_id == account_id)
        return self._session.scalars(query).one_or_none()

    def any_exists(self) -> bool:
        return self._session.scalars(select(Account.id).limit(1)).first() is not None

    def insert(self, values: Mapping[str, Any]) -> None:
        """Store a new account."""
        self._session.execute(insert(Account).values(**values))

    def change(self, account_id: int, values: Mapping[str, Any]) -> None:
        """Update columns of an account; shared ones of its test half as well."""
        shared = {name: value for name, value in values.items() if name in SHARED_COLUMNS}
        own = {name: value for name, value in values.items() if name not in SHARED_COLUMNS}
        if shared:
            self._wait_for_half(account_id)
            self._session.execute(update(Account).where(_both(account_id)).values(**shared))
        if own:
            self._session.execute(update(Account).where(Account.id == account_id).values(**own))

    def set_disabled(self, account_id: int, at: datetime | None) -> bool:
        """Disable an account with its test half, or enable both if `at` is None.

        False if nothing had to change.
        """
        self._wait_for_half(account_id)
        is_enabled = Account.disabled_at.is_(None)
        before = is_enabled if at is not None else ~is_enabled
        rows = update(Account).where(_both(account_id), before)
        return rows_changed(self._session, rows.values(disabled_at=at)) > 0

    def _wait_for_half(self, account_id: int) -> None:
        """Wait for a transaction that creates the account's test half.

        An UPDATE of both rows would wait too, but on PostgreSQL it sees only the rows that were
        committed when it began. The lock is as strong as that of the UPDATE, so rows that refer to
        the account can be inserted meanwhile.
        """
        row = select(Account.id).where(Account.id == account_id)
        self._session.execute(row.with_for_update(key_share=True))

    def note_sign_in(
        self, account_id: int, checked_hash: str, now: datetime, new_hash: str | None = None
    ) -> bool:
        """Write the time of a sign-in; False if the password changed since it was checked.

        A concurrent password change waits for this row, so it ends the new sign-in as well.
        """
        values: dict[str, Any] = {"signed_in_at": now}
        if new_hash is not None:
            values["password_hash"] = new_hash
        return self._changes_one_row(
            update(Account)
            .where(
                Account.id == account_id,
                Account.password_hash == checked_hash,
                Account.disabled_at.is_(None),
            )
            .values(**values)
        )

    def replace_password(self, account_id: int, checked_hash: str | None, new_hash: str) -> bool:
        """Set a new password hash; False if the password changed since it was checked."""
        unchanged = (
            Account.password_hash.is_(None)
            if checked_hash is None
            else Account.password_hash == checked_hash
        )
        return self._changes_one_row(
            update(Account)
            .where(Account.id == account_id, unchanged)
            .values(password_hash=new_hash)
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
        """The key of this account or of its test half, or None."""
        query = (
            select(ApiKey)
            .join(Account, Account.id == ApiKey.account_id)
            .where(ApiKey.public_id == public_id, _both(account_id))
        )
        return self._session.scalars(query).one_or_none()

    def revoke_key(self, key_id: int, now: datetime) -> bool:
        """Revoke a key; False if it was revoked already."""
        return usable_credentials.revoke(self._session, ApiKey, key_id, now)

    def note_key_use(self, key_id: int, at: datetime) -> None:
        """Write the time of a key's use, at most once in USE_GRAIN."""
        usable_credentials.note_use(self._session, ApiKey, key_id, at)

    def _changes_one_row(self, statement: Any) -> bool:
        return rows_changed(self._session, statement) == 1


def _both(account_id: int) -> ColumnElement[bool]:
    """The account and its test half."""
    return or_(Account.id == account_id, Account.test_of_id == account_id)


_KEYS = Detached(ApiKey)
# Built once: building a statement costs more than executing it.
_USABLE_KEY = usable_credentials.select_usable(ApiKey, ApiKey.key_sha256 == bindparam("key_sha256"))
_BY_KEY = QuickStatement(_USABLE_KEY)
_KEY_FINGERPRINT = usable_credentials.fingerprint(ApiKey)
_BY_KEY_WITH_FINGERPRINT = QuickStatement(_USABLE_KEY.add_columns(_KEY_FINGERPRINT))
_FINGERPRINT = QuickStatement(
    _USABLE_KEY.with_only_columns(_KEY_FINGERPRINT, maintain_column_froms=True)
)
_IS_SIGNED_IN = (
    SignIn.public_id == bindparam("sign_in_id"),
    SignIn.ended_at.is_(None),
    SignIn.expires_at > bindparam("now"),
    Account.public_id == bindparam("public_id"),
    Account.disabled_at.is_(None),
)
_SIGNED_IN = QuickStatement(
    select(Account.__table__)
    .join_from(Account.__table__, SignIn.__table__, SignIn.account_id == Account.id)
    .where(*_IS_SIGNED_IN)
)
_HALF = Account.__table__.alias("half")
_SIGNED_IN_HALVES = QuickStatement(
    select(Account.__table__, _HALF)
    .join_from(Account.__table__, SignIn.__table__, SignIn.account_id == Account.id)
    .outerjoin(_HALF, _HALF.c.test_of_id == Account.id)
    .where(*_IS_SIGNED_IN)
)
