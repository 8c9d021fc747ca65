"""The gauges of webhooks: how far numbering and sending are behind."""

from __future__ import annotations

from config import current_parts
from repository.database import reading
from repository.webhook_backlog import WebhookBacklog


def measure_backlog() -> None:
    """Set the gauges by what waits in the database. Raises DatabaseUnavailable."""
    with reading() as work:
        backlog = WebhookBacklog(work).read(work.now)
    oldest = backlog.oldest_due_at
    gauges = current_parts().metrics.webhooks
    gauges.lag.set(0 if oldest is None else (work.now - oldest).total_seconds())
    gauges.pending.set(backlog.pending)
    gauges.paused.set(backlog.paused)
    gauges.unnumbered.set(backlog.unnumbered)
