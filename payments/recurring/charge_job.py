"""Order the first attempts of recurring charges, ten days before their day."""

from __future__ import annotations

from collections.abc import Callable

from core.errors import NotFound
from db_models import RecurringChargeStatus
from payments.recurring import charges
from payments.recurring.row_jobs import change_each
from repository.database import Work, reading

BATCH = 200


def run(keep_going: Callable[[], bool] = lambda: True) -> int:
    """Order one batch; returns how many attempts were ordered.

    Any number of processes may run it: a conditional update decides each charge.
    """
    with reading() as work:
        due_ids = work.recurring_charges.ids_to_order(work.now, BATCH)
    return change_each("recurring-charges", due_ids, _order, keep_going)


def _order(work: Work, payment_id: int) -> bool:
    record = work.recurring_charges.by_payment(payment_id)
    charge, merchant = record.charge, work.accounts.find(record.payment.merchant_id)
    if charge.order_at is None or charge.status != RecurringChargeStatus.CREATED:
        return False  # another process was faster, or the charge has ended
    if merchant is None:
        raise NotFound("The payment's merchant no longer exists.")
    return charges.order_first(work, record, merchant)
