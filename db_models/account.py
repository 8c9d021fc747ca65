"""Accounts of merchants, payers and administrators."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    String,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.ids import new_public_id
from core.typed import NAME_KEY_MAX
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string

Id = BigInteger().with_variant(Integer, "sqlite")

MERCHANT, PAYER, ADMIN = "merchant", "payer", "admin"
"""The roles. Each account has one."""


class Account(db.Model):  # type: ignore[name-defined, misc]  # Flask-SQLAlchemy's Model is made at run time
    """An account that can sign in, or a merchant's test half, which cannot.

    The shop's columns are used for merchants alone.
    """

    __tablename__ = "accounts"
    __table_args__ = (
        CheckConstraint("grace_seconds >= 0", name="grace_not_negative"),
        CheckConstraint("role IN ('merchant', 'payer', 'admin')", name="role_known"),
        Index("ix_accounts_role", "role", "login"),
        Index("ix_accounts_email", "email"),
        Index("ix_accounts_login_key", "login_key", unique=True),
        Index("ix_accounts_name_key", "name_key"),
        Index("ix_accounts_held_name_key", "held_name_key", unique=True),
        Index("ix_accounts_test_of", "test_of_id", unique=True),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(exact_string(32), unique=True, default=new_public_id)
    """The account's only id on the wire: 32 hex digits."""
    login: Mapped[str] = mapped_column(exact_string(64), unique=True)
    login_key: Mapped[str | None] = mapped_column(exact_string(64))
    """The login in `core.typed.caseless`; new logins are stored in that spelling.

    None for an old account whose login differs only in case from another one's: it signs in by its
    exact login.
    """
    role: Mapped[str] = mapped_column(String(16), default=MERCHANT)
    test_of_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    """The merchant whose test half this account is; None for every account that can sign in."""
    password_hash: Mapped[str | None] = mapped_column(String(255))
    """Argon2id in PHC form; None for an account that uses API keys only."""
    email: Mapped[str | None] = mapped_column(String(254))
    """In `core.typed.caseless`."""
    name: Mapped[str] = mapped_column(String(120))
    name_key: Mapped[str | None] = mapped_column(exact_string(NAME_KEY_MAX))
    """A merchant's name in `core.typed.name_key`; None for other roles. Old twins may have it."""
    held_name_key: Mapped[str | None] = mapped_column(exact_string(NAME_KEY_MAX))
    """The `name_key` of the one shop that holds the name; None for its old twins.

    Its index decides between two shops that take a name at the same instant.
    """
    city: Mapped[str] = mapped_column(String(60))
    document: Mapped[str | None] = mapped_column(String(14))
    """The CPF or CNPJ of a merchant, which charges with a due date show; None until it is entered.

    With the address, it is the member `recebedor` of API Pix 2.9.0.
    """
    street: Mapped[str | None] = mapped_column(String(200))
    state: Mapped[str | None] = mapped_column(String(2))
    """The two letters of a state."""
    postal_code: Mapped[str | None] = mapped_column(String(8))
    """Eight digits."""
    pix_key: Mapped[str | None] = mapped_column(exact_string(77), unique=True)
    """The Pix key that receives a merchant's money; None until the merchant has entered it.

    Payers and administrators have none.
    """
    live_provider_id: Mapped[int | None] = mapped_column(BigInteger)
    """The row id of the provider account with which new payments are made for real money; None for
    the bank of the settings, 0 if new payments are refused (`providers.accounts`). Not a foreign
    key: the two tables would refer to each other."""
    test_provider_id: Mapped[int | None] = mapped_column(BigInteger)
    """The same for payments of tests."""
    grace_seconds: Mapped[int] = mapped_column(Integer, default=0)
    """A payment made up to this many seconds after the deadline is accepted."""
    shop_url: Mapped[str | None] = mapped_column(String(500))
    support_url: Mapped[str | None] = mapped_column(String(500))
    support_contact: Mapped[str | None] = mapped_column(String(120))
    """How shoppers reach the shop, as free text: a telephone number, an e-mail, an address."""
    institution: Mapped[str | None] = mapped_column(String(60))
    """The bank of the Pix key, as receipts name it; the merchant's own words."""
    logo_url: Mapped[str | None] = mapped_column(String(500))
    mails_payments: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    """Whether the merchant gets an e-mail for each payment."""
    brand_color: Mapped[str | None] = mapped_column(String(7))
    """`#rrggbb`, for the shop's payment pages."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    signed_in_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """The last sign-in by password."""
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """From this time on no credential of the account works; None for an active account."""

    @property
    def is_test_half(self) -> bool:
        """Whether the account is a merchant's test half, whose money is never real."""
        return self.test_of_id is not None
