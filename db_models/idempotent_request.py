"""The first answer to each Idempotency-Key, stored for retries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class IdempotentRequest(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One row per merchant and key, inserted in the transaction of the request."""

    __tablename__ = "idempotent_requests"
    __table_args__ = (UniqueConstraint("merchant_id", "key"), TABLE_OPTIONS)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    key: Mapped[str] = mapped_column(exact_string(255))
    operation: Mapped[str] = mapped_column(String(120))
    request: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The body of the request, so that a conflict can name the fields that differ."""
    status: Mapped[int] = mapped_column(Integer)
    location: Mapped[str] = mapped_column(String(500))
    answer: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
