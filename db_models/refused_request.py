"""Refused requests of a merchant's programs, so that a developer finds out what was wrong."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class RefusedRequest(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """What identifies one refusal: no body, no value, no query string."""

    __tablename__ = "refused_requests"
    __table_args__ = (
        CheckConstraint("status BETWEEN 400 AND 599", name="status_is_refusal"),
        Index("ix_refused_requests_account", "account_id", "id"),
        Index("ix_refused_requests_age", "refused_at", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    key_id: Mapped[int | None] = mapped_column(ForeignKey("api_keys.id"))
    """The API key of the request, also a revoked one; None for an access token."""
    refused_at: Mapped[datetime] = mapped_column(UtcDateTime)
    method: Mapped[str] = mapped_column(String(16))
    path: Mapped[str] = mapped_column(String(200))
    status: Mapped[int] = mapped_column(Integer)
    code: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(exact_string(128))
    fields: Mapped[list[str]] = mapped_column(JSON)
    """The names of the fields that were refused."""
