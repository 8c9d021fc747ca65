"""Webhooks: the endpoints of merchants, what is delivered to them, and each attempt."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_public_id
from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string, index_of_reference


class EndpointKind(enum.StrEnum):
    """What an endpoint gets: our own events, or one of the three callbacks of API Pix."""

    EVENTS = "events"
    PIX = "pix"
    """Received Pix: one endpoint for each Pix key."""
    REC = "rec"
    """Recurrences: one endpoint for each merchant."""
    COBR = "cobr"
    """Recurring charges: one endpoint for each merchant."""


class WebhookEndpoint(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """An address of a merchant that gets the merchant's events."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        CheckConstraint(
            "(previous_secret IS NULL AND previous_until IS NULL)"
            " OR (previous_secret IS NOT NULL AND previous_until IS NOT NULL)",
            name="previous_secret_has_an_end",
        ),
        CheckConstraint(
            "(kind IN ('events', 'rec', 'cobr') AND pix_key IS NULL) OR (kind = 'pix'"
            " AND (pix_key IS NOT NULL OR deleted_at IS NOT NULL))",
            name="kind_has_its_key",
        ),
        # One endpoint for each key; the deleted ones have given theirs up.
        Index("ix_webhook_endpoints_pix_key", "merchant_id", "pix_key", unique=True),
        Index("ix_webhook_endpoints_merchant", "merchant_id", "id"),
        Index("ix_webhook_endpoints_deleted", "deleted_at", "id"),
        Index("ix_webhook_endpoints_paused", "paused_at", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    kind: Mapped[str] = mapped_column(
        String(16), default=EndpointKind.EVENTS, server_default=EndpointKind.EVENTS
    )
    pix_key: Mapped[str | None] = mapped_column(exact_string(77))
    """The Pix key whose money a callback of API Pix is about; null for the other kinds."""
    url: Mapped[str] = mapped_column(String(2048))
    description: Mapped[str | None] = mapped_column(String(140))
    event_types: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    """The types of events that the endpoint gets; null for all types, also future ones."""
    secret: Mapped[str] = mapped_column(String(200))
    """The signing secret, encrypted under SECRET_KEY (`webhooks.secrets`).

    Empty for callbacks of API Pix, which have no signature.
    """
    previous_secret: Mapped[str | None] = mapped_column(String(200))
    previous_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Until when the secret before the last rotation signs as well."""
    enabled: Mapped[bool] = mapped_column(Boolean(create_constraint=False))
    is_gone: Mapped[bool] = mapped_column(Boolean(create_constraint=False))
    """Whether the endpoint was disabled because its receiver answered 410."""
    failing_since: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The first failed attempt after the last success; null after a success."""
    paused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When sending stopped because every attempt of three days failed."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the merchant deleted it; a job deletes the row after its deliveries."""

    @property
    def is_callback(self) -> bool:
        """Whether it gets callbacks of API Pix, which that interface alone changes."""
        return self.kind != EndpointKind.EVENTS


class DeliveryKind(enum.StrEnum):
    """Why a delivery exists."""

    EVENT = "event"
    PING = "ping"
    REDELIVERY = "redelivery"
    REPLAY = "replay"


class DeliveryStatus(enum.StrEnum):
    """`failed` rests until somebody sends it again."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class WebhookDelivery(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One event for one endpoint, sent until its receiver takes it."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'delivered', 'failed')", name="status_known"),
        CheckConstraint("kind IN ('event', 'ping', 'redelivery', 'replay')", name="kind_known"),
        CheckConstraint(
            "(status = 'pending' AND due_at IS NOT NULL AND ended_at IS NULL)"
            " OR (status <> 'pending' AND due_at IS NULL AND ended_at IS NOT NULL)",
            name="due_until_the_end",
        ),
        CheckConstraint(
            "(kind = 'ping' AND feed_position IS NULL AND recurrence_change_id IS NULL"
            " AND charge_change_id IS NULL) OR (kind <> 'ping' AND ("
            "(feed_position IS NOT NULL AND recurrence_change_id IS NULL"
            " AND charge_change_id IS NULL)"
            " OR (feed_position IS NULL AND recurrence_change_id IS NOT NULL"
            " AND charge_change_id IS NULL)"
            " OR (feed_position IS NULL AND recurrence_change_id IS NULL"
            " AND charge_change_id IS NOT NULL)))",
            name="has_an_event_or_is_a_ping",
        ),
        Index("ix_webhook_deliveries_due", "endpoint_id", "due_at", "id"),
        Index("ix_webhook_deliveries_order", "endpoint_id", "payment_id", "id"),
        Index("ix_webhook_deliveries_newest", "endpoint_id", "id"),
        Index("ix_webhook_deliveries_lease", "lease"),
        Index("ix_webhook_deliveries_age", "created_at", "id"),
        # Without them a deletion of what a delivery tells would read all deliveries.
        index_of_reference("ix_webhook_deliveries_feed", "feed_position"),
        index_of_reference("ix_webhook_deliveries_recurrence", "recurrence_change_id"),
        index_of_reference("ix_webhook_deliveries_charge", "charge_change_id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    endpoint_id: Mapped[int] = mapped_column(ForeignKey("webhook_endpoints.id"))
    kind: Mapped[str] = mapped_column(String(16))
    feed_position: Mapped[int | None] = mapped_column(ForeignKey("feed_entries.position"))
    recurrence_change_id: Mapped[int | None] = mapped_column(ForeignKey("recurrence_changes.id"))
    """The new status that a callback of a recurrence tells; it is in no feed."""
    charge_change_id: Mapped[int | None] = mapped_column(ForeignKey("recurring_charge_changes.id"))
    """The step that a callback of a recurring charge tells; it is in no feed."""
    payment_id: Mapped[int | None] = mapped_column(Id)
    """The payment whose events keep their order; null if the delivery waits for no other one.

    For a callback of a recurrence it is the recurrence: an endpoint has one of the two kinds.

    No foreign key: checking it would lock the payment's row, and a confirmation would wait.
    """
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the next attempt is due, or the end of the lease of the process that sends it."""
    lease: Mapped[str | None] = mapped_column(exact_string(32))
    """A random token of the process that sends it now."""
    attempts: Mapped[int] = mapped_column(Integer)
    refusals: Mapped[int] = mapped_column(Integer)
    """How many attempts got a 4xx that a repetition seldom changes."""
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class WebhookAttempt(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One HTTP request of a delivery, and what came back."""

    __tablename__ = "webhook_attempts"
    __table_args__ = (
        Index("ix_webhook_attempts_delivery", "delivery_id", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("webhook_deliveries.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    duration_ms: Mapped[int] = mapped_column(Integer)
    url: Mapped[str] = mapped_column(String(2048))
    """The endpoint's address at that time."""
    status: Mapped[int | None] = mapped_column(Integer)
    """The HTTP status; null if no answer came."""
    error: Mapped[str | None] = mapped_column(String(40))
    """A code if the attempt failed without an answer (`webhooks.sender.Reply`)."""
    detail: Mapped[str | None] = mapped_column(String(200))
    response_headers: Mapped[dict[str, str]] = mapped_column(JSON)
    response_body: Mapped[str] = mapped_column(Text)
    """At most 4 KB."""
