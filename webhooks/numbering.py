"""Give events their positions in the feed, and fan them out to the endpoints of their merchants.

Runs after the commit of an event: at once in the process that stored the event, and each second in
every process for events whose process died. An event row is marked `unnumbered` in the transaction
of its change, so a crash between the two delays an event and loses none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from core.errors import ConcurrentUpdate
from db_models import DeliveryKind, EndpointKind
from repository.database import Work, in_unit_of_work, reading
from repository.feed import Feed, Unnumbered
from repository.pix import PIX_EVENTS, PixReceipts
from repository.webhook_deliveries import WebhookDeliveries
from repository.webhook_subscriptions import Subscription, Subscriptions

BATCH = 200
BATCHES_MAX = 50
"""Per run, so that a run ends."""
RACES_MAX, RACE_PAUSE_SECONDS = 4, 0.01
"""How often a run may lose against other processes, and the first of its growing pauses."""


def number_events(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Number what has no position yet; return how many events this process numbered.

    While another process numbers, this one tries again a moment later, because the other does not
    see events that were committed since it began. It does not wait for the other.
    """
    total = lost_races = 0
    for _ in range(BATCHES_MAX):
        with reading() as work:
            events, last_position = Feed(work).unnumbered(BATCH)
        if not events:
            break
        numbered = _number_or_lose(events, last_position)
        total += numbered
        if numbered == 0:
            lost_races += 1
            if lost_races == RACES_MAX:
                break
            time.sleep(RACE_PAUSE_SECONDS * lost_races)
        elif len(events) < BATCH:
            break
        if not keep_going():
            break
    return total


def _number_or_lose(events: Sequence[Unnumbered], last_position: int) -> int:
    """How many events were numbered: 0 if another process was faster, or holds the counter."""
    try:
        return in_unit_of_work(lambda work: _number(work, events, last_position), attempts=1)
    except ConcurrentUpdate:
        return 0


def _number(work: Work, events: Sequence[Unnumbered], last_position: int) -> int:
    if not Feed(work).number(events, last_position):
        return 0  # another process numbers them
    # An endpoint that was created since the events were read is newer than they are.
    merchant_ids = {event.merchant_id for event in events if event.has_endpoints}
    subscriptions = Subscriptions(work).of_merchants(merchant_ids)
    pix_keys = _pix_keys(work, events, subscriptions)
    rows = [
        {
            "endpoint_id": subscription.endpoint_id,
            "kind": DeliveryKind.EVENT,
            "feed_position": position,
            "payment_id": event.payment_id,
        }
        for position, event in enumerate(events, start=last_position + 1)
        for subscription in subscriptions
        if takes(subscription, event, pix_keys.get(event.event_id))
    ]
    WebhookDeliveries(work).insert_many(rows, work.now)
    work.has_deliveries = bool(rows)
    return len(events)


def takes(subscription: Subscription, event: Unnumbered, pix_key: str | None = None) -> bool:
    """Whether the endpoint gets this event: of its merchant and types, or of its Pix key.

    `pix_key` is the key of a Pix with a txid that the event is about. Times are not compared: after
    the clock was set back, new events look older than the endpoint. Callbacks of recurrences are no
    events of the feed: the transaction of the change stores them.
    """
    if subscription.merchant_id != event.merchant_id:
        return False
    if subscription.kind == EndpointKind.PIX:
        return pix_key is not None and pix_key == subscription.pix_key
    if subscription.is_callback:
        return False
    return subscription.event_types is None or event.name in subscription.event_types


def _pix_keys(
    work: Work, events: Sequence[Unnumbered], subscriptions: Sequence[Subscription]
) -> dict[int, str]:
    """The keys of events that may be told as callbacks; no statement if nobody wants any."""
    merchants = {one.merchant_id for one in subscriptions if one.kind == EndpointKind.PIX}
    event_ids = [
        event.event_id
        for event in events
        if event.merchant_id in merchants and event.name in PIX_EVENTS
    ]
    return PixReceipts(work).keys_of_events(event_ids) if event_ids else {}
