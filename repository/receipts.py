"""Queries on receipts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, insert, select
from sqlalchemy.orm import Session

from db_models import Receipt
from repository.paging import Keyset, Page


class Receipts:
    """Queries on receipts."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def find_by_end_to_end_id(self, end_to_end_id: str) -> Receipt | None:
        key = {"end_to_end_id": end_to_end_id}
        return self._session.scalars(_BY_END_TO_END_ID, key).one_or_none()

    def insert(self, values: Mapping[str, Any]) -> None:
        """Store a new receipt."""
        # On the table, not the class: the ORM's bulk path costs more than the statement.
        self._session.connection().execute(_INSERT, dict(values))

    def accepted_of(self, payment_id: int) -> Receipt | None:
        """The receipt that settled this payment, or None."""
        settled = select(Receipt).where(Receipt.settles_payment_id == payment_id)
        return self._session.scalars(settled).one_or_none()

    def of_merchant(
        self, merchant_id: int, verdict: str | None, after: str | None, limit: int
    ) -> Page[Receipt]:
        """A page of the merchant's receipts, newest first.

        `after` is an end_to_end_id. Raises InvalidCursor.
        """
        own = Receipt.merchant_id == merchant_id
        query = select(Receipt).where(own)
        if verdict is not None:
            query = query.where(Receipt.verdict == verdict)
        return _NEWEST_FIRST.page(self._session, query, own, after=after, limit=limit)


# Built once: building a statement costs more than executing it.
_INSERT = insert(Receipt.__table__)
_BY_END_TO_END_ID = select(Receipt).where(Receipt.end_to_end_id == bindparam("end_to_end_id"))
_NEWEST_FIRST = Keyset(Receipt.id, cursor=Receipt.end_to_end_id)
