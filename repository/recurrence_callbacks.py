"""Queries on callbacks of recurrences: deliveries that tell a new status.

They need no position in the feed, so the transaction of the change stores the delivery itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Insert, String, insert, literal, select
from sqlalchemy.orm import aliased

from core import ids
from db_models import (
    DeliveryKind,
    DeliveryStatus,
    EndpointKind,
    Recurrence,
    RecurrenceChange,
    WebhookDelivery,
    WebhookEndpoint,
)
from db_models.base import UtcDateTime
from repository.connections import Unit, rows_changed
from repository.recurrences import RecurrenceRecord


@dataclass(frozen=True)
class RecurrenceNews:
    """A recurrence with its history up to a new status, which is the last of the history."""

    record: RecurrenceRecord
    change: RecurrenceChange


class RecurrenceCallbacks:
    """Queries on deliveries of recurrences."""

    def __init__(self, unit: Unit) -> None:
        """Use the session of the unit of work."""
        self._session = unit.session

    def insert(self, recurrence: Recurrence, change: RecurrenceChange) -> bool:
        """Store a delivery of this change that is due now; one statement.

        False if the merchant has no address for recurrences. A paused one gets it too.
        """
        at, row = change.changed_at, {"recurrence_change_id": change.id}
        merchant_id = recurrence.merchant_id
        statement = new_delivery(EndpointKind.REC, merchant_id, recurrence.id, at, row)
        return rows_changed(self._session, statement) == 1

    def changes(self, change_ids: Collection[int]) -> dict[int, RecurrenceNews]:
        """These changes with their recurrences, by the change's id; no statement for none."""
        if not change_ids:
            return {}
        news = aliased(RecurrenceChange)
        query = (
            select(news.id, Recurrence, RecurrenceChange)
            .join(Recurrence, Recurrence.id == news.recurrence_id)
            .join(RecurrenceChange, RecurrenceChange.recurrence_id == news.recurrence_id)
            .where(news.id.in_(change_ids), RecurrenceChange.id <= news.id)
            .order_by(news.id, RecurrenceChange.id)
        )
        histories: dict[int, tuple[Recurrence, list[RecurrenceChange]]] = {}
        for change_id, recurrence, change in self._session.execute(query):
            histories.setdefault(change_id, (recurrence, []))[1].append(change)
        return {
            change_id: RecurrenceNews(RecurrenceRecord(recurrence, steps, None), steps[-1])
            for change_id, (recurrence, steps) in histories.items()
        }


def new_delivery(
    kind: EndpointKind, merchant_id: int, subject: int, at: datetime, row: Mapping[str, int]
) -> Insert:
    """Insert a delivery, due now, for the merchant's address of this kind, if there is one.

    Deliveries with the same subject are sent in order. `row` names the row that is told.
    """
    values: Mapping[str, Any] = {
        "public_id": literal(ids.new_public_id(), String),
        "endpoint_id": WebhookEndpoint.id,
        "kind": literal(str(DeliveryKind.EVENT), String),
        **{name: literal(value) for name, value in row.items()},
        "payment_id": literal(subject),
        "status": literal(str(DeliveryStatus.PENDING), String),
        "created_at": literal(at, UtcDateTime),
        "due_at": literal(at, UtcDateTime),
        "attempts": literal(0),
        "refusals": literal(0),
    }
    address = (
        select(*values.values())
        .where(
            WebhookEndpoint.merchant_id == merchant_id,
            WebhookEndpoint.kind == kind,
            WebhookEndpoint.enabled.is_(True),
            WebhookEndpoint.deleted_at.is_(None),
        )
        .order_by(WebhookEndpoint.id)
        .limit(1)
    )
    return insert(WebhookDelivery.__table__).from_select(list(values), address)
