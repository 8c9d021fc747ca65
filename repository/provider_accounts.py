"""Queries on merchants' accounts at real banks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, exists, insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from db_models import (
    Account,
    ProviderAccount,
    ProviderCharge,
    ProviderChargeStatus,
    Receipt,
    Refund,
    RefundStatus,
)
from repository.connections import rows_changed
from repository.owners import OWNER_LOGIN, with_owner

_UNFINISHED = (
    ProviderChargeStatus.OPENING,
    ProviderChargeStatus.OPEN,
    ProviderChargeStatus.CLOSING,
)
_HAS_OPEN_WORK = or_(
    exists().where(
        ProviderCharge.account_id == ProviderAccount.id, ProviderCharge.status.in_(_UNFINISHED)
    ),
    exists().where(
        Receipt.settles_payment_id == Refund.payment_id,
        Receipt.provider_account_id == ProviderAccount.id,
        Refund.status == RefundStatus.PROCESSING,
    ),
)
"""Whether the bank is still called for what was begun."""


class ProviderAccounts:
    """Queries on provider accounts."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def insert(self, values: Mapping[str, Any]) -> int:
        """Store a new account; return its row id."""
        result = self._session.connection().execute(insert(ProviderAccount), dict(values))
        key: Any = result.inserted_primary_key
        return int(key[0])

    def find(self, row: int) -> ProviderAccount | None:
        """The account with this row id."""
        query = select(ProviderAccount).where(ProviderAccount.id == row)
        return self._session.scalars(query).one_or_none()

    def find_by_public_id(self, public_id: str) -> ProviderAccount | None:
        """The account with this id on the wire."""
        query = select(ProviderAccount).where(ProviderAccount.public_id == public_id)
        return self._session.scalars(query).one_or_none()

    def find_by_token(self, token_sha256: str) -> ProviderAccount | None:
        """The account to which callbacks with this token's hash belong.

        Also by the token before, until the bank has the new address.
        """
        query = select(ProviderAccount).where(
            or_(
                ProviderAccount.token_sha256 == token_sha256,
                ProviderAccount.previous_token_sha256 == token_sha256,
            )
        )
        return self._session.scalars(query).one_or_none()

    def entries_like(self, row: int) -> frozenset[int]:
        """The account and its merchant's others at the same bank and environment, as row ids.

        One bank account may have several entries: added twice, once for each of its keys, or again
        after it was removed. Its bank names all its Pix to each of them.
        """
        own = aliased(ProviderAccount)
        query = (
            select(ProviderAccount.id)
            .join(
                own,
                and_(
                    own.merchant_id == ProviderAccount.merchant_id,
                    own.profile == ProviderAccount.profile,
                    own.environment == ProviderAccount.environment,
                ),
            )
            .where(own.id == row)
        )
        return frozenset(self._session.scalars(query))

    def of_merchant(self, merchant_id: int) -> Sequence[ProviderAccount]:
        """The merchant's accounts, the removed ones too, oldest first."""
        query = select(ProviderAccount).where(ProviderAccount.merchant_id == merchant_id)
        return self._session.scalars(query.order_by(ProviderAccount.id)).all()

    def all(self) -> Sequence[ProviderAccount]:
        """Every account of the installation, the removed ones too, oldest first."""
        return self._session.scalars(select(ProviderAccount).order_by(ProviderAccount.id)).all()

    def after(self, row: int, limit: int) -> Sequence[ProviderAccount]:
        """Accounts with a greater row id, in its order, the removed ones too."""
        query = select(ProviderAccount).where(ProviderAccount.id > row)
        return self._session.scalars(query.order_by(ProviderAccount.id).limit(limit)).all()

    def with_open_work(self, rows: Collection[int]) -> set[int]:
        """Which of these accounts have a charge or a return that is not finished."""
        if not rows:
            return set()
        query = select(ProviderAccount.id).where(ProviderAccount.id.in_(rows), _HAS_OPEN_WORK)
        return set(self._session.scalars(query))

    def troubled(self, soon: datetime, limit: int) -> list[tuple[ProviderAccount, str, str]]:
        """Accounts in use that fail, or whose certificate ends before `soon`, newest fault first.

        With the login and the name of the merchant. A removed account is in use while it has open
        charges or returns.
        """
        is_in_use = or_(ProviderAccount.removed_at.is_(None), _HAS_OPEN_WORK)
        is_troubled = or_(
            ProviderAccount.fault.is_not(None), ProviderAccount.certificate_ends_at < soon
        )
        query = (
            select(ProviderAccount, OWNER_LOGIN, Account.name)
            .join(Account, Account.id == ProviderAccount.merchant_id)
            .where(is_in_use, is_troubled, Account.disabled_at.is_(None))
            .order_by(ProviderAccount.fault_at.desc(), ProviderAccount.id)
        )
        rows = self._session.execute(with_owner(query.limit(limit)))
        return [(row[0], row[1], row[2]) for row in rows]

    def change(self, row: int, values: Mapping[str, Any], *, version: int | None = None) -> bool:
        """Write these columns; with `version` only if the account still has it, and increment it.

        False if the account has changed meanwhile.
        """
        statement = update(ProviderAccount).where(ProviderAccount.id == row)
        columns = dict(values)
        if version is not None:
            statement = statement.where(ProviderAccount.version == version)
            columns["version"] = version + 1
        return rows_changed(self._session, statement.values(**columns)) == 1

    def end_previous_token(self, row: int, token_sha256: str) -> bool:
        """Refuse the token before; False if `token_sha256` is not the present one any more."""
        present = update(ProviderAccount).where(
            ProviderAccount.id == row, ProviderAccount.token_sha256 == token_sha256
        )
        return rows_changed(self._session, present.values(previous_token_sha256=None)) == 1

    def note_warning(self, row: int, days: int) -> bool:
        """Store that the certificate's end was warned of, `days` before it.

        False if this warning, or a later one, was stored already.
        """
        earlier = or_(ProviderAccount.warned_days.is_(None), ProviderAccount.warned_days > days)
        statement = update(ProviderAccount).where(ProviderAccount.id == row, earlier)
        return rows_changed(self._session, statement.values(warned_days=days)) == 1
