"""The error types of webhooks and of the event feed.

BalcaoError
├── NotFound
│   ├── EndpointNotFound
│   └── DeliveryNotFound
├── Conflict
│   ├── TooManyEndpoints
│   ├── EndpointNotSending
│   ├── SecretUnreadable
│   └── TooManyDeliveries
└── TooManyRequests
    └── TooManyStreams
"""

from __future__ import annotations

from core.errors import Conflict, NotFound, TooManyRequests


class EndpointNotFound(NotFound):
    """The merchant has no webhook endpoint with this id."""

    code = "webhook-not-found"
    title = "There is no such webhook"


class DeliveryNotFound(NotFound):
    """The merchant has no delivery with this id."""

    code = "delivery-not-found"
    title = "There is no such delivery"


class TooManyEndpoints(Conflict):
    """The merchant has as many endpoints as are allowed."""

    code = "too-many-webhooks"
    title = "This shop has enough webhooks"


class EndpointNotSending(Conflict):
    """The endpoint is disabled, so nothing can be sent to it."""

    code = "webhook-disabled"
    title = "This webhook is disabled"


class SecretUnreadable(Conflict):
    """A stored secret was encrypted under another SECRET_KEY."""

    code = "secret-unreadable"
    title = "The secret of this webhook can no longer be read"


class TooManyDeliveries(Conflict):
    """The endpoint has as many waiting deliveries as may be asked for."""

    code = "too-many-deliveries"
    title = "Too much is waiting for this webhook"


class TooManyStreams(TooManyRequests):
    """The process has as many event streams open as are allowed."""

    code = "too-many-streams"
    title = "Too many event streams are open"
