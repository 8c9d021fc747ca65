"""Recurrences of Pix Automático: a payer's agreement to be charged again and again."""

from __future__ import annotations

import enum
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class RecurrenceStatus(enum.StrEnum):
    """The status of a recurrence; `rejected`, `expired` and `cancelled` are final."""

    CREATED = "created"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Recurrence(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """What a merchant offers and a payer agrees to, and how it ended.

    Only conditional updates that name the status change a row (`payments.recurring.recurrences`).
    """

    __tablename__ = "recurrences"
    __table_args__ = (
        CheckConstraint(
            "status IN ('created', 'approved', 'rejected', 'expired', 'cancelled')",
            name="status_known",
        ),
        CheckConstraint(
            "(status IN ('created', 'approved') AND closed_at IS NULL)"
            " OR (status IN ('rejected', 'expired', 'cancelled') AND closed_at IS NOT NULL)",
            name="final_is_closed",
        ),
        CheckConstraint(
            "(status = 'approved' AND journey IS NOT NULL) OR status = 'cancelled'"
            " OR (status IN ('created', 'rejected', 'expired') AND journey IS NULL)",
            name="approved_by_a_journey",
        ),
        CheckConstraint("journey IS NULL OR journey BETWEEN 1 AND 4", name="journey_known"),
        CheckConstraint(
            "fixed_centavos IS NULL OR (fixed_centavos > 0 AND minimum_centavos IS NULL)",
            name="one_amount",
        ),
        CheckConstraint("minimum_centavos IS NULL OR minimum_centavos >= 0", name="minimum_range"),
        CheckConstraint("sequence > 0", name="sequence_positive"),
        CheckConstraint("last_day IS NULL OR last_day >= first_day", name="days_in_order"),
        Index("ix_recurrences_merchant", "merchant_id", "created_at", "id"),
        # Finds the offers that nobody has accepted in time.
        Index("ix_recurrences_offers", "status", "first_day", "id"),
        # Erases a person, and finds the debtors who are still named.
        Index("ix_recurrences_debtor", "debtor_document"),
        Index("ix_recurrences_payer", "payer_document"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    id_rec: Mapped[str] = mapped_column(exact_string(29), unique=True)
    """The id between banks (`core.pix.recurrence_rules.ID_REC`)."""
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    status: Mapped[str] = mapped_column(String(16))
    contract: Mapped[str] = mapped_column(String(35))
    subject: Mapped[str | None] = mapped_column(String(35))
    """What is charged for, in words for the payer (`vinculo.objeto`)."""
    debtor_name: Mapped[str | None] = mapped_column(String(140))
    """None once the debtor is erased; the debtor may be another person than the payer."""
    debtor_document: Mapped[str | None] = mapped_column(String(14))
    payee_document: Mapped[str | None] = mapped_column(String(14))
    """The merchant's CNPJ when it offered the recurrence: to this company the payer agrees, even if
    the account gets another document. None in rows of older versions whose account had none."""
    agreement_name: Mapped[str | None] = mapped_column(exact_string(60))
    """`recebedor.convenio`: a name for the contract between merchant and bank."""
    first_day: Mapped[date] = mapped_column(Date)
    last_day: Mapped[date | None] = mapped_column(Date)
    periodicity: Mapped[str] = mapped_column(String(16))
    """`core.pix.recurrence_rules.Periodicity`."""
    allows_retries: Mapped[bool] = mapped_column(Boolean(create_constraint=False))
    fixed_centavos: Mapped[int | None] = mapped_column(BigInteger)
    minimum_centavos: Mapped[int | None] = mapped_column(BigInteger)
    location_id: Mapped[int | None] = mapped_column(
        ForeignKey("recurrence_locations.id"), unique=True
    )
    """The location that shows it; unique, so that a location shows one recurrence."""
    activation_txid: Mapped[str | None] = mapped_column(exact_string(35))
    """The charge whose payment accepts the recurrence (`ativacao.dadosJornada.txid`)."""
    journey: Mapped[int | None] = mapped_column(Integer)
    """By which of the four journeys the payer accepted it; None until then."""
    payer_document: Mapped[str | None] = mapped_column(String(14))
    """Who accepted it, as that person's bank says."""
    payer_ispb: Mapped[str | None] = mapped_column(exact_string(8))
    payer_municipality: Mapped[str | None] = mapped_column(exact_string(7))
    closing_party: Mapped[str | None] = mapped_column(String(16))
    """Who cancelled it (`ClosingParty`); None if nobody did."""
    closing_code: Mapped[str | None] = mapped_column(exact_string(4))
    closing_text: Mapped[str | None] = mapped_column(String(400))
    sequence: Mapped[int] = mapped_column(Integer)
    """1 when it is created; each change adds one and names the number that it has read."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the status became final."""


class ClosingParty(enum.StrEnum):
    """Who cancels a recurrence."""

    PAYER = "payer"
    PAYERS_BANK = "payers-bank"
    PAYEE = "payee"
    PAYEES_BANK = "payees-bank"


class RecurrenceChange(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One change of a recurrence, stored with the change. Rows are never changed.

    A row with the status of the row before it is a change of the terms.
    """

    __tablename__ = "recurrence_changes"
    __table_args__ = (
        Index("ix_recurrence_changes_recurrence", "recurrence_id", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    recurrence_id: Mapped[int] = mapped_column(ForeignKey("recurrences.id"))
    status: Mapped[str] = mapped_column(String(16))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The client and the request (`accounts.audit.author`), and the names of what changed."""
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RecurrenceLocation(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """A location that was reserved for a recurrence; `Recurrence.location_id` binds it."""

    __tablename__ = "recurrence_locations"
    __table_args__ = (
        Index("ix_recurrence_locations_merchant", "merchant_id", "created_at", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    token: Mapped[str] = mapped_column(exact_string(32), unique=True)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
