"""Queries on requests to payers to confirm a recurrence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from db_models import Recurrence, RecurrenceRequest, RecurrenceRequestChange, RequestStatus
from repository.single_rows import change_row, insert_row

OPEN = (RequestStatus.CREATED, RequestStatus.SENT, RequestStatus.RECEIVED)


@dataclass(frozen=True)
class RequestRecord:
    """A request with the id of its recurrence and its history, oldest first."""

    request: RecurrenceRequest
    id_rec: str
    changes: Sequence[RecurrenceRequestChange]


class RecurrenceRequests:
    """Queries on requests."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def insert(self, values: Mapping[str, Any]) -> RecurrenceRequest:
        """Store a new request. Raises LostRace if its recurrence got an open one meanwhile."""
        row_id = insert_row(self._session, insert(RecurrenceRequest).values(**values))
        return RecurrenceRequest(**{**_NO_VALUES, **values, "id": row_id})

    def insert_change(self, values: Mapping[str, Any]) -> RecurrenceRequestChange:
        """Store a row of the history."""
        row_id = insert_row(self._session, insert(RecurrenceRequestChange).values(**values))
        return RecurrenceRequestChange(**{**values, "id": row_id})

    def find(self, merchant_id: int, id_solic_rec: str) -> RequestRecord | None:
        """The merchant's request with this id, or None; one statement."""
        return self._first(
            Recurrence.merchant_id == merchant_id, RecurrenceRequest.id_solic_rec == id_solic_rec
        )

    def by_id(self, id_solic_rec: str) -> RequestRecord | None:
        """The request of any merchant with this id, or None; one statement."""
        return self._first(RecurrenceRequest.id_solic_rec == id_solic_rec)

    def open_of(self, recurrence_id: int) -> RequestRecord | None:
        """The recurrence's open request, or None; one statement."""
        return self._first(RecurrenceRequest.open_recurrence_id == recurrence_id)

    def ids_due(self, now: datetime, limit: int) -> Sequence[str]:
        """The ids of open requests whose time has passed, the oldest first."""
        query = select(RecurrenceRequest.id_solic_rec).where(
            RecurrenceRequest.status.in_(OPEN), RecurrenceRequest.expires_at <= now
        )
        ordered = query.order_by(RecurrenceRequest.expires_at, RecurrenceRequest.id)
        return self._session.scalars(ordered.limit(limit)).all()

    def change(self, request: RecurrenceRequest, values: Mapping[str, Any]) -> bool:
        """Change a row whose status is as it was read; False if it is not.

        No status comes twice, so the status tells whether the row is as it was read.
        """
        statement = update(RecurrenceRequest).where(
            RecurrenceRequest.id == request.id, RecurrenceRequest.status == request.status
        )
        return change_row(self._session, request, statement, values)

    def _first(self, *rules: Any) -> RequestRecord | None:
        query = _RECORDS.where(*rules).order_by(RecurrenceRequestChange.id)
        fresh = query.execution_options(populate_existing=True)
        rows = self._session.execute(fresh).all()
        return RequestRecord(rows[0][0], rows[0][1], [row[2] for row in rows]) if rows else None


_NO_VALUES = {column.key: None for column in RecurrenceRequest.__table__.columns}
_RECORDS = (
    select(RecurrenceRequest, Recurrence.id_rec, RecurrenceRequestChange)
    .join(Recurrence, Recurrence.id == RecurrenceRequest.recurrence_id)
    .join(RecurrenceRequestChange, RecurrenceRequestChange.request_id == RecurrenceRequest.id)
)
