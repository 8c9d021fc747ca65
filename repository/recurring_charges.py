"""Queries on charges of recurrences, their attempts and their history."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    exists,
    func,
    insert,
    literal,
    null,
    select,
    update,
)
from sqlalchemy.orm import Session

from db_models import (
    Account,
    AttemptStatus,
    ChargeAttempt,
    ChargeBatchItem,
    ChargeKind,
    Payment,
    PaymentStatus,
    Receipt,
    Recurrence,
    RecurringCharge,
    RecurringChargeChange,
    RecurringChargeStatus,
    Refund,
)
from repository.charges import has_pix_txid
from repository.due import EVER
from repository.pix import ReceivedPix
from repository.single_rows import change_row, insert_row

Span = tuple[datetime, datetime]
OPEN = (RecurringChargeStatus.CREATED, RecurringChargeStatus.ACTIVE)
OPEN_ATTEMPT = (AttemptStatus.REQUESTED, AttemptStatus.SCHEDULED)


@dataclass(frozen=True)
class RecurringChargeFilters:
    """Which charges of a merchant to list; both ends of the span are inclusive."""

    span: Span
    id_rec: str | None = None
    document: str | None = None
    status: str | None = None
    agreement_name: str | None = None


@dataclass(frozen=True)
class ChargeTarget:
    """The recurrence of a new charge, and what has the charge's txid already."""

    recurrence: Recurrence
    payment_id: int | None
    is_in_batch: bool


@dataclass
class RecurringChargeRecord:
    """A charge with its payment, its recurrence, its attempts and its history, oldest first."""

    charge: RecurringCharge
    payment: Payment
    recurrence: Recurrence
    pix: ReceivedPix | None = None
    attempts: list[ChargeAttempt] = field(default_factory=list)
    changes: list[RecurringChargeChange] = field(default_factory=list)

    @property
    def open_attempt(self) -> ChargeAttempt | None:
        """The attempt that has not ended; a charge has one at most."""
        return next((one for one in self.attempts if one.status in OPEN_ATTEMPT), None)

    def attempt_with(self, end_to_end_id: str | None) -> ChargeAttempt | None:
        """The attempt with this id, or None."""
        return next((one for one in self.attempts if one.end_to_end_id == end_to_end_id), None)


