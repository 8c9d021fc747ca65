"""The bank's tables.

No table stores a balance: it is the sum of an account's credits less the sum of its debits.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    event,
    true,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator, TypeEngine

FAILED_PINS_MAX = 5
"""Wrong PINs in a row that lock a card."""

_NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
TABLE_OPTIONS = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}
"""The last argument of each table."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant, stored as naive UTC with microseconds on every engine."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Ask MySQL and MariaDB for microseconds; by default they store whole seconds."""
        if dialect.name in ("mysql", "mariadb"):
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime())

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Refuse naive instants, whose time zone is unknown. Raises ValueError."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant must be aware")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Return the stored instant as aware UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


def exact_text(length: int) -> String:
    """Text that MySQL too compares byte by byte, so that case and trailing spaces count."""
    binary = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(binary, "mysql", "mariadb")


def row_id() -> Mapped[int]:
    """The primary key of a table, generated on every engine."""
    # SQLite generates ids only for a column of the type INTEGER.
    return mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


class BankBase(DeclarativeBase):
    """The base of the bank's tables, whose names begin with `bank_`."""

    metadata = MetaData(naming_convention=_NAMING)


class BankAccount(BankBase):
    """An account of the ledger: a payer's, a payee's (one per Pix key), or `opening`.

    Opening balances are debited from the account `opening`.
    """

    __tablename__ = "bank_accounts"
    __table_args__ = (
        CheckConstraint("kind IN ('payer', 'payee', 'opening')", name="kind"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = row_id()
    name: Mapped[str] = mapped_column(exact_text(100), unique=True)
    kind: Mapped[str] = mapped_column(String(10))
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime())


class BankPayer(BankBase):
    """A client of this bank, with one card. FAILED_PINS_MAX wrong PINs in a row lock the card.

    `holder` is the service's id of the account that the wallet was opened for. The PIN may be
    reissued while `is_pin_proved` is false, that is, until it was entered right once.
    """

    __tablename__ = "bank_payers"
    __table_args__ = (
        CheckConstraint("limit_centavos > 0", name="limit"),
        CheckConstraint("failed_pins >= 0", name="failed_pins"),
        Index(None, "holder", unique=True),
        Index(None, "document"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = row_id()
    handle: Mapped[str] = mapped_column(exact_text(32), unique=True)
    name: Mapped[str] = mapped_column(String(100))
    document: Mapped[str] = mapped_column(String(14))
    card_number: Mapped[str] = mapped_column(exact_text(19), unique=True)
    pin_hash: Mapped[str] = mapped_column(String(255))
    failed_pins: Mapped[int] = mapped_column(Integer, default=0)
    limit_centavos: Mapped[int] = mapped_column(BigInteger)
    account_id: Mapped[int] = mapped_column(ForeignKey("bank_accounts.id"), unique=True)
    holder: Mapped[str | None] = mapped_column(exact_text(64))
    is_pin_proved: Mapped[bool] = mapped_column(Boolean, default=True, server_default=true())
    account: Mapped[BankAccount] = relationship(lazy="joined", innerjoin=True)

    @property
    def pins_left(self) -> int:
        """How many more wrong PINs lock the card; 0 when it is locked."""
        return max(0, FAILED_PINS_MAX - self.failed_pins)


class KnownKey(BankBase):
    """The owner of a Pix key, as named in a charge that the bank at `host` signed."""

    __tablename__ = "bank_known_keys"
    __table_args__ = (TABLE_OPTIONS,)

    id: Mapped[int] = row_id()
    key: Mapped[str] = mapped_column(exact_text(77), unique=True)
    host: Mapped[str] = mapped_column(exact_text(77))
    name: Mapped[str] = mapped_column(String(100))
    city: Mapped[str | None] = mapped_column(String(40))
    learnt_at: Mapped[datetime] = mapped_column(UtcDateTime())


class Transfer(BankBase):
    """A movement of money from one account to another. Rows never change.

    `identifier` begins with `E` for a payment (its end_to_end_id), with `D` for money that goes
    back (its rtrId) and with `O` for an opening balance. A *return* reverses a payment that the
    service refused; a *refund* gives back some or all of a payment that it accepted. `reverses_id`
    and `refunds_id` name that payment.

    `txid` comes from a signed charge. The txid of a static code is stored as `reference`, because
    anyone can write any txid into a static code. `request_key` is the idempotency key of the
    request, and `request_hash` tells whether a repeated key came with the same request.
    """

    __tablename__ = "bank_transfers"
    __table_args__ = (
        CheckConstraint("kind IN ('payment', 'return', 'refund', 'opening')", name="kind"),
        CheckConstraint("amount_centavos > 0", name="amount"),
        CheckConstraint("debit_account_id <> credit_account_id", name="two_accounts"),
        CheckConstraint("(kind = 'return') = (reverses_id IS NOT NULL)", name="reversal"),
        CheckConstraint("(kind = 'refund') = (refunds_id IS NOT NULL)", name="refund"),
        Index(None, "debit_account_id", "id"),
        Index(None, "credit_account_id", "id"),
        Index(None, "kind", "made_at", "id"),
        Index(None, "refunds_id"),
        Index(None, "txid"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = row_id()
    identifier: Mapped[str] = mapped_column(exact_text(32), unique=True)
    kind: Mapped[str] = mapped_column(String(10))
    debit_account_id: Mapped[int] = mapped_column(ForeignKey("bank_accounts.id"))
    credit_account_id: Mapped[int] = mapped_column(ForeignKey("bank_accounts.id"))
    amount_centavos: Mapped[int] = mapped_column(BigInteger)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime())
    txid: Mapped[str | None] = mapped_column(exact_text(35))
    reference: Mapped[str | None] = mapped_column(exact_text(25))
    payee_name: Mapped[str | None] = mapped_column(String(100))
    payee_key: Mapped[str | None] = mapped_column(exact_text(77))
    reverses_id: Mapped[int | None] = mapped_column(ForeignKey("bank_transfers.id"), unique=True)
    refunds_id: Mapped[int | None] = mapped_column(ForeignKey("bank_transfers.id"))
    request_key: Mapped[str | None] = mapped_column(exact_text(64), unique=True)
    request_hash: Mapped[str | None] = mapped_column(exact_text(64))
    notice: Mapped[Notice | None] = relationship(back_populates="transfer", lazy="joined")
    reverses: Mapped[Transfer | None] = relationship(
        foreign_keys=[reverses_id], remote_side=[id], lazy="joined", join_depth=1, viewonly=True
    )
    refunds: Mapped[Transfer | None] = relationship(
        foreign_keys=[refunds_id], remote_side=[id], lazy="joined", join_depth=1, viewonly=True
    )

    @property
    def undoes(self) -> Transfer | None:
        """The payment that this return or refund gives back; None for other kinds."""
        return self.reverses or self.refunds


class NoticeColumns:
    """The columns of each outbox: a notice to the service, sent until the service answers it.

    `body` is stored byte for byte because it is signed. A worker claims a notice by moving
    `next_attempt_at` ahead with a conditional update; until that instant no other worker sends it.
    `done_at` is set when the service has answered, with the `verdict`, which is of `NoticeVerdict`.
    """

    id: Mapped[int] = row_id()
    message_id: Mapped[str] = mapped_column(exact_text(64), unique=True)
    body: Mapped[bytes] = mapped_column(LargeBinary(4096))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    next_attempt_at: Mapped[datetime] = mapped_column(UtcDateTime())
    answer_status: Mapped[int | None] = mapped_column(Integer)
    answer_code: Mapped[str | None] = mapped_column(String(64))
    answer_detail: Mapped[str | None] = mapped_column(String(500))
    verdict: Mapped[str | None] = mapped_column(String(10))
    done_at: Mapped[datetime | None] = mapped_column(UtcDateTime())


class Notice(NoticeColumns, BankBase):
    """The confirmation of one payment. `scenario` names the fault to inject."""

    __tablename__ = "bank_notices"
    __table_args__ = (
        CheckConstraint("copies BETWEEN 1 AND 10", name="copies"),
        CheckConstraint("verdict IN ('confirmed', 'returned')", name="verdict"),
        CheckConstraint("(done_at IS NULL) = (verdict IS NULL)", name="done"),
        Index(None, "done_at", "next_attempt_at"),
        Index(None, "scenario", "done_at"),
        TABLE_OPTIONS,
    )

    transfer_id: Mapped[int] = mapped_column(ForeignKey("bank_transfers.id"), unique=True)
    scenario: Mapped[str] = mapped_column(String(24), default="normal")
    copies: Mapped[int] = mapped_column(Integer, default=1)
    shown_at: Mapped[datetime | None] = mapped_column(UtcDateTime())
    """When a look-up first showed the service this payment: it may have settled it."""
    transfer: Mapped[Transfer] = relationship(back_populates="notice", lazy="joined")


class BankRefund(BankBase):
    """A refund that the payee requested for one payment; `refund_id` is the payee's own id.

    A refund is *processing* until `due_at`. Then it is *done*, with the transfer that moved the
    money, or *failed*, if the payee's account did not hold enough.
    """

    __tablename__ = "bank_refunds"
    __table_args__ = (
        CheckConstraint("amount_centavos > 0", name="amount"),
        CheckConstraint("status IN ('processing', 'done', 'failed')", name="status"),
        CheckConstraint("(status = 'done') = (transfer_id IS NOT NULL)", name="transfer"),
        CheckConstraint("(status = 'processing') = (settled_at IS NULL)", name="settled"),
        Index(None, "payment_id"),
        Index(None, "status", "due_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = row_id()
    refund_id: Mapped[str] = mapped_column(exact_text(35), unique=True)
    return_id: Mapped[str] = mapped_column(exact_text(32), unique=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("bank_transfers.id"))
    amount_centavos: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(10))
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime())
    due_at: Mapped[datetime] = mapped_column(UtcDateTime())
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime())
    transfer_id: Mapped[int | None] = mapped_column(ForeignKey("bank_transfers.id"), unique=True)
    payment: Mapped[Transfer] = relationship(foreign_keys=[payment_id], lazy="joined")


class RobotOrder(BankBase):
    """An order of the service to pay the code of a test payment; `order_id` is the service's id.

    An order *waits* until `next_attempt_at`, which a worker moves ahead to claim it. It ends
    *paid*, or *refused* with the code of the error for which the robot could not pay.
    """

    __tablename__ = "bank_robot_orders"
    __table_args__ = (
        CheckConstraint("status IN ('waiting', 'paid', 'refused')", name="status"),
        CheckConstraint("(status = 'waiting') = (ended_at IS NULL)", name="ended"),
        CheckConstraint("(status = 'refused') = (reason IS NOT NULL)", name="reason"),
        Index(None, "status", "next_attempt_at"),
        Index(None, "ended_at"),
        TABLE_OPTIONS,
    )

    id: Mapped[int] = row_id()
    order_id: Mapped[str] = mapped_column(exact_text(35), unique=True)
    code: Mapped[str] = mapped_column(Text)
    scenario: Mapped[str] = mapped_column(String(24))
    late_seconds: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str | None] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(Integer)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime())
    next_attempt_at: Mapped[datetime] = mapped_column(UtcDateTime())
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime())


class ChaosMix(BankBase):
    """The mix that payments draw their scenarios from, and the number drawn; one row at most."""

    __tablename__ = "bank_chaos"
    __table_args__ = (CheckConstraint("id = 1", name="single"), TABLE_OPTIONS)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    mix: Mapped[str] = mapped_column(String(500))
    seed: Mapped[int] = mapped_column(BigInteger)
    drawn: Mapped[int] = mapped_column(Integer)


@event.listens_for(Transfer, "before_update")
@event.listens_for(Transfer, "before_delete")
def _refuse_to_change_history(_mapper: object, _connection: object, transfer: Transfer) -> None:
    raise RuntimeError(f"transfer {transfer.identifier} is history and cannot change")
