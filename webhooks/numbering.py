"""Give events their positions in the feed, and fan them out to the endpoints of their merchants.

Runs after the commit of an event: at once in the process that stored the event, and each second in
every process for events whose process died. An event row is marked `unnumbered` in the transaction
of its change, so a crash between the two delays an event and loses none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from db_models import DeliveryKind, FeedEntry, WebhookEndpoint
from repository.database import Work, in_unit_of_work, reading
from repository.feed import Feed, Unnumbered
from repository.webhook_deliveries import WebhookDeliveries
from repository.webhook_endpoints import WebhookEndpoints

BATCH = 200
BATCHES_MAX = 50
"""Per run, so that a run ends."""


def number_events(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Number what has no position yet; return how many events this process numbered."""
    total = 0
    for _ in range(BATCHES_MAX):
        with reading() as work:
            events, last_position = Feed(work).unnumbered(BATCH)
        if not events:
            break
        total += in_unit_of_work(
            lambda work, events=events, last=last_position: _number(work, events, last)  # type: ignore[misc]
        )
        if len(events) < BATCH or not keep_going():
            break
    return total


def _number(work: Work, events: Sequence[Unnumbered], last_position: int) -> int:
    entries = Feed(work).number(events, last_position)
    if entries is None:
        return 0  # another process numbers them
    endpoints = WebhookEndpoints(work.session).collecting({event.merchant_id for event in events})
    payments = {event.event_id: event.payment_id for event in events}
    rows = [
        {
            "endpoint_id": endpoint.id,
            "kind": DeliveryKind.EVENT,
            "feed_position": entry.position,
            "payment_id": payments[entry.event_id],
        }
        for entry in entries
        for endpoint in endpoints
        if takes(endpoint, entry)
    ]
    WebhookDeliveries(work).insert_many(rows, work.now)
    return len(entries)


def takes(endpoint: WebhookEndpoint, entry: FeedEntry) -> bool:
    """Whether the endpoint gets this event: of its merchant and types.

    Times are not compared: after the clock was set back, new events look older than the endpoint.
    """
    is_own = endpoint.merchant_id == entry.merchant_id
    return is_own and (endpoint.event_types is None or entry.type in endpoint.event_types)
