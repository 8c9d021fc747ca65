"""Callbacks of API Pix: `POST {webhookUrl}/pix` with `{"pix": [...]}` (API Pix 2.9.0, Webhook).

Recurrences go to `/rec` and recurring charges to `/cobr` (tags WebhookRec and WebhookCobR).
The standard leaves timeout, retries and grouping to the bank, and has no signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from db_models import EndpointKind, EventName, RefundStatus, WebhookEndpoint
from payments import snapshots
from payments.pix_objects import pix_object
from repository.feed import FeedEvent
from repository.pix import ReceivedPix
from repository.webhook_deliveries import DueDelivery

SUFFIXES = {EndpointKind.PIX: "/pix", EndpointKind.REC: "/rec", EndpointKind.COBR: "/cobr"}
"""What the standard appends to a registered address."""
_MEMBERS = {EndpointKind.PIX: "pix", EndpointKind.REC: "recs", EndpointKind.COBR: "cobsr"}
"""The member of a body that has what a call tells."""
GROUP_MAX = 50
"""The most entries in one call."""
TIMEOUT_SECONDS = 10.0
_ABSORBS_SUFFIX = "ignorar="
"""An address with this at the end of its query gets the suffix there, so its path stays."""
_STATUS_OF = {
    EventName.PAYMENT_REFUNDED: RefundStatus.DONE,
    EventName.REFUND_FAILED: RefundStatus.FAILED,
}


def callback_url(url: str, kind: EndpointKind) -> str:
    """Where callbacks for this registered address go; the query stays at the end."""
    suffix = SUFFIXES[kind]
    parts = urlsplit(url)
    path, query = parts.path, parts.query
    if query.rpartition("&")[2] == _ABSORBS_SUFFIX:
        query += suffix
    else:
        path = path.rstrip("/") + suffix
    return urlunsplit((parts.scheme, parts.netloc, path, query, ""))


def request_url(endpoint: WebhookEndpoint) -> str:
    """Where the requests of an endpoint go."""
    if not endpoint.is_callback:
        return endpoint.url
    return callback_url(endpoint.url, EndpointKind(endpoint.kind))


def callback_members(endpoint: WebhookEndpoint, entries: Sequence[Any]) -> dict[str, Any]:
    """The members of a callback's body with these entries."""
    return {_MEMBERS[EndpointKind(endpoint.kind)]: list(entries)}


def entries_of(members: Mapping[str, Any]) -> list[Any]:
    """The entries of a callback's body, which has one member."""
    [entries] = members.values()
    return list(entries)


def callback_entry(
    event: FeedEvent, pix: Mapping[int, ReceivedPix], endpoint: WebhookEndpoint
) -> dict[str, Any]:
    """The Pix of an event with the refunds that it had at the event."""
    if event.position not in pix:
        raise LookupError(f"the event {event.public_id} has no accepted receipt")
    return pix_object(pix[event.position], endpoint.pix_key, _refunds_at(event))


def group_of(deliveries: Sequence[DueDelivery]) -> list[DueDelivery]:
    """The first due deliveries that share a call.

    Each failed attempt halves the group, so that an entry that the receiver cannot take is soon
    sent alone.
    """
    group: list[DueDelivery] = []
    for delivery in deliveries:
        most_attempts = max(one.attempts for one in [*group, delivery])
        if len(group) >= max(1, GROUP_MAX >> most_attempts):
            break
        group.append(delivery)
    return group


def _refunds_at(event: FeedEvent) -> Mapping[str, str]:
    statuses: Mapping[str, str] | None = event.state.get(snapshots.REFUNDS)
    if statuses is not None:
        return statuses
    if event.refund is None:
        return {}
    return {str(event.refund.id): _STATUS_OF[EventName(event.type)]}
