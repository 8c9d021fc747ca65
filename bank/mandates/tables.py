"""The tables of Pix Automático: requests, mandates, charges, and the outboxes of their notices."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    Integer,
    String,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from bank.codes.recurrence import MandateTerms
from bank.models import (
    TABLE_OPTIONS,
    BankBase,
    NoticeColumns,
    Transfer,
    UtcDateTime,
    exact_text,
    row_id,
)
from core.pix.recurrence_rules import JOURNEY_WITH_PAYMENT, Periodicity


class TermsColumns:
    """What a recurrence asks for, as the payee's bank signed it: the fields of MandateTerms."""

    id_rec: Mapped[str] = mapped_column(exact_text(29))
    payee_name: Mapped[str] = mapped_column(String(140))
    payee_document: Mapped[str] = mapped_column(String(14))
    contract: Mapped[str] = mapped_column(String(35))
    subject: Mapped[str | None] = mapped_column(String(35))
    debtor_name: Mapped[str | None] = mapped_column(String(140))
    debtor_document: Mapped[str | None] = mapped_column(String(14))
    periodicity: Mapped[str] = mapped_column(String(16))
    first_day: Mapped[date] = mapped_column(Date)
    last_day: Mapped[date | None] = mapped_column(Date)
    fixed_centavos: Mapped[int | None] = mapped_column(BigInteger)
    minimum_centavos: Mapped[int | None] = mapped_column(BigInteger)
    allows_retries: Mapped[bool] = mapped_column(Boolean)


class BankMandate(TermsColumns, BankBase):
    """What a client decided about one recurrence, with the terms as the payee's bank signed them.

    *accepting* until the service has answered the acceptance, then *active*, or *ended* with the
    service's code as `reason`. A refusal and a cancellation count at once, whatever the service
    answers; a cancelled mandate becomes *ended* if the recurrence had ended before.
    """

    __tablename__ = "bank_mandates"
    __table_args__ = (
        CheckConstraint(
            "status IN ('accepting', 'active', 'refused', 'cancelled', 'ended')", name="status"
        ),
        CheckConstraint("(status = 'ended') = (reason IS NOT NULL)", name="reason"),
        CheckConstraint("journey BETWEEN 1 AND 4", name="journey"),
        UniqueConstraint("payer_id", "id_rec"),
        Index(None, "id_rec"),
        Index(None, "payment_id", unique=True),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = row_id()
    payer_id: Mapped[int] = mapped_column(ForeignKey("bank_payers.id"))
    status: Mapped[str] = mapped_column(String(10))
    journey: Mapped[int] = mapped_column(Integer)
    """By which of the four journeys of Pix Automático the client met the recurrence."""
    decided_at: Mapped[datetime] = mapped_column(UtcDateTime())
    """When the client accepted or refused."""
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime())
    """When the client cancelled, or the service said that the recurrence has ended."""
    reason: Mapped[str | None] = mapped_column(String(64))
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("bank_transfers.id"))
    """The payment with which the client accepted, in journeys 3 and 4."""
    payment: Mapped[Transfer | None] = relationship(lazy="selectin")
    notices: Mapped[list[MandateNotice]] = relationship(
        back_populates="mandate", lazy="selectin", order_by="MandateNotice.id"
    )

    @property
    def has_lost_payment(self) -> bool:
        """Whether the mandate depends on a payment that went back."""
        if self.journey != JOURNEY_WITH_PAYMENT or self.payment is None:
            return False
        notice = self.payment.notice
        return notice is not None and notice.verdict == "returned"

    @property
    def is_void(self) -> bool:
        """Whether it was never active: the client may accept with another payment."""
        return self.status == "ended" and self.has_lost_payment

    @property
    def is_told(self) -> bool:
        """Whether the service has answered every decision."""
        return all(notice.done_at is not None for notice in self.notices)


class MandateNotice(NoticeColumns, BankBase):
    """One decision of a client, told to the service; *returned* means that it was refused."""

    __tablename__ = "bank_mandate_notices"
    __table_args__ = (
        CheckConstraint("answer IN ('accepted', 'refused', 'cancelled')", name="answer"),
        CheckConstraint("verdict IN ('confirmed', 'returned')", name="verdict"),
        CheckConstraint("(done_at IS NULL) = (verdict IS NULL)", name="done"),
        UniqueConstraint("mandate_id", "answer"),
        Index(None, "done_at", "next_attempt_at"),
        TABLE_OPTIONS,
    )

    mandate_id: Mapped[int] = mapped_column(ForeignKey("bank_mandates.id"))
    answer: Mapped[str] = mapped_column(String(10))
    mandate: Mapped[BankMandate] = relationship(back_populates="notices")


