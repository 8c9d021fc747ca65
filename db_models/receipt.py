"""Receipts: one row for all money that a bank reports, for a payment or without one."""

from __future__ import annotations

import enum
from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Computed, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from db_models.account import Id
from db_models.base import TABLE_OPTIONS, UtcDateTime, db, exact_string


class Verdict(enum.StrEnum):
    """`refused` means that the bank returns the money."""

    ACCEPTED = "accepted"
    REFUSED = "refused"


class Receipt(db.Model):  # type: ignore[name-defined, misc]  # see Account
    """One row per end_to_end_id; at most one accepted per payment.

    An accepted receipt without a payment is money for a static code, or money that fits no payment
    at a real bank, which cannot refuse it. It has a merchant, and gets a payment when the merchant
    attaches it or gives it back.
    """

    __tablename__ = "receipts"
    __table_args__ = (
        CheckConstraint("amount_centavos > 0", name="amount_positive"),
        CheckConstraint(
            "(verdict = 'accepted' AND reason IS NULL"
            " AND (payment_id IS NOT NULL OR merchant_id IS NOT NULL))"
            " OR (verdict = 'refused' AND reason IS NOT NULL)",
            name="verdict_has_its_reason",
        ),
        CheckConstraint("bank_payment_id IS NOT NULL OR pix_key IS NOT NULL", name="has_a_target"),
        Index("ix_receipts_merchant", "merchant_id", "id"),
        Index("ix_receipts_payment", "payment_id", "id"),
        Index("ix_receipts_till", "till_id", "id"),
        Index("ix_receipts_meant", "meant_payment_id", "id"),
        # The list of Pix of API Pix, by the time of settlement.
        Index("ix_receipts_settled", "merchant_id", "verdict", "paid_at", "id"),
        # The money without a payment of a span of days is summed from this index alone.
        Index("ix_receipts_free", "merchant_id", "payment_id", "told_at", "amount_centavos"),
        # The money that fits no payment is counted every few seconds from this index alone.
        Index("ix_receipts_misfit", "misfit", "payment_id", "provider_account_id"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    end_to_end_id: Mapped[str] = mapped_column(exact_string(128), unique=True)
    bank_payment_id: Mapped[str | None] = mapped_column(exact_string(64))
    """The id in the bank's notification, also if no payment has this id; None for a static code."""
    pix_key: Mapped[str | None] = mapped_column(exact_string(77))
    """The payee's key of a static code."""
    reference: Mapped[str | None] = mapped_column(exact_string(25))
    """The txid of a static code, also if no till has this txid."""
    till_id: Mapped[int | None] = mapped_column(ForeignKey("tills.id"))
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"))
    merchant_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    amount_centavos: Mapped[int] = mapped_column(BigInteger)
    paid_at: Mapped[datetime] = mapped_column(UtcDateTime)
    told_at: Mapped[datetime] = mapped_column(UtcDateTime)
    payer_name: Mapped[str | None] = mapped_column(String(140))
    payer_document: Mapped[str | None] = mapped_column(String(14))
    payer_message: Mapped[str | None] = mapped_column(String(140))
    """What the payer wrote to the payee (API Pix 2.9.0, infoPagador)."""
    verdict: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(40))
    provider_account_id: Mapped[int | None] = mapped_column(ForeignKey("provider_accounts.id"))
    """The account of the real bank that holds the money; None for the simulated bank."""
    misfit: Mapped[str | None] = mapped_column(String(40))
    """Why money that a real bank keeps settled no payment, as the code of a refusal, such as
    `amount-mismatch` or `already-paid`; None for all other receipts."""
    meant_payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"))
    """The payment that such money named; None if no payment has its txid."""
    settles_payment_id: Mapped[int | None] = mapped_column(
        Id,
        Computed("CASE WHEN verdict = 'accepted' THEN payment_id END", persisted=True),
        unique=True,
    )
    """`payment_id` of an accepted receipt: unique, so a payment is settled once."""
