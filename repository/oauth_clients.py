"""Queries on the clients of API Pix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from db_models import Account, OAuthClient
from db_models.account import MERCHANT
from repository import usable_credentials
from repository.connections import Unit
from repository.detached import Detached
from repository.statements import QuickStatement


class OAuthClients:
    """Queries on oauth_clients."""

    def __init__(self, unit: Unit) -> None:
        """Use the connection of the unit of work."""
        self._unit = unit

    @property
    def _session(self) -> Session:
        return self._unit.session

    def insert(self, values: Mapping[str, Any]) -> None:
        """Store a new client."""
        self._session.execute(insert(OAuthClient).values(**values))

    def find_usable(self, client_id: str) -> tuple[Account, OAuthClient] | None:
        """The client with its merchant, or None; one statement.

        A revoked client, and a client of a disabled account, cannot be used. Neither object belongs
        to a session.
        """
        row = _USABLE.row(self._unit.connection, {"client_id": client_id})
        return usable_credentials.account_and_credential(row, _CLIENTS)

    def find(self, client_id: str) -> OAuthClient | None:
        """The client, revoked or not, of any account."""
        query = select(OAuthClient).where(OAuthClient.client_id == client_id)
        return self._session.scalars(query).one_or_none()

    def find_own(self, account_id: int, client_id: str) -> OAuthClient | None:
        """The account's client, revoked or not."""
        query = select(OAuthClient).where(
            OAuthClient.account_id == account_id, OAuthClient.client_id == client_id
        )
        return self._session.scalars(query).one_or_none()

    def newest_of(self, account_id: int, limit: int) -> Sequence[OAuthClient]:
        """The account's newest clients, revoked ones too."""
        query = select(OAuthClient).where(OAuthClient.account_id == account_id)
        return self._session.scalars(query.order_by(OAuthClient.id.desc()).limit(limit)).all()

    def count_in_use(self, account_id: int) -> int:
        """How many clients of the account are not revoked."""
        query = select(func.count()).where(
            OAuthClient.account_id == account_id, OAuthClient.revoked_at.is_(None)
        )
        return self._session.scalars(query).one()

    def lock_account(self, account_id: int) -> None:
        """Let no other transaction count this account's clients until this one ends."""
        self._session.scalars(select(Account.id).where(Account.id == account_id).with_for_update())

    def change(self, row_id: int, values: Mapping[str, Any]) -> None:
        """Change columns of a client."""
        self._session.execute(update(OAuthClient).where(OAuthClient.id == row_id).values(**values))

    def revoke(self, row_id: int, now: datetime) -> bool:
        """Revoke a client; False if it was revoked already."""
        return usable_credentials.revoke(self._session, OAuthClient, row_id, now)

    def note_use(self, row_id: int, at: datetime) -> None:
        """Write the time of a client's use, at most once in USE_GRAIN."""
        usable_credentials.note_use(self._session, OAuthClient, row_id, at)


_CLIENTS = Detached(OAuthClient)
# Built once: building a statement costs more than executing it.
_USABLE = QuickStatement(
    usable_credentials.select_usable(
        OAuthClient, OAuthClient.client_id == bindparam("client_id"), Account.role == MERCHANT
    )
)
