"""The body of an event: the same bytes in the feed and in every attempt of every delivery."""

from __future__ import annotations

import json
from typing import Any

from core.clock import rfc3339
from db_models import WebhookDelivery, WebhookEndpoint
from payments import snapshots
from payments.presenter import Presenter, receipt_object, refund_object
from repository.feed import FeedEvent
from repository.receipts import ListedReceipt
from repository.webhook_deliveries import DueDelivery

PING = "ping"


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
) -> dict[str, Any]:
    """What a delivery sends: its event, or a ping. A ping is not in the feed and has its own id."""
    if event is not None:
        return event_object(event, presenter)
    return {
        "id": delivery.public_id,
        "type": PING,
        "timestamp": rfc3339(delivery.created_at),
        "livemode": presenter.is_live,
        "data": {"webhook_id": endpoint.public_id},
    }


def body_of(message: dict[str, Any]) -> bytes:
    """The bytes that are signed and sent."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


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
