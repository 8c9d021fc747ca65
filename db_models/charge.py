"""What API Pix keeps of charges beside their payments: old revisions, and moved locations."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class ChargeKind(enum.StrEnum):
    """The kinds of charge of API Pix: immediate, with a due date, and of a recurrence.

    The last has no code and no location, see `db_models.recurring_charge`.
    """

    COB = "cob"
    COBV = "cobv"
    COBR = "cobr"


class ChargeRevision(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """A charge as it stood before a change; the payment's row has the newest revision."""

    __tablename__ = "charge_revisions"
    __table_args__ = (TABLE_OPTIONS,)

    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    state: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The columns of the payment that a revision may change (`payments.charges`)."""
    replaced_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Location(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """A location that was reserved before its charge, or that a charge has given up.

    Every payment begins with a location of its own, its watch code, which has no row here.
    """

    __tablename__ = "locations"
    __table_args__ = (
        Index("ix_locations_merchant", "merchant_id", "created_at", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    token: Mapped[str] = mapped_column(exact_string(32), unique=True)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    charge_kind: Mapped[str] = mapped_column(String(4))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"), unique=True)
    """The charge that it shows."""