class MandateRequest(TermsColumns, BankBase):
    """A company's request to a client to authorise a recurrence, with its terms.

    *received* until the client decides or the company cancels. A request whose `expires_at` has
    passed waits for nobody, whatever its status.
    """

    __tablename__ = "bank_mandate_requests"
    __table_args__ = (
        CheckConstraint(
            "status IN ('received', 'accepted', 'refused', 'cancelled')", name="status"
        ),
        CheckConstraint("(status = 'received') = (closed_at IS NULL)", name="closed"),
        Index(None, "payer_id", "status"),
        Index(None, "id_rec"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = row_id()
    request_id: Mapped[str] = mapped_column(exact_text(29), unique=True)
    payer_id: Mapped[int] = mapped_column(ForeignKey("bank_payers.id"))
    status: Mapped[str] = mapped_column(String(10))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime())
    received_at: Mapped[datetime] = mapped_column(UtcDateTime())
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime())


class BankCollection(BankBase):
    """One attempt to debit a charge of a mandate, on its settlement day.

    *scheduled* until it is *paid*, with the transfer that moved the money, or *failed*, or
    *cancelled*. `tries` counts the looks at the balance; the next is at `next_try_at`.
    """

    __tablename__ = "bank_collections"
    __table_args__ = (
        CheckConstraint("amount_centavos > 0", name="amount"),
        CheckConstraint("status IN ('scheduled', 'paid', 'failed', 'cancelled')", name="status"),
        CheckConstraint("(status = 'scheduled') = (closed_at IS NULL)", name="closed"),
        CheckConstraint("(status = 'paid') = (transfer_id IS NOT NULL)", name="transfer"),
        CheckConstraint(
            "(status IN ('failed', 'cancelled')) = (reason IS NOT NULL)", name="reason"
        ),
        CheckConstraint("tries >= 0", name="tries"),
        Index(None, "mandate_id", "settles_on"),
        Index(None, "status", "next_try_at"),
        Index(None, "txid"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = row_id()
    mandate_id: Mapped[int] = mapped_column(ForeignKey("bank_mandates.id"))
    txid: Mapped[str] = mapped_column(exact_text(35))
    end_to_end_id: Mapped[str] = mapped_column(exact_text(32), unique=True)
    amount_centavos: Mapped[int] = mapped_column(BigInteger)
    settles_on: Mapped[date] = mapped_column(Date)
    kind: Mapped[str] = mapped_column(String(4))
    info: Mapped[str | None] = mapped_column(String(140))
    status: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str | None] = mapped_column(String(64))
    tries: Mapped[int] = mapped_column(Integer)
    next_try_at: Mapped[datetime] = mapped_column(UtcDateTime())
    received_at: Mapped[datetime] = mapped_column(UtcDateTime())
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime())
    transfer_id: Mapped[int | None] = mapped_column(ForeignKey("bank_transfers.id"), unique=True)
    mandate: Mapped[BankMandate] = relationship(lazy="joined", innerjoin=True)
    transfer: Mapped[Transfer | None] = relationship(lazy="joined", viewonly=True)


class CollectionNotice(NoticeColumns, BankBase):
    """That a charge failed or was cancelled here, told to the service."""

    __tablename__ = "bank_collection_notices"
    __table_args__ = (
        CheckConstraint("verdict IN ('confirmed', 'returned')", name="verdict"),
        CheckConstraint("(done_at IS NULL) = (verdict IS NULL)", name="done"),
        Index(None, "done_at", "next_attempt_at"),
        TABLE_OPTIONS,
    )

    collection_id: Mapped[int] = mapped_column(ForeignKey("bank_collections.id"), unique=True)


def terms_in(row: TermsColumns) -> MandateTerms:
    """The terms that a request or a mandate stores."""
    columns = {field.name: getattr(row, field.name) for field in fields(MandateTerms)}
    return MandateTerms(**columns | {"periodicity": Periodicity(row.periodicity)})