class RecurringCharges:
    """Queries on recurring charges."""

    def __init__(self, session: Session) -> None:
        """Use the session of the unit of work."""
        self._session = session

    def target(self, merchant_id: int, id_rec: str, txid: str | None) -> ChargeTarget | None:
        """The merchant's recurrence, locked until the transaction ends, or None; one statement.

        The lock makes an end of the recurrence wait for the charge, and then cancel it.
        """
        columns: list[Any] = [Recurrence, null(), literal(0)]
        if txid is not None:
            is_own = ChargeBatchItem.merchant_id == merchant_id
            columns[1] = (
                select(Payment.id)
                .where(Payment.merchant_id == merchant_id, has_pix_txid(txid))
                .scalar_subquery()
            )
            columns[2] = exists().where(is_own, ChargeBatchItem.txid == txid)
        query = select(*columns).where(
            Recurrence.merchant_id == merchant_id, Recurrence.id_rec == id_rec
        )
        row = self._session.execute(query.with_for_update()).first()
        return None if row is None else ChargeTarget(row[0], row[1], bool(row[2]))

    def has_live(self, recurrence_id: int, cycle: int) -> bool:
        """Whether a charge of this cycle was neither rejected nor cancelled."""
        query = select(RecurringCharge.payment_id).where(
            RecurringCharge.recurrence_id == recurrence_id, RecurringCharge.live_cycle == cycle
        )
        return self._session.scalars(query).first() is not None

    def insert(self, values: Mapping[str, Any]) -> RecurringCharge:
        """Store a charge beside its payment. Raises LostRace if the cycle has a live one."""
        self._session.execute(insert(RecurringCharge).values(**values))
        return RecurringCharge(**{**_NO_CHARGE, **values})

    def insert_attempt(self, values: Mapping[str, Any]) -> ChargeAttempt:
        """Store an attempt. Raises LostRace if the charge has an open one."""
        row_id = insert_row(self._session, insert(ChargeAttempt).values(**values))
        return ChargeAttempt(**{**_NO_ATTEMPT, **values, "id": row_id})

    def insert_change(self, values: Mapping[str, Any]) -> RecurringChargeChange:
        """Store a row of the history."""
        row_id = insert_row(self._session, insert(RecurringChargeChange).values(**values))
        return RecurringChargeChange(**{**values, "id": row_id})

    def change(
        self, charge: RecurringCharge, statuses: Collection[str], values: Mapping[str, Any]
    ) -> bool:
        """Change a charge that is as it was read, in one of these statuses; False if it is not."""
        values = {**values, "sequence": charge.sequence + 1}
        statement = update(RecurringCharge).where(
            RecurringCharge.payment_id == charge.payment_id,
            RecurringCharge.status.in_(statuses),
            RecurringCharge.sequence == charge.sequence,
        )
        return change_row(self._session, charge, statement, values)

    def change_attempt(
        self, attempt: ChargeAttempt, statuses: Collection[str], values: Mapping[str, Any]
    ) -> bool:
        """Change an attempt in one of these statuses; False if it has another."""
        statement = update(ChargeAttempt).where(
            ChargeAttempt.id == attempt.id, ChargeAttempt.status.in_(statuses)
        )
        return change_row(self._session, attempt, statement, values)

    def find(self, merchant: Account, txid: str) -> RecurringChargeRecord | None:
        """The merchant's charge with this txid of API Pix, or None; two statements."""
        return self._one(Payment.merchant_id == merchant.id, has_pix_txid(txid))

    def by_payment(self, payment_id: int) -> RecurringChargeRecord:
        """The charge of this payment. Raises LookupError if it has none."""
        record = self._one(Payment.id == payment_id)
        if record is None:
            raise LookupError(f"the payment {payment_id} is no charge of a recurrence")
        return record

    def by_payments(self, payment_ids: Collection[int]) -> dict[int, RecurringChargeRecord]:
        """The charges of these payments, by the payment's row id; two statements."""
        records = self._records(Payment.id.in_(payment_ids))
        return {record.payment.id: record for record in records}

    def by_end_to_end_id(self, end_to_end_id: str) -> RecurringChargeRecord | None:
        """The charge of the attempt with this id, or None."""
        attempt = select(ChargeAttempt.payment_id).where(
            ChargeAttempt.end_to_end_id == end_to_end_id
        )
        return self._one(Payment.id == attempt.scalar_subquery())

    def open_of(self, recurrence_id: int) -> list[RecurringChargeRecord]:
        """The charges of a recurrence that have not ended, oldest first; two statements."""
        return self._records(
            RecurringCharge.recurrence_id == recurrence_id, RecurringCharge.status.in_(OPEN)
        )

    def ids_to_order(self, now: datetime, limit: int) -> Sequence[int]:
        """Payments whose first attempt is due to be ordered, the oldest time first.

        Those of a disabled account wait until it is enabled, or until they expire.
        """
        query = (
            select(RecurringCharge.payment_id)
            .join(Payment, Payment.id == RecurringCharge.payment_id)
            .join(Account, Account.id == Payment.merchant_id)
            .where(RecurringCharge.order_at > EVER, RecurringCharge.order_at <= now)
            .where(Account.disabled_at.is_(None))
            .order_by(RecurringCharge.order_at, RecurringCharge.payment_id)
        )
        return self._session.scalars(query.limit(limit)).all()

    def page(
        self, merchant: Account, filters: RecurringChargeFilters, offset: int, limit: int
    ) -> tuple[int, list[RecurringChargeRecord]]:
        """The number of all charges that meet the filters, and a page of them, oldest first.

        Two statements at most, also for a page past the end.
        """
        where = _where(merchant.id, filters)
        joined = (
            select(Payment.id.label("row"))
            .join(RecurringCharge, RecurringCharge.payment_id == Payment.id)
            .join(Recurrence, Recurrence.id == RecurringCharge.recurrence_id)
            .where(*where)
        )
        total = select(func.count().label("total")).select_from(joined.subquery()).subquery()
        order = (Payment.created_at, Payment.id)
        page = joined.order_by(*order).offset(offset).limit(limit).subquery()
        query = (
            select(Payment, RecurringCharge, Recurrence, Receipt, Refund, total.c.total)
            .select_from(total)
            .outerjoin(page, literal(1) == 1)
            .outerjoin(Payment, Payment.id == page.c.row)
            .outerjoin(RecurringCharge, RecurringCharge.payment_id == Payment.id)
            .outerjoin(Recurrence, Recurrence.id == RecurringCharge.recurrence_id)
            .outerjoin(Receipt, Receipt.settles_payment_id == Payment.id)
            .outerjoin(Refund, Refund.payment_id == Payment.id)
            .order_by(*order, Refund.id)
        )
        rows = self._session.execute(query).all()
        return int(rows[0][5]), self._gathered([row for row in rows if row[0] is not None])

    def _one(self, *rules: ColumnElement[bool]) -> RecurringChargeRecord | None:
        records = self._records(*rules)
        return records[0] if records else None

    def _records(self, *rules: ColumnElement[bool]) -> list[RecurringChargeRecord]:
        query = _RECORDS.where(*rules).order_by(Payment.id, Refund.id)
        options = {"populate_existing": True}
        return self._gathered(self._session.execute(query, execution_options=options).all())

    def _gathered(self, rows: Sequence[Any]) -> list[RecurringChargeRecord]:
        """The records of rows of payment, charge, recurrence, receipt and refund."""
        records: dict[int, RecurringChargeRecord] = {}
        refunds: dict[int, list[Refund]] = {}
        for payment, charge, recurrence, receipt, refund, *_ in rows:
            if payment.id not in records:
                refunds[payment.id] = []
                records[payment.id] = RecurringChargeRecord(
                    charge,
                    payment,
                    recurrence,
                    receipt and ReceivedPix(receipt, payment.pix_txid, refunds[payment.id]),
                )
            if refund is not None:
                refunds[payment.id].append(refund)
        if records:
            self._add_histories(records)
        return list(records.values())

    def _add_histories(self, records: Mapping[int, RecurringChargeRecord]) -> None:
        query = (
            select(RecurringCharge.payment_id, ChargeAttempt, RecurringChargeChange)
            .outerjoin(ChargeAttempt, ChargeAttempt.payment_id == RecurringCharge.payment_id)
            .outerjoin(
                RecurringChargeChange,
                RecurringChargeChange.payment_id == RecurringCharge.payment_id,
            )
            .where(RecurringCharge.payment_id.in_(records))
            .order_by(ChargeAttempt.id, RecurringChargeChange.id)
        )
        attempts: set[int] = set()
        changes: set[int] = set()
        options = {"populate_existing": True}
        for payment_id, attempt, change in self._session.execute(query, execution_options=options):
            record = records[payment_id]
            if attempt is not None and attempt.id not in attempts:
                attempts.add(attempt.id)
                record.attempts.append(attempt)
            if change is not None and change.id not in changes:
                changes.add(change.id)
                record.changes.append(change)


