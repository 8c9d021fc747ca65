"""Payment events: one append-only row per change of a payment, or per receipt without one."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Boolean, CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db


class EventName(StrEnum):
    """The names of events in `payment_events.name`."""

    PAYMENT_CREATED = "payment.created"
    PAYMENT_CONFIRMED = "payment.confirmed"
    PAYMENT_EXPIRED = "payment.expired"
    PAYMENT_CANCELLED = "payment.cancelled"
    PAYMENT_REVISED = "payment.revised"
    PAYMENT_CODE_READY = "payment.code-ready"
    PAYMENT_REFUNDED = "payment.refunded"
    RECEIPT_REFUSED = "receipt.refused"
    RECEIPT_RECEIVED = "receipt.received"
    REFUND_FAILED = "refund.failed"
    SIGNAL_RAISED = "signal.raised"

    @property
    def is_announced(self) -> bool:
        """Whether listeners get the event; the other events are only stored."""
        return self not in _STORED_ONLY

    @property
    def is_in_feed(self) -> bool:
        """Whether merchants get the event: in the feed and by webhooks (docs/webhooks.md)."""
        return self not in _NOT_IN_FEED


_NOT_IN_FEED = frozenset(
    {EventName.PAYMENT_REVISED, EventName.PAYMENT_CODE_READY, EventName.SIGNAL_RAISED}
)
_STORED_ONLY = frozenset({EventName.PAYMENT_CREATED, EventName.SIGNAL_RAISED})

BANK_REFUSED = "bank-refused"
"""The `reason` of a cancellation: the merchant's bank refuses the payment's charge."""
SUPERSEDED = "superseded"
"""The `reason` of a cancellation: another payment of the same order was paid."""

_SUPERSEDED_MESSAGE = "The payment has been cancelled. Its order was paid by another payment."
"""The mark of a superseded payment in rows from before `data` had a reason."""


class PaymentEvent(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """Inserted in the transaction of the change; announced after the commit, or by the relay."""

    __tablename__ = "payment_events"
    __table_args__ = (
        CheckConstraint("(payment_id IS NULL) <> (receipt_id IS NULL)", name="has_one_subject"),
        Index("ix_payment_events_payment", "payment_id", "id"),
        Index("ix_payment_events_receipt", "receipt_id"),
        Index("ix_payment_events_relay", "relay_at", "id"),
        Index("ix_payment_events_unnumbered", "unnumbered", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"))
    receipt_id: Mapped[int | None] = mapped_column(ForeignKey("receipts.id"))
    """The receipt without a payment that the event is about; None for an event of a payment."""
    name: Mapped[str] = mapped_column(String(40))
    sequence: Mapped[int] = mapped_column(Integer)
    occurred_at: Mapped[datetime] = mapped_column(UtcDateTime)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    relay_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the relay may announce the event; null if it was announced or is only stored."""
    unnumbered: Mapped[bool | None] = mapped_column(Boolean(create_constraint=False))
    """True until the event has a position in the feed; null afterwards, or if it gets none."""

    @property
    def is_superseded(self) -> bool:
        """Whether the payment was cancelled because another payment of its order was paid."""
        return self.data.get("reason", self.data.get("message")) in (
            SUPERSEDED,
            _SUPERSEDED_MESSAGE,
        )
