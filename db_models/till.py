"""Tills: the places of a merchant that show a static code, such as a poster or a cash desk."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Integer, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class Till(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """A till's static code carries its txid, so a receipt names the till that the payer used."""

    __tablename__ = "tills"
    __table_args__ = (
        CheckConstraint("number > 0", name="number_positive"),
        # Two processes that count a merchant's tills at once cannot both insert the next one.
        UniqueConstraint("merchant_id", "number"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    number: Mapped[int] = mapped_column(Integer)
    """Counts the merchant's tills from 1; never leaves the service."""
    txid: Mapped[str] = mapped_column(exact_string(25), unique=True)
    """Field 62-05 of the till's BR Codes: 25 letters and digits."""
    name: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """A closed till shows no new codes; money for its printed codes is still received."""
