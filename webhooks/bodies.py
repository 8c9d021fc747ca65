"""The body of an event: the same bytes in the feed and in every attempt of every delivery."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from core.clock import rfc3339
from db_models import EndpointKind, WebhookDelivery, WebhookEndpoint
from payments import snapshots
from payments.presenter import Presenter, receipt_object, refund_object
from repository.database import Work
from repository.feed import FeedEvent
from repository.pix import PixReceipts, ReceivedPix
from repository.receipts import ListedReceipt
from repository.webhook_deliveries import DueDelivery
from webhooks.pix_callbacks import callback_entry, callback_members

PING = "ping"


@dataclass(frozen=True)
class WebhookMessage:
    """A message with its id, the type of its event, and its members."""

    id: str
    type: str
    members: dict[str, Any]


def event_object(event: FeedEvent, presenter: Presenter) -> dict[str, Any]:
    """The event on the wire; `data` is the payment, refund or receipt as it stood at the event."""
    return {
        "id": event.public_id,
        "type": event.type,
        "timestamp": rfc3339(event.occurred_at),
        "livemode": presenter.is_live,
        "data": _data(event, presenter),
    }


def message_of(
    delivery: WebhookDelivery | DueDelivery,
    endpoint: WebhookEndpoint,
    event: FeedEvent | None,
    presenter: Presenter,
    pix: Mapping[int, ReceivedPix],
) -> WebhookMessage:
    """What a delivery sends: its event, or a ping. A ping is not in the feed and has its own id.

    `pix` are the Pix of the events, by position; a callback of API Pix needs its own.
    """
    if event is not None and endpoint.kind == EndpointKind.PIX:
        members = callback_members([callback_entry(event, pix, endpoint)])
        return WebhookMessage(event.public_id, event.type, members)
    if event is not None:
        return WebhookMessage(event.public_id, event.type, event_object(event, presenter))
    ping = {
        "id": delivery.public_id,
        "type": PING,
        "timestamp": rfc3339(delivery.created_at),
        "livemode": presenter.is_live,
        "data": {"webhook_id": endpoint.public_id},
    }
    return WebhookMessage(delivery.public_id, PING, ping)


def pix_of(
    work: Work, endpoint: WebhookEndpoint, events: Collection[FeedEvent]
) -> dict[int, ReceivedPix]:
    """The Pix that `message_of` needs; no statement for an endpoint of the other kind."""
    return PixReceipts(work).of_events(events) if endpoint.kind == EndpointKind.PIX else {}


def body_of(members: dict[str, Any]) -> bytes:
    """The bytes that are signed and sent."""
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


def _data(event: FeedEvent, presenter: Presenter) -> dict[str, Any]:
    payment = event.payment
    if event.refund is not None and event.type == "refund.failed" and payment is not None:
        return refund_object(event.refund, payment)
    if event.receipt is not None:
        txid = None if payment is None else payment.txid
        listed = ListedReceipt(event.receipt, txid, 0, event.state.get(snapshots.TILL))
        return receipt_object(listed)
    if payment is None:
        raise LookupError(f"the event {event.public_id} has no payment and no receipt")
    return presenter.merchant_payment(snapshots.payment_at(payment, event.state), event.occurred_at)