_RECORDS = (
    select(Payment, RecurringCharge, Recurrence, Receipt, Refund)
    .join(RecurringCharge, RecurringCharge.payment_id == Payment.id)
    .join(Recurrence, Recurrence.id == RecurringCharge.recurrence_id)
    .outerjoin(Receipt, Receipt.settles_payment_id == Payment.id)
    .outerjoin(Refund, Refund.payment_id == Payment.id)
)
_NO_CHARGE = {
    column.key: None for column in RecurringCharge.__table__.columns if column.computed is None
}
_NO_ATTEMPT = {
    column.key: None for column in ChargeAttempt.__table__.columns if column.computed is None
}


def _where(merchant_id: int, filters: RecurringChargeFilters) -> list[ColumnElement[bool]]:
    # All statuses are named, so that the index on merchant, status and creation serves.
    rules: list[ColumnElement[bool]] = [
        Payment.merchant_id == merchant_id,
        Payment.status.in_([*PaymentStatus]),
        Payment.created_at.between(*filters.span),
        Payment.charge_kind == ChargeKind.COBR,
    ]
    if filters.id_rec is not None:
        rules.append(Recurrence.id_rec == filters.id_rec)
    if filters.document is not None:
        rules.append(Payment.payer_document == filters.document)
    if filters.status is not None:
        rules.append(RecurringCharge.status == filters.status)
    if filters.agreement_name is not None:
        rules.append(Recurrence.agreement_name == filters.agreement_name)
    return rules
