"""Delete old deliveries with their attempts, and deleted endpoints."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from config import Settings
from repository.database import in_unit_of_work, now
from repository.webhook_deliveries import WebhookDeliveries
from repository.webhook_endpoints import WebhookEndpoints

BATCH = 500
BATCHES_MAX = 200
"""Per run, so that a run ends."""


def forget_old_deliveries(settings: Settings, keep_going: Callable[[], bool]) -> int:
    """Delete what is older than DELIVERY_DAYS, in batches; return how many deliveries."""
    before = now() - timedelta(days=settings.delivery_days)
    total = 0
    for _ in range(BATCHES_MAX):
        if not keep_going():
            break
        deleted = in_unit_of_work(lambda work: WebhookDeliveries(work).delete_before(before, BATCH))
        total += deleted
        if deleted < BATCH:
            break
    in_unit_of_work(lambda work: WebhookEndpoints(work.session).delete_old(BATCH))
    return total
