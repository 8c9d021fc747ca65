"""Queries on personal data of one account holder, for export and erasure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db_models import Account, AuditEntry, SignIn
from repository.connections import rows_changed

EXPORT_MAX = 10_000
"""The number of rows of one kind in one export."""


class AccountData:
    """Queries on the personal data of one account."""

    def __init__(self, session: Session, account_id: int) -> None:
        """Use the session of the unit of work."""
        self._session = session
        self._account_id = account_id

    def sign_ins(self) -> Sequence[SignIn]:
        """The account's sign-ins, oldest first."""
        own = select(SignIn).where(SignIn.account_id == self._account_id)
        return self._session.scalars(own.order_by(SignIn.id).limit(EXPORT_MAX)).all()

    def audit_entries(self) -> Sequence[AuditEntry]:
        """What the account did, oldest first."""
        own = select(AuditEntry).where(AuditEntry.account_id == self._account_id)
        return self._session.scalars(own.order_by(AuditEntry.id).limit(EXPORT_MAX)).all()

    def erase(self, login: str, now: datetime) -> int:
        """Empty and disable the account, and erase addresses; return how many rows changed."""
        keys = {"login_key": login, "name_key": None, "held_name_key": None}
        person = {"login": login, "name": login, "email": None, "password_hash": None, **keys}
        account = update(Account).where(Account.id == self._account_id)
        sign_ins = update(SignIn).where(SignIn.account_id == self._account_id)
        entries = update(AuditEntry).where(AuditEntry.account_id == self._account_id)
        return (
            rows_changed(self._session, account.values(**person, disabled_at=now))
            + rows_changed(self._session, sign_ins.values(address="", user_agent=""))
            + rows_changed(self._session, entries.values(address=""))
        )

    def erase_login(self, login: str, replacement: str) -> int:
        """Replace the login where the account's own audit entries name it."""
        entries = update(AuditEntry).where(
            AuditEntry.account_id == self._account_id, AuditEntry.subject == login
        )
        return rows_changed(self._session, entries.values(subject=replacement))
