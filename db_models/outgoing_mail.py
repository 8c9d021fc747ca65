"""Outgoing mail: one row per message, written with its cause and sent by a job."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import CheckConstraint, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_public_id
from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class MailKind(enum.StrEnum):
    """Why a message is sent."""

    PASSWORD_RESET = "password-reset"  # noqa: S105 - a kind's name
    PAYMENT_RECEIVED = "payment-received"
    RECEIPT = "receipt"
    PROVIDER_NOTICE = "provider-notice"


class OutgoingMail(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One message to one recipient. `body` is emptied when nothing is left to send."""

    __tablename__ = "outgoing_mails"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('password-reset', 'payment-received', 'receipt', 'provider-notice')",
            name="kind_known",
        ),
        CheckConstraint("tries >= 0", name="tries_not_negative"),
        CheckConstraint(
            "next_try_at IS NULL OR (sent_at IS NULL AND refused_at IS NULL)",
            name="no_try_after_the_end",
        ),
        Index("ix_outgoing_mails_due", "next_try_at", "id"),
        Index("ix_outgoing_mails_age", "created_at", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    """The left part of the Message-ID, so that a message that is sent twice counts once."""
    kind: Mapped[str] = mapped_column(String(20))
    recipient: Mapped[str] = mapped_column(String(254))
    subject: Mapped[str] = mapped_column(String(200))
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    next_try_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the message is due, or the end of the lease of the process that sends it."""
    tries: Mapped[int] = mapped_column(Integer, default=0)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    refused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the server refused it for good, or the last try failed."""
    error: Mapped[str | None] = mapped_column(String(200))
    """What the server said at the last failed try."""
