"""What a merchant does with endpoints: create, change, rotate, ping, delete, send again.

Each function uses the unit of work of its caller and never commits. After the commit the caller
wakes the worker, so that what is due is sent at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from accounts import audit
from core.errors import FieldError, InvalidRequest
from core.webhook_errors import EndpointNotSending, TooManyDeliveries, TooManyEndpoints
from db_models import (
    Account,
    AuditAction,
    DeliveryKind,
    DeliveryStatus,
    EndpointKind,
    WebhookDelivery,
    WebhookEndpoint,
)
from repository.database import Work
from repository.webhook_deliveries import WebhookDeliveries
from repository.webhook_endpoints import WebhookEndpoints
from webhooks.schemas import EndpointChange, NewEndpoint, ReplayWindow, types_of
from webhooks.secrets import SecretBox

ENDPOINTS_MAX = 10
"""Per merchant."""
OVERLAP = timedelta(hours=24)
"""How long the secret before a rotation signs as well."""
REPLAY_MAX = 10_000
"""Events that one replay may send."""
PENDING_MAX = 20_000
"""Deliveries of one endpoint that wait, beyond which nothing is sent again on request."""
_AUDITED_CHARACTERS = 200


def create(
    work: Work, merchant: Account, new_endpoint: NewEndpoint, url: str, secrets: SecretBox
) -> tuple[WebhookEndpoint, str]:
    """Insert an endpoint and its first ping; return it with its secret, which is shown once.

    `url` is the checked address. Raises TooManyEndpoints.
    """
    endpoints = WebhookEndpoints(work.session)
    endpoints.lock_merchant(merchant.id)
    if endpoints.count(merchant.id, EndpointKind.EVENTS) >= ENDPOINTS_MAX:
        raise TooManyEndpoints(f"A shop has at most {ENDPOINTS_MAX} webhooks. Delete one first.")
    secret, sealed = secrets.new()
    endpoint = endpoints.insert(
        {
            "merchant_id": merchant.id,
            "kind": EndpointKind.EVENTS,
            "url": url,
            "description": new_endpoint.description,
            "event_types": types_of(new_endpoint.events),
            "secret": sealed,
            "enabled": True,
            "is_gone": False,
            "created_at": work.now,
        }
    )
    details = {"url": url[:_AUDITED_CHARACTERS]}
    audit.record(work, merchant, AuditAction.WEBHOOK_CREATED, endpoint.public_id, details)
    _insert_ping(work, endpoint)
    return endpoint, secret


def change(
    work: Work,
    merchant: Account,
    endpoint: WebhookEndpoint,
    changes: EndpointChange,
    url: str | None,
) -> WebhookEndpoint:
    """Change an endpoint; a new address, or `enabled: true`, also ends a pause."""
    values: dict[str, Any] = {}
    if changes.description is not None:
        values["description"] = changes.description
    if changes.events is not None:
        values["event_types"] = types_of(changes.events)
    if url is not None:
        values["url"] = url
    if changes.enabled is not None:
        values["enabled"] = changes.enabled
    if url is not None or changes.enabled:
        values |= {"is_gone": False, "failing_since": None, "paused_at": None}
    if values:
        WebhookEndpoints(work.session).change(endpoint.id, values)
        details = {"fields": sorted(changes.model_fields_set)}
        audit.record(work, merchant, AuditAction.WEBHOOK_CHANGED, endpoint.public_id, details)
        for name, value in values.items():
            setattr(endpoint, name, value)
    return endpoint


def rotate(
    work: Work, merchant: Account, endpoint: WebhookEndpoint, secrets: SecretBox
) -> tuple[WebhookEndpoint, str]:
    """Give the endpoint a new secret; the old one signs as well for a day."""
    secret, sealed = secrets.new()
    values = {
        "secret": sealed,
        "previous_secret": endpoint.secret,
        "previous_until": work.now + OVERLAP,
    }
    WebhookEndpoints(work.session).change(endpoint.id, values)
    audit.record(work, merchant, AuditAction.WEBHOOK_ROTATED, endpoint.public_id)
    for name, value in values.items():
        setattr(endpoint, name, value)
    return endpoint, secret


def delete(work: Work, merchant: Account, endpoint: WebhookEndpoint) -> None:
    """Delete an endpoint: nothing is sent to it any more. A job deletes its deliveries."""
    # Its Pix key, if it has one, is free for another endpoint.
    values = {"deleted_at": work.now, "enabled": False, "pix_key": None}
    WebhookEndpoints(work.session).change(endpoint.id, values)
    audit.record(work, merchant, AuditAction.WEBHOOK_DELETED, endpoint.public_id)


def ping(work: Work, merchant: Account, endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Send a ping. Raises EndpointNotSending and TooManyDeliveries."""
    _require_sending(work, endpoint)
    delivery = _insert_ping(work, endpoint)
    audit.record(work, merchant, AuditAction.WEBHOOK_SENT, endpoint.public_id, {"kind": "ping"})
    return delivery


