"""A merchant's account at a real bank (PSP) that speaks Banco Central's API Pix."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_public_id
from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class Environment(enum.StrEnum):
    """Whether the money of an account is real."""

    TEST = "test"
    LIVE = "live"


class ProviderAccount(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """Never deleted, because payments and receipts name it; `removed_at` ends its use."""

    __tablename__ = "provider_accounts"
    __table_args__ = (
        CheckConstraint("environment IN ('test', 'live')", name="environment_known"),
        CheckConstraint("version > 0", name="version_positive"),
        Index("ix_provider_accounts_merchant", "merchant_id", "id"),
        Index("ix_provider_accounts_old_token", "previous_token_sha256", unique=True),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    """The account's only id on the wire: 32 hex digits."""
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str] = mapped_column(String(60))
    """How the merchant calls it."""
    profile: Mapped[str] = mapped_column(String(32))
    """The name of a file in `providers/profiles/`, without its ending."""
    environment: Mapped[str] = mapped_column(String(4))
    """An `Environment`."""
    pix_key: Mapped[str] = mapped_column(exact_string(77))
    """The Pix key of its charges, as `core.pix.pix_key` writes it."""
    sealed: Mapped[str] = mapped_column(Text)
    """Credentials, certificate and callback token, encrypted, see `providers.secrets`."""
    token_sha256: Mapped[str] = mapped_column(exact_string(64), unique=True)
    """The SHA-256 of the token in the address of its callbacks, in hex."""
    previous_token_sha256: Mapped[str | None] = mapped_column(exact_string(64))
    """The same for the token before, until the bank has the new address; else None."""
    overrides: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Values that replace those of the profile, such as addresses."""
    version: Mapped[int] = mapped_column(Integer, default=1)
    """Incremented by each change of what a client is built from, so that all processes reload."""
    certificate_ends_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When its client certificate expires; None without one."""
    warned_days: Mapped[int | None] = mapped_column(Integer)
    """The last warning of the certificate's end, in days before it; None before the first."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    removed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """From then on it gets no new charges; its open ones and its refunds go on."""
    answered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the bank last gave a usable answer; written at most once a minute."""
    fault: Mapped[str | None] = mapped_column(String(64))
    """The code of the last failure since then; None while the bank answers."""
    fault_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    clock_offset_ms: Mapped[int | None] = mapped_column(Integer)
    """How far the bank's clock is ahead of ours, by its `Date`; None before the first answer."""
    callback_came_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When a callback last named money that the bank then confirmed."""
    callback_checked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the registered address was last read back."""
    callback_fault: Mapped[str | None] = mapped_column(String(64))
    """Why callbacks do not come: another address, none, or `none-came`; None for no fault."""
    window_wanted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Since when a list of Pix should be read soon: a callback named what no charge explains."""
