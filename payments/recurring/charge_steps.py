"""What follows in a recurring charge when its payment changes, and how each step is stored.

`payments.service` and the sweep call `follow`, so this module uses neither. A charge's row is
changed after its payment's and before its attempts', in every transaction that changes more than
one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accounts import audit
from core.errors import ConcurrentUpdate
from core.money import plain
from db_models import (
    AttemptStatus,
    ChargeAttempt,
    OrderKind,
    Payment,
    PaymentStatus,
    RecurringChargeStatus,
)
from payments.recurring import orders
from repository.database import Work
from repository.recurring_charges import OPEN, OPEN_ATTEMPT, RecurringChargeRecord

_PAYABLE = (*OPEN, RecurringChargeStatus.EXPIRED)
_UNPAID = tuple(status for status in AttemptStatus if status is not AttemptStatus.PAID)


def follow(work: Work, payment: Payment) -> None:
    """Conclude or expire the charge when its payment is confirmed or has expired.

    A cancellation is stored by `charges`, which knows why. Raises ConcurrentUpdate.
    """
    if payment.status == PaymentStatus.CONFIRMED:
        _conclude(work, work.recurring_charges.by_payment(payment.id))
    elif payment.status == PaymentStatus.EXPIRED:
        expire(work, work.recurring_charges.by_payment(payment.id))


def _conclude(work: Work, record: RecurringChargeRecord) -> None:
    """End the charge and the attempt that brought the money; withdraw another open attempt."""
    if record.charge.status not in _PAYABLE:
        return
    change_charge(work, record, RecurringChargeStatus.CONCLUDED, _PAYABLE)
    attempt = record.attempt_with(record.payment.end_to_end_id)
    if attempt is not None:
        change_attempt(work, attempt, AttemptStatus.PAID, _UNPAID)
    note(work, record, attempt)
    withdraw_attempt(work, record, AttemptStatus.CANCELLED)


def expire(work: Work, record: RecurringChargeRecord) -> None:
    """End a charge whose payment has expired, because no attempt can follow."""
    if record.charge.status not in OPEN:
        return
    change_charge(work, record, RecurringChargeStatus.EXPIRED, OPEN)
    if not withdraw_attempt(work, record, AttemptStatus.EXPIRED):
        note(work, record, None)


def withdraw_attempt(work: Work, record: RecurringChargeRecord, status: AttemptStatus) -> bool:
    """End the open attempt, and tell the payer's bank; False if there is none."""
    attempt = record.open_attempt
    if attempt is None:
        return False
    change_attempt(work, attempt, status, OPEN_ATTEMPT)
    note(work, record, attempt)
    order_end(work, record.payment.merchant_id, attempt)
    return True


def change_charge(
    work: Work,
    record: RecurringChargeRecord,
    status: RecurringChargeStatus,
    from_statuses: tuple[str, ...],
    values: Mapping[str, Any] | None = None,
) -> None:
    """Change a charge that is as it was read. Raises ConcurrentUpdate."""
    columns: dict[str, Any] = {**(values or {}), "status": status}
    if status not in OPEN:
        columns |= {"closed_at": work.now, "order_at": None}
    if not work.recurring_charges.change(record.charge, from_statuses, columns):
        raise ConcurrentUpdate


def change_attempt(
    work: Work,
    attempt: ChargeAttempt,
    status: AttemptStatus,
    from_statuses: tuple[str, ...],
    values: Mapping[str, Any] | None = None,
) -> None:
    """Change an attempt. Raises ConcurrentUpdate if it has another status by now."""
    columns = {**(values or {}), "status": status}
    if not work.recurring_charges.change_attempt(attempt, from_statuses, columns):
        raise ConcurrentUpdate


def note(work: Work, record: RecurringChargeRecord, attempt: ChargeAttempt | None) -> None:
    """Store what has just changed as a row of the history, and its callback."""
    change = work.recurring_charges.insert_change(
        {
            "payment_id": record.payment.id,
            "status": record.charge.status,
            "attempt_id": None if attempt is None else attempt.id,
            "attempt_status": None if attempt is None else attempt.status,
            "details": audit.author(),
            "changed_at": work.now,
        }
    )
    record.changes.append(change)
    work.call_back_charge(record, change)


def order_attempt(
    work: Work, record: RecurringChargeRecord, attempt: ChargeAttempt, payee: Mapping[str, str]
) -> None:
    """Store the order to the payer's bank to pay; `payee` has name and document."""
    payment = record.payment
    info = {} if payment.description is None else {"info": payment.description}
    members = {
        # Not the merchant's txid: two merchants may choose the same.
        "txid": payment.txid,
        "id_rec": record.recurrence.id_rec,
        "end_to_end_id": attempt.end_to_end_id,
        "value": plain(payment.amount_centavos),
        "settles_on": attempt.settles_on.isoformat(),
        "kind": str(attempt.kind),
        "payee": dict(payee),
        **info,
    }
    orders.add(work, payment.merchant_id, OrderKind.COLLECTION, attempt.end_to_end_id, members)


def order_end(work: Work, merchant_id: int, attempt: ChargeAttempt) -> None:
    """Store the order to the payer's bank to cancel an attempt."""
    end_to_end_id = attempt.end_to_end_id
    members = {"end_to_end_id": end_to_end_id}
    orders.add(work, merchant_id, OrderKind.COLLECTION_CANCEL, end_to_end_id, members)
