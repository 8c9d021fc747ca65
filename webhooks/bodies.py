"""The body of an event: the same bytes in the feed and in every attempt of every delivery."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.clock import rfc3339
from db_models import EndpointKind, WebhookDelivery, WebhookEndpoint
from payments import snapshots
from payments.presenter import Presenter, receipt_object, refund_object
from payments.recurring import charge_objects, objects
from repository.database import Work
from repository.feed import FeedEvent
from repository.pix import PixReceipts, ReceivedPix
from repository.receipts import ListedReceipt
from repository.recurrence_callbacks import RecurrenceCallbacks, RecurrenceNews
from repository.recurring_charge_callbacks import RecurringChargeCallbacks, RecurringChargeNews
from repository.webhook_deliveries import DueDelivery
from webhooks.pix_callbacks import callback_entry, callback_members

PING = "ping"


@dataclass(frozen=True)
class CallbackSources:
    """What callbacks of API Pix tell, besides their events."""

    pix: Mapping[int, ReceivedPix] = field(default_factory=dict)
    """The Pix of events, by position."""
    changes: Mapping[int, RecurrenceNews] = field(default_factory=dict)
    """The new statuses of recurrences, by the change's id."""
    charge_changes: Mapping[int, RecurringChargeNews] = field(default_factory=dict)
    """The steps of recurring charges, by the step's id."""


@dataclass(frozen=True)
class WebhookMessage:
    """A message with its id, the type of its event, and its members."""

    id: str
    type: str
    members: dict[str, Any]
    occurred_at: datetime | None = None
    """None for a ping."""


def event_object(event: FeedEvent, presenter: Presenter) -> dict[str, Any]:
    """The event on the wire; `data` is the payment, refund or receipt as it stood at the event."""
    return {
        "id": event.public_id,
        "type": event.type,
        "timestamp": rfc3339(event.occurred_at),
        "livemode": _livemode(event, presenter),
        "data": _data(event, presenter),
    }


def message_of(
    delivery: WebhookDelivery | DueDelivery,
    endpoint: WebhookEndpoint,
    event: FeedEvent | None,
    presenter: Presenter,
    sources: CallbackSources,
) -> WebhookMessage:
    """What a delivery sends: its event, a change of a recurrence or its charge, or a ping.

    Only events are in the feed; the others have ids of their own.
    """
    if delivery.recurrence_change_id is not None:
        news = sources.changes[delivery.recurrence_change_id]
        members = callback_members(endpoint, [objects.callback_object(news)])
        type_, at = f"recurrence.{news.change.status}", news.change.changed_at
        return WebhookMessage(delivery.public_id, type_, members, at)
    if delivery.charge_change_id is not None:
        step = sources.charge_changes[delivery.charge_change_id]
        members = callback_members(endpoint, [charge_objects.callback_object(step)])
        type_, at = f"recurring-charge.{step.change.status}", step.change.changed_at
        return WebhookMessage(delivery.public_id, type_, members, at)
    if event is not None and endpoint.kind == EndpointKind.PIX:
        members = callback_members(endpoint, [callback_entry(event, sources.pix, endpoint)])
        return WebhookMessage(event.public_id, event.type, members, event.occurred_at)
    if event is not None:
        members = event_object(event, presenter)
        return WebhookMessage(event.public_id, event.type, members, event.occurred_at)
    ping = {
        "id": delivery.public_id,
        "type": PING,
        "timestamp": rfc3339(delivery.created_at),
        "livemode": presenter.livemode(endpoint.merchant_id),
        "data": {"webhook_id": endpoint.public_id},
    }
    return WebhookMessage(delivery.public_id, PING, ping)


def sources_of(
    work: Work,
    endpoint: WebhookEndpoint,
    deliveries: Iterable[WebhookDelivery | DueDelivery],
    events: Collection[FeedEvent],
) -> CallbackSources:
    """What `message_of` needs; no statement for an endpoint of our own events."""
    if endpoint.kind == EndpointKind.PIX:
        return CallbackSources(pix=PixReceipts(work).of_events(events))
    every = list(deliveries)
    changes = {one.recurrence_change_id for one in every}
    steps = {one.charge_change_id for one in every}
    return CallbackSources(
        changes=RecurrenceCallbacks(work).changes([row for row in changes if row is not None]),
        charge_changes=RecurringChargeCallbacks(work).changes(
            [row for row in steps if row is not None]
        ),
    )


def body_of(members: dict[str, Any]) -> bytes:
    """The bytes that are signed and sent."""
    return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode()


def _livemode(event: FeedEvent, presenter: Presenter) -> bool:
    subject = event.payment or event.receipt
    if subject is None or subject.merchant_id is None:
        return presenter.is_live
    return presenter.livemode(subject.merchant_id, subject.provider_account_id)


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
