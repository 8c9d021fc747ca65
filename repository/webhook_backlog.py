"""How much the numbering and sending of webhooks is behind; each number is counted to a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select

from db_models import PaymentEvent, WebhookDelivery, WebhookEndpoint
from repository.connections import Unit
from repository.due import EVER
from repository.webhook_deliveries import WebhookDeliveries

ROWS_MAX = 10_000
"""No number is higher: more rows are not counted."""
ENDPOINTS_MAX = 1000
"""Deliveries of more endpoints are not counted."""


@dataclass(frozen=True)
class WaitingWebhooks:
    """What waits at one instant."""

    oldest_due_at: datetime | None
    """Since when the oldest due delivery waits, of endpoints whose last attempt succeeded."""
    pending: int
    """Deliveries that have not ended, of endpoints that may be sent to."""
    paused: int
    """Endpoints that are paused."""
    unnumbered: int
    """Events without a position in the feed."""


class WebhookBacklog:
    """Counts what waits; five statements, however many endpoints there are."""

    def __init__(self, unit: Unit) -> None:
        """Use the connection of a unit of work, or one that only reads."""
        self._unit = unit

    def read(self, now: datetime) -> WaitingWebhooks:
        """The backlog of the whole service."""
        endpoints = WebhookDeliveries(self._unit).endpoints_pending(ENDPOINTS_MAX)
        # The deliveries of a receiver that fails wait for days, which is no fault of the service.
        working = [endpoint.id for endpoint in endpoints if endpoint.failing_since is None]
        paused = select(WebhookEndpoint.id).where(
            WebhookEndpoint.paused_at > EVER, WebhookEndpoint.deleted_at.is_(None)
        )
        return WaitingWebhooks(
            oldest_due_at=self._oldest_due(working, now),
            pending=self._count(_pending([endpoint.id for endpoint in endpoints])),
            paused=self._count(paused),
            unnumbered=self._count(
                select(PaymentEvent.id).where(PaymentEvent.unnumbered.is_(True))
            ),
        )

    def _oldest_due(self, endpoint_ids: Sequence[int], now: datetime) -> datetime | None:
        due = _pending(endpoint_ids).where(WebhookDelivery.due_at <= now).limit(ROWS_MAX).subquery()
        oldest: datetime | None = self._unit.connection.scalar(select(func.min(due.c.due_at)))
        return oldest

    def _count(self, rows: Select[Any]) -> int:
        query = select(func.count()).select_from(rows.limit(ROWS_MAX).subquery())
        return int(self._unit.connection.scalar(query) or 0)


def _pending(endpoint_ids: Sequence[int]) -> Select[Any]:
    return select(WebhookDelivery.due_at).where(
        WebhookDelivery.endpoint_id.in_(endpoint_ids), WebhookDelivery.due_at > EVER
    )
