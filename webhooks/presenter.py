"""The JSON objects of endpoints and deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from core.clock import rfc3339
from core.signing.signatures import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from db_models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from payments.presenter import Presenter
from repository.database import Work
from repository.feed import Feed
from repository.webhook_deliveries import WebhookDeliveries
from webhooks.bodies import WebhookMessage, body_of, message_of, sources_of
from webhooks.schemas import ALL

BODY_CHARACTERS_MAX = 4096
MASKED_SIGNATURE = "v1,***"


def endpoint_object(endpoint: WebhookEndpoint, now: datetime, *, livemode: bool) -> dict[str, Any]:
    """An endpoint as its merchant sees it; never with its secret."""
    until = endpoint.previous_until
    return {
        "id": endpoint.public_id,
        "url": endpoint.url,
        "description": endpoint.description,
        "events": [ALL] if endpoint.event_types is None else endpoint.event_types,
        "enabled": endpoint.enabled,
        "livemode": livemode,
        "created_at": rfc3339(endpoint.created_at),
        "disabled_reason": _disabled_reason(endpoint),
        "failing_since": _instant(endpoint.failing_since),
        "paused_at": _instant(endpoint.paused_at),
        "previous_secret_until": rfc3339(until) if until is not None and until > now else None,
    }


def delivery_objects(
    work: Work,
    deliveries: Sequence[WebhookDelivery],
    endpoint: WebhookEndpoint,
    presenter: Presenter,
) -> list[dict[str, Any]]:
    """The deliveries of one endpoint with their requests and attempts; a few statements for all."""
    attempts = WebhookDeliveries(work).attempts_of([one.id for one in deliveries])
    positions = [one.feed_position for one in deliveries if one.feed_position is not None]
    events = Feed(work).at(positions)
    sources = sources_of(work, endpoint, deliveries, events.values())
    objects = []
    for delivery in deliveries:
        event = None if delivery.feed_position is None else events[delivery.feed_position]
        message = message_of(delivery, endpoint, event, presenter, sources)
        objects.append(_delivery(delivery, endpoint, message, attempts.get(delivery.id, [])))
    return objects


def _delivery(
    delivery: WebhookDelivery,
    endpoint: WebhookEndpoint,
    message: WebhookMessage,
    attempts: Sequence[WebhookAttempt],
) -> dict[str, Any]:
    return {
        "id": delivery.public_id,
        "webhook_id": endpoint.public_id,
        "event_id": message.id,
        "type": message.type,
        "kind": delivery.kind,
        "status": delivery.status,
        "created_at": rfc3339(delivery.created_at),
        "next_attempt_at": _instant(delivery.due_at),
        "ended_at": _instant(delivery.ended_at),
        "request_headers": {
            "Content-Type": "application/json",
            **({} if endpoint.is_callback else _signed_headers(message, attempts)),
        },
        "request_body": body_of(message.members).decode()[:BODY_CHARACTERS_MAX],
        "attempts": [_attempt(attempt) for attempt in attempts],
    }


def _signed_headers(message: WebhookMessage, attempts: Sequence[WebhookAttempt]) -> dict[str, str]:
    last = attempts[-1] if attempts else None
    timestamp = {TIMESTAMP_HEADER: str(int(last.at.timestamp()))} if last else {}
    return {ID_HEADER: message.id, **timestamp, SIGNATURE_HEADER: MASKED_SIGNATURE}


def _attempt(attempt: WebhookAttempt) -> dict[str, Any]:
    return {
        "at": rfc3339(attempt.at),
        "duration_ms": attempt.duration_ms,
        "url": attempt.url,
        "status": attempt.status,
        "error": attempt.error,
        "detail": attempt.detail,
        "response_headers": attempt.response_headers,
        "response_body": attempt.response_body,
    }


def _disabled_reason(endpoint: WebhookEndpoint) -> str | None:
    if not endpoint.enabled:
        return "gone" if endpoint.is_gone else "disabled"
    return None if endpoint.paused_at is None else "paused"


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)
