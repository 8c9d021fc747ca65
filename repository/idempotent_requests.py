"""Queries on the answers stored for Idempotency-Keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, func, insert, select, update
from sqlalchemy.orm import Session

from db_models import IdempotentRequest
from repository.connections import Unit
from repository.statements import QuickStatement

UNFINISHED = 503
"""The stored status of a request whose resource exists, while a bank has not answered yet."""


class IdempotentRequests:
    """Queries on idempotent_requests."""

    def __init__(self, unit: Unit) -> None:
        """Use the connection of the unit of work."""
        self._unit = unit

    @property
    def _session(self) -> Session:
        return self._unit.session

    def find(self, merchant_id: int, key: str) -> IdempotentRequest | None:
        """The merchant's request and answer under this key, or None."""
        query = select(IdempotentRequest).where(
            IdempotentRequest.merchant_id == merchant_id, IdempotentRequest.key == key
        )
        return self._session.scalars(query).one_or_none()

    def count_beginning_with(self, merchant_id: int, beginning: str) -> int:
        """How many of the merchant's keys begin so."""
        query = select(func.count()).where(
            IdempotentRequest.merchant_id == merchant_id,
            IdempotentRequest.key.startswith(beginning, autoescape=True),
        )
        return self._session.scalars(query).one()

    def defer_insert(self, values: Mapping[str, Any]) -> None:
        """Store a request and its answer by the COMMIT at the latest."""
        _INSERT.defer_insert(self._unit.connection, values, lambda key: key)

    def finish(self, merchant_id: int, key: str, values: Mapping[str, Any]) -> bool:
        """Write the final answer over an unfinished one; False if another request was first."""
        unfinished = update(IdempotentRequest).where(
            IdempotentRequest.merchant_id == merchant_id,
            IdempotentRequest.key == key,
            IdempotentRequest.status == UNFINISHED,
        )
        result = self._session.execute(unfinished.values(**values))
        return cast("CursorResult[Any]", result).rowcount == 1

    def forget_before(self, instant: datetime, limit: int) -> int:
        """Delete up to `limit` answers older than the instant; return how many."""
        old = self._session.scalars(
            select(IdempotentRequest.id)
            .where(IdempotentRequest.created_at < instant)
            .order_by(IdempotentRequest.created_at)
            .limit(limit)
        ).all()
        if not old:
            return 0
        result = self._session.execute(
            delete(IdempotentRequest).where(IdempotentRequest.id.in_(old))
        )
        return cast("CursorResult[Any]", result).rowcount


_INSERT = QuickStatement(insert(IdempotentRequest.__table__))