def redeliver(
    work: Work, merchant: Account, delivery: WebhookDelivery, endpoint: WebhookEndpoint
) -> WebhookDelivery:
    """Send a delivery again, beside the order of its payment; return what is sent.

    A pending delivery is only made due. Raises EndpointNotSending and TooManyDeliveries.
    """
    _require_sending(work, endpoint)
    deliveries = WebhookDeliveries(work)
    details = {"kind": "redelivery", "delivery": delivery.public_id}
    audit.record(work, merchant, AuditAction.WEBHOOK_SENT, endpoint.public_id, details)
    if delivery.kind == DeliveryKind.PING:
        return _insert_ping(work, endpoint)
    if delivery.status == DeliveryStatus.PENDING:
        deliveries.send_now(delivery.id, work.now)
        return delivery
    row = {
        "endpoint_id": endpoint.id,
        "kind": DeliveryKind.REDELIVERY,
        "feed_position": delivery.feed_position,
        "recurrence_change_id": delivery.recurrence_change_id,
        "charge_change_id": delivery.charge_change_id,
        "payment_id": None,
    }
    return deliveries.insert(row, work.now)


def replay(work: Work, merchant: Account, endpoint: WebhookEndpoint, window: ReplayWindow) -> int:
    """Send all events of a window again, in order per payment; return how many.

    Raises EndpointNotSending and TooManyDeliveries, and InvalidRequest for more than REPLAY_MAX
    events. Callbacks of API Pix have no replay: `GET /pix` is the standard's way to catch up.
    """
    _require_sending(work, endpoint)
    deliveries = WebhookDeliveries(work)
    span: tuple[datetime, datetime] = (window.start, window.end or work.now)
    events = deliveries.events_between(merchant.id, span, endpoint.event_types, REPLAY_MAX + 1)
    if len(events) > REPLAY_MAX:
        detail = f"the window has more than {REPLAY_MAX} events: send it in smaller windows"
        raise InvalidRequest([FieldError("to", detail)])
    _require_sending(work, endpoint, len(events))
    rows = [
        {
            "endpoint_id": endpoint.id,
            "kind": DeliveryKind.REPLAY,
            "feed_position": position,
            "payment_id": payment_id,
        }
        for position, payment_id in events
    ]
    deliveries.insert_many(rows, work.now)
    details = {"kind": "replay", "events": len(rows)}
    audit.record(work, merchant, AuditAction.WEBHOOK_SENT, endpoint.public_id, details)
    return len(rows)


def _insert_ping(work: Work, endpoint: WebhookEndpoint) -> WebhookDelivery:
    row = {
        "endpoint_id": endpoint.id,
        "kind": DeliveryKind.PING,
        "feed_position": None,
        "payment_id": None,
    }
    return WebhookDeliveries(work).insert(row, work.now)


def _require_sending(work: Work, endpoint: WebhookEndpoint, more: int = 1) -> None:
    """Raise EndpointNotSending, or TooManyDeliveries if too much waits for it already."""
    if not endpoint.enabled or endpoint.paused_at is not None:
        raise EndpointNotSending("Enable this webhook first.")
    if WebhookDeliveries(work).pending(endpoint.id, PENDING_MAX) + more > PENDING_MAX:
        raise TooManyDeliveries(f"{PENDING_MAX} deliveries wait already.")
