"""Requests to a payer to confirm a recurrence: the first journey of Pix Automático."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class RequestStatus(enum.StrEnum):
    """The status of a request; the last four are final."""

    CREATED = "created"
    SENT = "sent"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class RecurrenceRequest(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """What a merchant asks one payer by the payer's bank, and what came of it.

    Only conditional updates that name the status change a row (`payments.recurring.requests`).
    """

    __tablename__ = "recurrence_requests"
    __table_args__ = (
        CheckConstraint(
            "status IN ('created', 'sent', 'received', 'accepted', 'rejected', 'expired',"
            " 'cancelled')",
            name="status_known",
        ),
        CheckConstraint(
            "(status IN ('created', 'sent', 'received') AND closed_at IS NULL"
            " AND open_recurrence_id = recurrence_id)"
            " OR (status IN ('accepted', 'rejected', 'expired', 'cancelled')"
            " AND closed_at IS NOT NULL AND open_recurrence_id IS NULL)",
            name="final_is_closed",
        ),
        Index("ix_recurrence_requests_due", "status", "expires_at"),
        Index("ix_recurrence_requests_payer", "payer_document"),
        Index("ix_recurrence_requests_recurrence", "recurrence_id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    id_solic_rec: Mapped[str] = mapped_column(exact_string(29), unique=True)
    """The id between banks (`core.pix.recurrence_rules.ID_SOLIC_REC`)."""
    recurrence_id: Mapped[int] = mapped_column(ForeignKey("recurrences.id"))
    open_recurrence_id: Mapped[int | None] = mapped_column(Id, unique=True)
    """The recurrence while the request is open, else None: a recurrence has one open request."""
    status: Mapped[str] = mapped_column(String(16))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """From this instant on the payer cannot accept."""
    payer_ispb: Mapped[str] = mapped_column(exact_string(8))
    payer_document: Mapped[str | None] = mapped_column(String(14))
    """Who is asked: a CPF or CNPJ. None once the person is erased, as account and branch."""
    payer_account: Mapped[str | None] = mapped_column(String(20))
    payer_branch: Mapped[str | None] = mapped_column(String(4))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the status became final."""


class RecurrenceRequestChange(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One status of a request, stored with the change. Rows are never changed."""

    __tablename__ = "recurrence_request_changes"
    __table_args__ = (
        Index("ix_recurrence_request_changes_request", "request_id", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    request_id: Mapped[int] = mapped_column(ForeignKey("recurrence_requests.id"))
    status: Mapped[str] = mapped_column(String(16))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The client and the request (`accounts.audit.author`), and why the payer's bank refused."""
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
