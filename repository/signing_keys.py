"""Queries on signing_keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from db_models import SigningKeyRow
from repository.connections import rows_changed


class SigningKeys:
    """Queries on the keys that sign payloads; all processes share them."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def oldest_first(self) -> Sequence[SigningKeyRow]:
        """Every key, retired ones included."""
        return self._session.scalars(select(SigningKeyRow).order_by(SigningKeyRow.id)).all()

    def retire_all(self, retired_at: datetime) -> None:
        """Set the end of every active key to `retired_at`."""
        self._session.execute(
            update(SigningKeyRow)
            .where(SigningKeyRow.retired_at.is_(None))
            .values(retired_at=retired_at)
        )

    def reseal(self, row: int, sealed: str, renewed: str) -> bool:
        """Replace the encrypted form of a key; False if it is not `sealed` any more."""
        statement = update(SigningKeyRow).where(
            SigningKeyRow.id == row, SigningKeyRow.sealed_private_pem == sealed
        )
        return rows_changed(self._session, statement.values(sealed_private_pem=renewed)) == 1

    def insert(self, values: dict[str, Any]) -> None:
        """Store a new key: `kid`, `sealed_private_pem`, `certificate_pem`, `created_at`."""
        self._session.execute(insert(SigningKeyRow).values(values))
