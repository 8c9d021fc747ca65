"""Creating a payment through one of these doors, once for each Idempotency-Key."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

from flask import current_app
from werkzeug.wrappers import Response as BaseResponse

from accounts.access import signed_in_merchant
from payments import service
from payments.idempotency import Keyed, Replay, key_of_request
from payments.routes import settings
from payments.schemas import Body, NewPayment
from repository.database import Work, in_unit_of_work
from transactions.words import transaction_with_refund
from web.bodies import Complete


def opened(operation: str, body: Body, asked: NewPayment) -> BaseResponse:
    """Create the payment that is asked for as the caller's; 201, or the first answer again.

    `operation` and `body` are what an Idempotency-Key stands for. Raises what
    `payments.service.create` and the caller's credentials raise.
    """
    key = key_of_request()
    keyed = Keyed(key, operation, {} if key is None else body.model_dump(mode="json"))
    tries = count()

    def create(work: Work) -> Replay | dict[str, Any]:
        merchant = signed_in_merchant(work, "payments:write")
        if next(tries) > 0:  # a unique index said no: find out which, with fresh eyes
            replay = keyed.find(work, merchant.id)
            if replay is not None:
                return replay
            if asked.order_id is not None:
                service.explain_live_order(work, merchant, asked.order_id)
        payment = service.create(
            work,
            merchant,
            asked,
            ttl=timedelta(seconds=settings().payment_ttl_seconds),
            location_base=settings().location_base,
        )
        answer = transaction_with_refund(payment, None, work.now)
        keyed.keep(work, merchant.id, _location(answer), answer)
        return answer

    result = in_unit_of_work(create)
    answer = result.answer if isinstance(result, Replay) else result
    headers = [
        ("Content-Type", "application/json"),
        ("Location", _location(answer)),
        ("Cache-Control", "no-store"),
    ]
    if isinstance(result, Replay):
        headers.append(("Idempotent-Replayed", "true"))
    return Complete(current_app.json.dumps(answer) + "\n", 201, headers)


def _location(answer: dict[str, Any]) -> str:
    return f"{settings().public_url}/transactions/{answer['id']}"
