"""Batches of charges with a due date (API Pix 2.9.0, tag LoteCobV), and what waits in them."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
)
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class BatchItemStatus(enum.StrEnum):
    """What became of the newest request for an item."""

    WAITING = "waiting"
    CREATED = "created"
    """Its charge exists and is as the newest request asks."""
    REFUSED = "refused"


class ChargeBatch(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """A batch; its merchant chose the number. Its items never come or go."""

    __tablename__ = "charge_batches"
    __table_args__ = (
        Index("ix_charge_batches_number", "merchant_id", "number", unique=True),
        Index("ix_charge_batches_created", "merchant_id", "created_at", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    number: Mapped[int] = mapped_column(BigInteger)
    description: Mapped[str] = mapped_column(String(255))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ChargeBatchItem(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """A charge of a batch, which exists once a request for it was accepted."""

    __tablename__ = "charge_batch_items"
    __table_args__ = (
        Index("ix_charge_batch_items_txid", "merchant_id", "txid", unique=True),
        TABLE_OPTIONS,
    )

    batch_id: Mapped[int] = mapped_column(
        ForeignKey("charge_batches.id"), primary_key=True, autoincrement=False
    )
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """The place in the request that created the batch, from 0."""
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    txid: Mapped[str] = mapped_column(exact_string(35))
    status: Mapped[str] = mapped_column(String(8))
    problem: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """Why the newest request was refused: a `Problema` of API Pix without personal data."""
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"), unique=True)


class ChargeBatchRequest(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """The newest request for an item, until it is carried out; then the row is deleted.

    Ids are never used twice, so that a process which has read a row cannot delete a newer one.
    """

    __tablename__ = "charge_batch_requests"
    __table_args__ = (
        ForeignKeyConstraint(
            ["batch_id", "position"],
            ["charge_batch_items.batch_id", "charge_batch_items.position"],
            name="fk_charge_batch_requests_item",
        ),
        Index("ix_charge_batch_requests_item", "batch_id", "position", unique=True),
        Index("ix_charge_batch_requests_merchant", "merchant_id"),
        {**TABLE_OPTIONS, "sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    batch_id: Mapped[int] = mapped_column(Id)
    position: Mapped[int] = mapped_column(Integer)
    merchant_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    """The members of the charge as the client sent them, with the debtor's personal data."""
    is_revision: Mapped[bool] = mapped_column(Boolean)
    """Whether the body has only the members that change."""
    author: Mapped[dict[str, str]] = mapped_column(JSON)
    """What `accounts.audit.author` said of the request."""
    sent_at: Mapped[datetime] = mapped_column(UtcDateTime)
