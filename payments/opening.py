"""Opening a payment, once for each Idempotency-Key: what every door that creates one does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

from flask import current_app

from config import current_settings
from db_models import Account, Payment
from payments import service
from payments.schemas import NewPayment
from repository.database import Work, in_unit_of_work
from web.bodies import Complete
from web.idempotency import Keyed


@dataclass(frozen=True)
class CreatedAnswer:
    """What is answered, and kept under the key: where the new thing is found, and how it looks."""

    location: str
    answer: dict[str, Any]
    is_replay: bool = False
    """Whether it is a first answer given again."""

    @classmethod
    def before(cls, keyed: Keyed, work: Work, merchant_id: int) -> CreatedAnswer | None:
        """The first answer under this key, or None where the key is new.

        Raises IdempotencyConflict for another request.
        """
        replay = keyed.find(work, merchant_id)
        return None if replay is None else cls(replay.location, replay.answer, is_replay=True)

    def response(self) -> Complete:
        """201 with the answer as JSON."""
        headers = [
            ("Content-Type", "application/json"),
            ("Location", self.location),
            ("Cache-Control", "no-store"),
        ]
        if self.is_replay:
            headers.append(("Idempotent-Replayed", "true"))
        return Complete(current_app.json.dumps(self.answer) + "\n", 201, headers)


def open_payment(
    asked: NewPayment,
    keyed: Keyed,
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
            opened = CreatedAnswer.before(keyed, work, merchant.id)
            if opened is not None:
                return opened
            if asked.order_id is not None:
                service.explain_live_order(work, merchant, asked.order_id)
        payment = service.create(
            work,
            merchant,
            asked,
            ttl=timedelta(seconds=settings.payment_ttl_seconds),
            location_base=settings.location_base,
        )
        return keep(keyed, work, payment, answer_of(payment, work.now))

    return in_unit_of_work(create)


def keep(keyed: Keyed, work: Work, payment: Payment, opened: CreatedAnswer) -> CreatedAnswer:
    """Store the answer under its key, in the transaction of what it tells of; gives it back."""
    keyed.keep(work, payment.merchant_id, opened.location, opened.answer)
    return opened
