"""The bodies of requests and answers on webhooks and events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from payments.schemas import Instant, Text140
from repository.feed import FEED_TYPES
from web.bodies import StrictBody
from web.page_query import PageQuery

ALL = "*"
EventType = Literal[
    "payment.created",
    "payment.confirmed",
    "payment.expired",
    "payment.cancelled",
    "payment.refunded",
    "receipt.refused",
    "receipt.received",
    "refund.failed",
]
assert set(EventType.__args__) == set(FEED_TYPES)  # type: ignore[attr-defined]  # noqa: S101
URL_CHARACTERS_MAX = 2048


def _without_repetition(types: list[str]) -> list[str]:
    if len(set(types)) != len(types):
        raise PydanticCustomError("repeated", "names a type twice")
    return types


EventTypes = Annotated[
    list[EventType | Literal["*"]],
    Field(min_length=1, max_length=len(FEED_TYPES), json_schema_extra={"uniqueItems": True}),
    AfterValidator(_without_repetition),
]
# `webhooks.addresses` checks the address; this pattern documents what is always well formed.
_LABEL = "[A-Za-z0-9]{1,20}(-[A-Za-z0-9]{1,20})?"
_PUBLIC_URL = rf"^https://({_LABEL}\.){{1,5}}[A-Za-z]{{2,20}}(/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?$"
Url = Annotated[
    str,
    Field(min_length=8, max_length=URL_CHARACTERS_MAX, json_schema_extra={"pattern": _PUBLIC_URL}),
]


def types_of(events: Sequence[str] | None) -> list[str] | None:
    """The types as they are stored: None for all, also for types that do not exist yet."""
    return None if events is None or ALL in events else list(events)


class NewEndpoint(StrictBody):
    """`POST /webhooks`."""

    url: Url
    events: EventTypes | None = None
    """The types to send; all of them when absent, or with `*`."""
    description: Text140 | None = None


class EndpointChange(StrictBody):
    """`PATCH /webhooks/<id>`: what is absent stays as it is."""

    url: Url | None = None
    events: EventTypes | None = None
    description: Text140 | None = None
    enabled: bool | None = None


class ReplayWindow(StrictBody):
    """`POST /webhooks/<id>/replay`: events that occurred from `from` to `to`, both included."""

    model_config = ConfigDict(populate_by_name=True)

    start: Instant = Field(alias="from")
    end: Instant | None = Field(default=None, alias="to")
    """Now when absent."""

    @field_validator("end")
    @classmethod
    def _after_start(cls, value: datetime | None, info: Any) -> datetime | None:
        start = info.data.get("start")
        if value is not None and start is not None and value < start:
            raise PydanticCustomError("before_start", "must not be before from")
        return value


class EndpointObject(BaseModel):
    """A webhook endpoint; `events` is `["*"]` for all types."""

    id: str
    url: str
    description: str | None
    events: list[str]
    enabled: bool
    livemode: bool
    created_at: str
    disabled_reason: Literal["disabled", "gone", "paused"] | None
    """Why nothing is sent: its merchant disabled it, it answered 410, or it failed for days."""
    failing_since: str | None
    paused_at: str | None
    previous_secret_until: str | None


class EndpointWithSecret(EndpointObject):
    """The answer that shows a secret, once."""

    secret: str


class EndpointList(BaseModel):
    """All endpoints of the merchant."""

    data: list[EndpointObject]
    next: None


class AttemptObject(BaseModel):
    """One HTTP request, and what came back; `error` is a code if no answer came."""

    at: str
    duration_ms: int
    url: str
    status: int | None
    error: str | None
    detail: str | None
    response_headers: dict[str, str]
    response_body: str


class DeliveryObject(BaseModel):
    """One event for one endpoint; the signature in the request's headers is masked."""

    id: str
    webhook_id: str
    event_id: str
    type: str
    kind: Literal["event", "ping", "redelivery", "replay"]
    status: Literal["pending", "delivered", "failed"]
    created_at: str
    next_attempt_at: str | None
    ended_at: str | None
    request_headers: dict[str, str]
    request_body: str
    """Cut to 4 KB."""
    attempts: list[AttemptObject]


class DeliveryList(BaseModel):
    """A page of deliveries, newest first; `next` goes into `?after=`."""

    data: list[DeliveryObject]
    next: str | None


class ReplayAnswer(BaseModel):
    """How many events are sent again."""

    message: str
    deliveries: int


class EventObject(BaseModel):
    """An event; `data` is the payment, refund or receipt as it stood at the event."""

    id: str
    type: str
    timestamp: str
    livemode: bool
    data: dict[str, Any]


class EventList(BaseModel):
    """A page of events in order; `next` goes into `?after=`, and is null at the end."""

    data: list[EventObject]
    next: str | None


class EventQuery(PageQuery):
    """The part of the feed: after this event, of this type."""

    type: EventType | None = None


class DeliveryQuery(PageQuery):
    """The filters of the list of deliveries."""

    status: Literal["pending", "delivered", "failed"] | None = None
