"""Charges of recurrences of Pix Automático, their attempts at the payer's bank, their history."""

from __future__ import annotations

import enum
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    CheckConstraint,
    Computed,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string, index_of_reference


class RecurringChargeStatus(enum.StrEnum):
    """The status of API Pix; `payments.status` follows from it.

    `created` and `active` are pending; `rejected` and `cancelled` are cancelled.
    """

    CREATED = "created"
    ACTIVE = "active"
    CONCLUDED = "concluded"
    EXPIRED = "expired"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class AttemptKind(enum.StrEnum):
    """The first attempt, one after an attempt without money, one after a rejected attempt."""

    FIRST = "AGND"
    RETRY = "NTAG"
    RESEND = "RIFL"


class AttemptStatus(enum.StrEnum):
    """The status of an attempt; the first two are open."""

    REQUESTED = "requested"
    SCHEDULED = "scheduled"
    PAID = "paid"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class RecurringCharge(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """What a charge of a recurrence has beside its payment.

    Each change is a conditional update by `status` and `sequence`; where the payment changes too,
    its row is changed first.
    """

    __tablename__ = "recurring_charges"
    __table_args__ = (
        CheckConstraint(
            "status IN ('created', 'active', 'concluded', 'expired', 'rejected', 'cancelled')",
            name="status_known",
        ),
        CheckConstraint(
            "(status IN ('created', 'active') AND closed_at IS NULL)"
            " OR (status NOT IN ('created', 'active') AND closed_at IS NOT NULL)",
            name="final_is_closed",
        ),
        CheckConstraint("sequence > 0", name="sequence_positive"),
        UniqueConstraint("recurrence_id", "live_cycle"),
        Index("ix_recurring_charges_order", "order_at", "payment_id"),
        TABLE_OPTIONS,
    )

    payment_id: Mapped[int] = mapped_column(
        ForeignKey("payments.id"), primary_key=True, autoincrement=False
    )
    recurrence_id: Mapped[int] = mapped_column(ForeignKey("recurrences.id"))
    cycle: Mapped[int] = mapped_column(Integer)
    """The number of the recurrence's cycle (`core.pix.recurring_charge_rules.cycle_of`)."""
    due_day: Mapped[date] = mapped_column(Date)
    settles_on: Mapped[date] = mapped_column(Date)
    """The day of the first attempt: the due day, or the next business day."""
    adjusts_day: Mapped[bool] = mapped_column(Boolean(create_constraint=False))
    """`ajusteDiaUtil`."""
    payee_branch: Mapped[str | None] = mapped_column(String(4))
    payee_account: Mapped[str] = mapped_column(String(20))
    payee_account_type: Mapped[str] = mapped_column(String(16))
    """`CORRENTE`, `POUPANCA` or `PAGAMENTO`."""
    status: Mapped[str] = mapped_column(String(16))
    closing_party: Mapped[str | None] = mapped_column(String(16))
    """Who cancelled it (`ClosingParty`); None if nobody did."""
    closing_code: Mapped[str | None] = mapped_column(exact_string(4))
    closing_text: Mapped[str | None] = mapped_column(String(400))
    order_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the first attempt shall be ordered; None once it is."""
    sequence: Mapped[int] = mapped_column(Integer)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    live_cycle: Mapped[int | None] = mapped_column(
        Integer,
        Computed(
            "CASE WHEN status <> 'rejected' AND status <> 'cancelled' THEN cycle END",
            persisted=True,
        ),
    )
    """The cycle unless the charge failed: unique, so that a cycle is paid once."""


class ChargeAttempt(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One order to the payer's bank to pay a charge on a day."""

    __tablename__ = "charge_attempts"
    __table_args__ = (
        CheckConstraint("kind IN ('AGND', 'NTAG', 'RIFL')", name="kind_known"),
        CheckConstraint(
            "status IN ('requested', 'scheduled', 'paid', 'rejected', 'cancelled', 'expired')",
            name="status_known",
        ),
        UniqueConstraint("open_payment_id"),
        Index("ix_charge_attempts_charge", "payment_id", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("recurring_charges.payment_id"))
    end_to_end_id: Mapped[str] = mapped_column(exact_string(32), unique=True)
    kind: Mapped[str] = mapped_column(String(4))
    settles_on: Mapped[date] = mapped_column(Date)
    status: Mapped[str] = mapped_column(String(16))
    rejection_code: Mapped[str | None] = mapped_column(exact_string(4))
    rejection_text: Mapped[str | None] = mapped_column(String(400))
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    open_payment_id: Mapped[int | None] = mapped_column(
        Id,
        Computed(
            "CASE WHEN status = 'requested' OR status = 'scheduled' THEN payment_id END",
            persisted=True,
        ),
    )
    """The charge while the attempt is open: unique, so that a charge has one open attempt."""


class RecurringChargeChange(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One step of a charge or of an attempt, stored with the change. Rows are never changed.

    The creations are no rows: `payments.created_at` and `charge_attempts.requested_at` have them.
    """

    __tablename__ = "recurring_charge_changes"
    __table_args__ = (
        Index("ix_recurring_charge_changes_charge", "payment_id", "id"),
        index_of_reference("ix_recurring_charge_changes_attempt", "attempt_id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("recurring_charges.payment_id"))
    status: Mapped[str] = mapped_column(String(16))
    """The charge's, which may be that of the row before."""
    attempt_id: Mapped[int | None] = mapped_column(ForeignKey("charge_attempts.id"))
    attempt_status: Mapped[str | None] = mapped_column(String(16))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The client and the request (`accounts.audit.author`)."""
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
