"""Who: a merchant that receives, a payer that pays, an administrator who looks after both."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_public_id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string

Id = BigInteger().with_variant(Integer, "sqlite")

MERCHANT, PAYER, ADMIN = "merchant", "payer", "admin"
"""The roles an account may have; it has one."""


class Account(db.Model):  # type: ignore[name-defined, misc]  # Flask-SQLAlchemy's Model is made at run time
    """Somebody who signs in; of a merchant also how it receives and what its shoppers are shown."""

    __tablename__ = "accounts"
    __table_args__ = (
        CheckConstraint("grace_seconds >= 0", name="grace_not_negative"),
        CheckConstraint("role IN ('merchant', 'payer', 'admin')", name="role_known"),
        CheckConstraint(
            "role <> 'merchant' OR pix_key IS NOT NULL", name="merchant_receives_by_a_key"
        ),
        Index("ix_accounts_role", "role", "login"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    """The account's only id on the wire: 32 hex digits."""
    login: Mapped[str] = mapped_column(exact_string(64), unique=True)
    role: Mapped[str] = mapped_column(String(16), default=MERCHANT)
    password_hash: Mapped[str | None] = mapped_column(String(255))
    """Argon2id in PHC form; None for whoever has API keys alone."""
    email: Mapped[str | None] = mapped_column(String(254))
    name: Mapped[str] = mapped_column(String(120))
    city: Mapped[str] = mapped_column(String(60))
    pix_key: Mapped[str | None] = mapped_column(exact_string(77), unique=True)
    """Where a merchant receives; payers and administrators have none."""
    grace_seconds: Mapped[int] = mapped_column(Integer, default=0)
    """Seconds after a deadline in which the bank may still have taken the money."""
    shop_url: Mapped[str | None] = mapped_column(String(500))
    support_url: Mapped[str | None] = mapped_column(String(500))
    support_contact: Mapped[str | None] = mapped_column(String(120))
    """How shoppers reach the shop, in its own words: a telephone, an e-mail, a place."""
    logo_url: Mapped[str | None] = mapped_column(String(500))
    brand_color: Mapped[str | None] = mapped_column(String(7))
    """`#rrggbb`, for the shop's payment pages."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    signed_in_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The last sign-in by password."""
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Since when none of its credentials opens anything; None for an account in use."""
