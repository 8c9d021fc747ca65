"""The charge at a real bank by which a payment is paid."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class ProviderChargeStatus(enum.StrEnum):
    """What we know of a charge at its bank.

        opening ─┬─ the bank has it, and its code was checked ──▶ open
                 └─ the bank refused it ──▶ refused
        open ─┬─ the bank says that it is paid ──▶ paid
              └─ nobody shall pay it any more ──▶ closing ─┬─▶ closed
                                                           └─ paid meanwhile ──▶ paid

    A refused, closed or paid charge stays so. Money may still arrive for it, and is looked up.
    """

    OPENING = "opening"
    """Stored and perhaps sent: the outcome is unknown until the bank has answered."""
    OPEN = "open"
    REFUSED = "refused"
    CLOSING = "closing"
    CLOSED = "closed"
    PAID = "paid"


class ProviderCharge(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """Inserted with its payment, before the bank is called: one txid for ever."""

    __tablename__ = "provider_charges"
    __table_args__ = (
        CheckConstraint(
            "status IN ('opening', 'open', 'refused', 'closing', 'closed', 'paid')",
            name="status_known",
        ),
        CheckConstraint("amount_centavos > 0", name="amount_positive"),
        CheckConstraint("lifetime_seconds > 0", name="lifetime_positive"),
        CheckConstraint("attempts >= 0", name="attempts_not_negative"),
        Index("ix_provider_charges_txid", "account_id", "txid", unique=True),
        Index("ix_provider_charges_due", "next_at", "id"),
        # The few open charges among all that ever were: those of ended payments are closed.
        Index("ix_provider_charges_status", "status", "id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"), unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("provider_accounts.id"))
    txid: Mapped[str] = mapped_column(exact_string(35))
    pix_key: Mapped[str] = mapped_column(exact_string(77))
    """The key of the charge; the account may get another one later."""
    amount_centavos: Mapped[int] = mapped_column(BigInteger)
    lifetime_seconds: Mapped[int] = mapped_column(Integer)
    """`expiracao`, the same in each request, counted by the bank from its `criacao`."""
    status: Mapped[str] = mapped_column(String(16))
    """A `ProviderChargeStatus`."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    bank_created_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """`criacao`, by the bank's clock; None until the bank has answered."""
    location: Mapped[str | None] = mapped_column(String(255))
    """Where the payer's bank fetches the payload, without scheme."""
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the next call for `opening` or `closing` is due; a process moves it ahead to acquire
    the lease. None in the other statuses."""
    attempts: Mapped[int] = mapped_column(Integer)
    fault: Mapped[str | None] = mapped_column(String(64))
    """The code of the last failure, or of the bank's refusal; None after a success, and while a
    call is in progress."""
