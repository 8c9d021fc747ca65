"""The tables of mandates: what a client agreed to, and the outbox of the client's decisions."""

from __future__ import annotations

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

from bank.models import TABLE_OPTIONS, BankBase, NoticeColumns, UtcDateTime, exact_text, row_id


class BankMandate(BankBase):
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
        TABLE_OPTIONS,
    )

    id: Mapped[int] = row_id()
    payer_id: Mapped[int] = mapped_column(ForeignKey("bank_payers.id"))
    id_rec: Mapped[str] = mapped_column(exact_text(29))
    status: Mapped[str] = mapped_column(String(10))
    journey: Mapped[int] = mapped_column(Integer)
    """By which of the four journeys of Pix Automático the client met the recurrence."""
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
    decided_at: Mapped[datetime] = mapped_column(UtcDateTime())
    """When the client accepted or refused."""
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime())
    """When the client cancelled, or the service said that the recurrence has ended."""
    reason: Mapped[str | None] = mapped_column(String(64))
    notices: Mapped[list[MandateNotice]] = relationship(
        back_populates="mandate", lazy="selectin", order_by="MandateNotice.id"
    )

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
