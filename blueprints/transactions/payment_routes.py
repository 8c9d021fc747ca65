"""`/api/start_payment`, `/api/transactions` and `/watch/<code>`: start, list, poll."""

from __future__ import annotations

from flask import Response
from flask_openapi import Tag
from werkzeug.wrappers import Response as BaseResponse

from blueprints.transactions.presenter import watch_object
from blueprints.transactions.routes import list_transactions_page, open_transaction
from blueprints.transactions.schemas import (
    StartedPayment,
    TransactionDetail,
    TransactionList,
    TransactionQuery,
    WatchAnswer,
    WatchPath,
)
from core.errors import PaymentNotFound
from payments.schemas import NewPayment
from repository.database import reading
from web.answers import polled_json
from web.api_docs import (
    IDEMPOTENCY_KEY,
    SIGNED_IN,
    DocumentedBlueprint,
    declare,
    extra_parameters,
    problems,
)

bp = DocumentedBlueprint("started_payments", __name__, abp_tags=[Tag(name="Transactions")])
declare(bp, StartedPayment)


@bp.post(
    "/api/start_payment",
    summary="Start a payment",
    responses={201: TransactionDetail, **problems(400, 401, 403, 409, 413, 415, 503)},
    security=SIGNED_IN,
    openapi_extensions=extra_parameters(IDEMPOTENCY_KEY),
    strict_slashes=False,
)
def start_payment(body: StartedPayment) -> BaseResponse:
    """Create a payment of the merchant: `code` is for paying, `watch_code` for watching."""
    new_payment = NewPayment.of(body.amount, description=body.description)
    return open_transaction("start payment", body, new_payment)


@bp.get(
    "/api/transactions",
    summary="List the merchant's payments by state",
    responses={200: TransactionList, **problems(400, 401, 403, 503)},
    security=SIGNED_IN,
    strict_slashes=False,
)
def merchant_transactions(query: TransactionQuery) -> Response:
    """The same list as `GET /transactions/`."""
    return list_transactions_page(query)


@bp.get(
    "/watch/<string:watch_code>",
    summary="Watch a payment",
    responses={
        200: WatchAnswer,
        304: {"description": "Nothing changed since the ETag given."},
        **problems(404, 503),
    },
    strict_slashes=False,
)
def watch(path: WatchPath) -> BaseResponse:
    """A payment's state; the watch code gives access to nothing else."""
    with reading() as work:
        payment = work.payments.find_by_watch_code(path.watch_code)
        if payment is None:
            raise PaymentNotFound
        body = watch_object(payment, work.now)
    return polled_json(body)
