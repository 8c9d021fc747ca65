"""Queries on tills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, insert, select, update
from sqlalchemy.orm import Session

from db_models import Till


class Tills:
    """Queries on tills."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def find(self, merchant_id: int, txid: str) -> Till | None:
        """The merchant's till with this txid, open or closed, or None."""
        query = select(Till).where(Till.txid == txid, Till.merchant_id == merchant_id)
        return self._session.scalars(query).one_or_none()

    def of_merchant(self, merchant_id: int) -> Sequence[Till]:
        """All tills of the merchant, open and closed, in the order of their numbers."""
        query = select(Till).where(Till.merchant_id == merchant_id).order_by(Till.number)
        return self._session.scalars(query).all()

    def first_open(self, merchant_id: int) -> Till | None:
        """The merchant's open till with the lowest number, or None."""
        query = select(Till).where(Till.merchant_id == merchant_id, Till.closed_at.is_(None))
        return self._session.scalars(query.order_by(Till.number).limit(1)).one_or_none()

    def insert(self, values: Mapping[str, Any]) -> None:
        """Store a new till."""
        self._session.execute(insert(Till).values(**values))

    def close(self, till_id: int, now: datetime) -> bool:
        """Close a till; False if it is closed already."""
        statement = update(Till).where(Till.id == till_id, Till.closed_at.is_(None))
        result = self._session.execute(statement.values(closed_at=now))
        return cast("CursorResult[Any]", result).rowcount == 1
