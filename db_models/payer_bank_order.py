"""Orders to the payer's bank about recurrences, until the bank has answered."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Boolean, CheckConstraint, Index, Integer, String, false
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class OrderKind(enum.StrEnum):
    """What the payer's bank shall do."""

    REQUEST = "request"
    REQUEST_CANCEL = "request-cancel"
    MANDATE_CANCEL = "mandate-cancel"
    COLLECTION = "collection"
    COLLECTION_CANCEL = "collection-cancel"


class PayerBankOrder(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """Inserted with the change that needs it; deleted with the bank's final answer.

    Orders with one subject are sent one after another, in the order of their ids.
    """

    __tablename__ = "payer_bank_orders"
    __table_args__ = (
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        CheckConstraint(
            "kind IN ('request', 'request-cancel', 'mandate-cancel', 'collection',"
            " 'collection-cancel')",
            name="kind_known",
        ),
        Index("ix_payer_bank_orders_due", "next_at", "id"),
        Index("ix_payer_bank_orders_subject", "subject", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(exact_string(35))
    """What it is about: the id of a request, a recurrence, or a collection (endToEndId)."""
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    """What is sent, the same at each attempt; it may name a payer."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When it may be sent next; a process moves it ahead to acquire the lease."""
    attempts: Mapped[int] = mapped_column(Integer)
    is_test: Mapped[bool] = mapped_column(Boolean, server_default=false())
    """Whether it goes to the bank of test halves, which has a secret of its own."""
