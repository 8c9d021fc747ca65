"""What API keys and clients of API Pix have in common: they belong to an account, and end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import String, func, literal_column, or_, select, update
from sqlalchemy.orm import Session

from db_models import Account, ApiKey, OAuthClient
from repository.connections import rows_changed
from repository.detached import Detached

USE_GRAIN = timedelta(minutes=1)
"""The last use of a credential is written at most once in this span."""

_CHANGED_BY_USE = frozenset({"last_used_at", "signed_in_at"})
Credential = TypeVar("Credential", ApiKey, OAuthClient)
ACCOUNTS = Detached(Account)


def select_usable(model: type[Credential], *conditions: Any) -> Any:
    """A SELECT of all columns of accounts and of credentials; for `account_and_credential`.

    Without revoked credentials, and those of disabled accounts.
    """
    accounts, credentials = Account.__table__, model.__table__
    return (
        select(accounts, credentials)
        .join_from(accounts, credentials, model.account_id == Account.id)
        .where(*conditions, model.revoked_at.is_(None), Account.disabled_at.is_(None))
    )


def fingerprint(model: type[Credential]) -> Any:
    """A hash of a row of `select_usable`, as a column for it, on MySQL and MariaDB.

    It is made of the values themselves, so that whatever changes them changes it. Left out are the
    times of the last use and the last sign-in, which change although the answer does not.
    """
    columns = [
        column
        for table in (Account.__table__, model.__table__)
        for column in table.columns
        if column.name not in _CHANGED_BY_USE
    ]
    values = func.json_array(*columns)  # in which NULL and '' differ, and no value can run over
    return func.sha2(values, literal_column("256"), type_=String())


def account_and_credential(
    row: Sequence[Any] | None, credentials: Detached[Credential]
) -> tuple[Account, Credential] | None:
    """The objects of a row of `select_usable`, which belong to no session; None without a row."""
    if row is None:
        return None
    return ACCOUNTS.of(row[: ACCOUNTS.width]), credentials.of(row[ACCOUNTS.width :])


def revoke(session: Session, model: type[Credential], row_id: int, now: datetime) -> bool:
    """Revoke a credential; False if it was revoked already."""
    is_valid = model.revoked_at.is_(None)
    statement = update(model).where(model.id == row_id, is_valid).values(revoked_at=now)
    return rows_changed(session, statement) == 1


def note_use(session: Session, model: type[Credential], row_id: int, at: datetime) -> None:
    """Write the time of a use, at most once in USE_GRAIN."""
    used_at = model.last_used_at
    is_stale = or_(used_at.is_(None), used_at <= at - USE_GRAIN)
    session.execute(update(model).where(model.id == row_id, is_stale).values(last_used_at=at))
