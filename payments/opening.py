"""Opening a payment, once for each Idempotency-Key: what every door that creates one does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

from config import current_settings
from db_models import Account, Payment
from payments import service
from payments.schemas import NewPayment
from repository.database import Work, in_unit_of_work
from web.idempotency import CreatedAnswer, KeyedRequest


def open_payment(
    asked: NewPayment,
    keyed: KeyedRequest,
    merchant_of: Callable[[Work], Account],
    answer_of: Callable[[Payment, datetime], CreatedAnswer],
) -> CreatedAnswer:
    """Create the payment that is asked for, or give the first answer under the key again.

    `merchant_of` finds who asks, `answer_of` writes the answer as of an instant. Raises
    OrderAlreadyHasPayment, IdempotencyConflict and what `merchant_of` raises.
    """
    settings = current_settings()
    tries = count()

    def create(work: Work) -> CreatedAnswer:
        merchant = merchant_of(work)
        if next(tries) > 0:  # a unique index said no: find out which, with fresh eyes
            first = keyed.first_answer(work, merchant.id)
            if first is not None:
                return first
            if asked.order_id is not None:
                service.explain_live_order(work, merchant, asked.order_id)
        payment = service.create(
            work,
            merchant,
            asked,
            ttl=timedelta(seconds=settings.payment_ttl_seconds),
            location_base=settings.location_base,
        )
        return keyed.store(work, merchant.id, answer_of(payment, work.now))

    return in_unit_of_work(create)
