"""Creating a payment through one of these doors, once for each Idempotency-Key."""

from __future__ import annotations

from datetime import datetime

from werkzeug.wrappers import Response as BaseResponse

from accounts.access import signed_in_merchant
from blueprints.transactions.presenter import transaction_with_refund
from config import current_settings
from db_models import Payment
from payments.opening import Opened, open_payment
from payments.schemas import Body, NewPayment
from web.idempotency import keyed_by_request


def opened(operation: str, body: Body, asked: NewPayment) -> BaseResponse:
    """Create the payment that is asked for as the caller's; 201, or the first answer again.

    `operation` and `body` are what an Idempotency-Key stands for. Raises what
    `payments.opening.open_payment` and the caller's credentials raise.
    """
    return open_payment(
        asked,
        keyed_by_request(operation, body),
        lambda work: signed_in_merchant(work, "payments:write"),
        _as_transaction,
    ).response()


def _as_transaction(payment: Payment, now: datetime) -> Opened:
    answer = transaction_with_refund(payment, None, now)
    return Opened(f"{current_settings().public_url}/transactions/{answer['id']}", answer)
