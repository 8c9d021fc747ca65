"""A payment: a request for one amount, and its status."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Computed,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    UniqueConstraint,
    false,
    true,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from db_models.account import Account, Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class PaymentStatus(enum.StrEnum):
    """The stored status; `confirmed` and `cancelled` are final."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


def picture_query(location_token: str | None) -> str:
    """The query of a QR's URL: another one for each location, empty for the payment's own."""
    return f"?v={location_token[:8]}" if location_token else ""


class Payment(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """Each change of a payment is a conditional update of its row by `status`."""

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint(
            "status IN ('pending', 'confirmed', 'expired', 'cancelled')", name="status_known"
        ),
        CheckConstraint(
            "amount_centavos > 0 OR (payer_sets_amount AND amount_centavos = 0)",
            name="amount_positive",
        ),
        CheckConstraint(
            "refunded_centavos >= 0 AND refunded_centavos <= amount_centavos",
            name="refunded_within_amount",
        ),
        CheckConstraint(
            "refunded_centavos = 0 OR status = 'confirmed'", name="refunded_only_if_confirmed"
        ),
        CheckConstraint(
            "refunding_centavos = 0 OR (refunding_centavos > 0"
            " AND refunded_centavos + refunding_centavos <= amount_centavos)",
            name="refunding_within_rest",
        ),
        CheckConstraint(
            "refunding_centavos = 0 OR status = 'confirmed'", name="refunding_only_if_confirmed"
        ),
        CheckConstraint(
            "(status = 'pending' AND resolved_at IS NULL)"
            " OR (status <> 'pending' AND resolved_at IS NOT NULL)",
            name="pending_is_unresolved",
        ),
        CheckConstraint(
            "(status = 'confirmed' AND end_to_end_id IS NOT NULL)"
            " OR (status <> 'confirmed' AND end_to_end_id IS NULL)",
            name="confirmed_by_a_receipt",
        ),
        CheckConstraint("sequence > 0", name="sequence_positive"),
        CheckConstraint("expires_at > created_at", name="expires_after_creation"),
        UniqueConstraint("merchant_id", "live_order_id"),
        # Covers the sweep's search for due payments, which therefore never reads the table.
        Index("ix_payments_due", "status", "expires_at", "id"),
        Index("ix_payments_look_up", "look_up_at", "id"),
        Index("ix_payments_merchant", "merchant_id", "id"),
        Index("ix_payments_order", "merchant_id", "order_id"),
        # The txid comes first, so that a bank's question finds it without the merchant.
        Index("ix_payments_charge_txid", "charge_txid", "merchant_id", unique=True),
        Index("ix_payments_location_token", "location_token", unique=True),
        # The portal's list by status, newest first, and its count of payments per day.
        Index("ix_payments_created", "merchant_id", "status", "created_at", "id"),
        # The daily takings and times to pay are summed from this index alone.
        Index(
            "ix_payments_takings",
            "merchant_id",
            "status",
            "resolved_at",
            "created_at",
            "amount_centavos",
            "refunded_centavos",
        ),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    txid: Mapped[str] = mapped_column(exact_string(35), unique=True)
    watch_code: Mapped[str] = mapped_column(exact_string(32), unique=True)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    amount_centavos: Mapped[int] = mapped_column(BigInteger)
    refunded_centavos: Mapped[int] = mapped_column(BigInteger, default=0)
    """The sum of the refunds that are done."""
    refunding_centavos: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    """The sum that is reserved for refunds without a final answer of the bank."""
    description: Mapped[str | None] = mapped_column(String(140))
    order_id: Mapped[str | None] = mapped_column(exact_string(64))
    live_order_id: Mapped[str | None] = mapped_column(
        exact_string(64),
        Computed(
            "CASE WHEN status = 'pending' OR status = 'confirmed' THEN order_id END",
            persisted=True,
        ),
    )
    """The order id while the payment is pending or confirmed: unique, so an order is paid once."""
    return_url: Mapped[str | None] = mapped_column(String(500))
    """The shop's address to which the page leads after a confirmation."""
    cancel_url: Mapped[str | None] = mapped_column(String(500))
    """The shop's address to which the page leads if the payment was not paid."""
    payer_name: Mapped[str | None] = mapped_column(String(200))
    """The payer as the shop named it; a receipt has the payer as the bank named it."""
    payer_document: Mapped[str | None] = mapped_column(String(14))
    details: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    robot_terms: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """How the bank's robot payer shall pay this payment of a test; null for all others."""
    br_code: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    resolved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    end_to_end_id: Mapped[str | None] = mapped_column(exact_string(128))
    """Copied from the accepted receipt, so that a page needs one query."""
    refusal: Mapped[str | None] = mapped_column(String(40))
    """The reason of the last refused receipt; the page tells the payer that the money returns."""
    sequence: Mapped[int] = mapped_column(Integer)
    look_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The next look-up at the bank, in case a notification was lost; null for no look-up."""
    renewed_from_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"), unique=True)
    charge_txid: Mapped[str | None] = mapped_column(exact_string(35))
    """The txid that a client of API Pix chose, unique for the merchant; null if it is `txid`.

    It may be easy to guess, so no page is found by it.
    """
    charge_kind: Mapped[str] = mapped_column(String(4), default="cob", server_default="cob")
    """A `ChargeKind`."""
    revision: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """How often the charge was changed (API Pix 2.9.0, Revisao); its location does not count."""
    payer_sets_amount: Mapped[bool] = mapped_column(
        Boolean(create_constraint=False), default=False, server_default=false()
    )
    """Whether the payer may pay another amount; a confirmation stores the amount that was paid."""
    charge_terms: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """What only API Pix asks of a charge, see `payments.charges.ChargeTerms`; null for none."""
    location_token: Mapped[str | None] = mapped_column(exact_string(32))
    """The token of its row in `locations`; null if the location is its own, by `watch_code`."""
    location_created_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When that row was made; null without one."""
    has_location: Mapped[bool] = mapped_column(
        Boolean(create_constraint=False), default=True, server_default=true()
    )
    """Whether a location shows this payment; without one it has no code to be paid by."""
    provider_account_id: Mapped[int | None] = mapped_column(ForeignKey("provider_accounts.id"))
    """The account of the real bank that has its charge; None for the simulated bank."""

    merchant: Mapped[Account] = relationship(lazy="raise_on_sql")

    @property
    def pix_txid(self) -> str:
        """The txid of API Pix (`[a-zA-Z0-9]{26,35}`), unique for the merchant."""
        return self.charge_txid or self.txid

    @property
    def location(self) -> str:
        """The token of the payment's location."""
        return self.location_token or self.watch_code

    @property
    def pix_code(self) -> str:
        """The BR Code to pay by; empty while no location shows the payment."""
        return self.br_code if self.has_location else ""

    @property
    def picture_query(self) -> str:
        """The query of the QR's URL: another one for each location, empty for its own."""
        return picture_query(self.location_token)
