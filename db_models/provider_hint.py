"""What a bank should be asked for soon, because a callback named it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class ProviderHint(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """Inserted by each callback, and deleted once the bank has answered about it.

    Several rows may name the same money: a row that was read before a second callback came says
    nothing of what that one is about.
    """

    __tablename__ = "provider_hints"
    __table_args__ = (
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        CheckConstraint("txid IS NOT NULL OR end_to_end_id IS NOT NULL", name="names_money"),
        Index("ix_provider_hints_due", "account_id", "due_at", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("provider_accounts.id"))
    txid: Mapped[str | None] = mapped_column(exact_string(35))
    """A charge of the account."""
    end_to_end_id: Mapped[str | None] = mapped_column(exact_string(128))
    """A Pix of the account that belongs to no charge; None if `txid` is given."""
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """When the bank may be asked; moved ahead after a failure."""
    misfit: Mapped[str | None] = mapped_column(String(40))
    """Why a return of this Pix cannot be booked, such as `return-exceeds`; None for no such return.

    The row then stays until the return fits, whatever else the bank says."""
    amount_centavos: Mapped[int | None] = mapped_column(BigInteger)
    """The amount of that return."""
    attempts: Mapped[int] = mapped_column(Integer)
