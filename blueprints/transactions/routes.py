"""`/transactions/`: a merchant's payments for clients that call them transactions."""

from __future__ import annotations

from datetime import datetime

from flask import Response
from flask_openapi import Tag
from werkzeug.wrappers import Response as BaseResponse

from accounts.access import signed_in_merchant
from blueprints.transactions.presenter import state_of, transaction_object, transaction_with_refund
from blueprints.transactions.schemas import (
    NewTransaction,
    StatusChange,
    TransactionDetail,
    TransactionList,
    TransactionPath,
    TransactionQuery,
)
from config import current_settings
from core.errors import StatusNotSettable
from db_models import Payment, PaymentStatus, Refund
from payments import refunds, service
from payments.at_bank.closing import BankQuestion
from payments.lifecycle import status_at
from payments.opening import open_payment
from payments.schemas import NewPayment
from repository.database import Work, in_unit_of_work, reading
from repository.paging import Cursor
from repository.payment_list import FAILED, PaymentFilters
from web.answers import private_json
from web.api_docs import (
    IDEMPOTENCY_KEY,
    SIGNED_IN,
    DocumentedBlueprint,
    declare,
    extra_parameters,
    problems,
)
from web.bodies import StrictBody
from web.idempotency import CreatedAnswer, keyed_request

bp = DocumentedBlueprint("transactions", __name__, abp_tags=[Tag(name="Transactions")])
declare(bp, NewTransaction)

_STATUS_OF = {
    "created": PaymentStatus.PENDING,
    "completed": PaymentStatus.CONFIRMED,
    "failed": FAILED,
}


@bp.post(
    "/transactions/",
    summary="Create a transaction",
    responses={201: TransactionDetail, **problems(400, 401, 403, 409, 413, 415, 503)},
    security=SIGNED_IN,
    openapi_extensions=extra_parameters(IDEMPOTENCY_KEY),
    strict_slashes=False,
)
def create_transaction(body: NewTransaction) -> BaseResponse:
    """Create a payment as the merchant who is signed in."""
    new_payment = NewPayment.of(body.amount, description=body.description, order_id=body.order_id)
    return open_transaction("create transaction", body, new_payment)


@bp.get(
    "/transactions/",
    summary="List the merchant's transactions",
    responses={200: TransactionList, **problems(400, 401, 403, 503)},
    security=SIGNED_IN,
    strict_slashes=False,
)
def list_transactions(query: TransactionQuery) -> Response:
    """The merchant's own transactions, newest first."""
    return list_transactions_page(query)


@bp.get(
    "/transactions/<string:transaction_id>",
    summary="Read a transaction",
    responses={200: TransactionDetail, **problems(401, 403, 404, 503)},
    security=SIGNED_IN,
    strict_slashes=False,
)
def read_transaction(path: TransactionPath) -> Response:
    """One of the merchant's transactions; another merchant's gets 404."""
    with reading() as work:
        payment = _own(work, path, "payments:read")
        return private_json(transaction_with_refund(payment, _last_refund(work, payment), work.now))


@bp.put(
    "/transactions/<string:transaction_id>",
    summary="Cancel or refund a transaction",
    responses={200: TransactionDetail, **problems(400, 401, 403, 404, 409, 413, 415, 503)},
    security=SIGNED_IN,
    strict_slashes=False,
)
def update_transaction(path: TransactionPath, body: StatusChange) -> Response:
    """`cancelled` cancels an unpaid transaction; `refunded` refunds what is left of a paid one.

    A merchant cannot set another status, because only money completes a transaction.
    """
    if body.status == "cancelled":
        return _cancel(path)
    if body.status == "refunded":
        return _refund(path)
    with reading() as work:
        payment = _own(work, path, "payments:write")
        state = state_of(status_at(payment, work.now))
    raise StatusNotSettable(
        f"The transaction is {state}. A merchant may set cancelled while it is created, and "
        "refunded once it is completed."
    )


def open_transaction(operation: str, body: StrictBody, new_payment: NewPayment) -> BaseResponse:
    """Create the payment for the merchant who is signed in.

    `operation` and `body` identify the request under its Idempotency-Key. Raises what
    `payments.opening.open_payment` and the credentials raise.
    """
    return open_payment(
        new_payment,
        keyed_request(operation, body),
        lambda work: signed_in_merchant(work, "payments:write"),
        _as_transaction,
    ).response()


def _as_transaction(payment: Payment, now: datetime) -> CreatedAnswer:
    answer = transaction_with_refund(payment, None, now)
    return CreatedAnswer(f"{current_settings().public_url}/transactions/{answer['id']}", answer)


def list_transactions_page(query: TransactionQuery) -> Response:
    """A page of the caller's own transactions. Raises InvalidCursor."""
    filters = PaymentFilters(status=None if query.state is None else _STATUS_OF[query.state])
    cursor = None if query.after is None else Cursor(query.after)
    with reading() as work:
        merchant = signed_in_merchant(work)
        page = work.payments.of_merchant(merchant.id, filters, cursor, query.limit, work.now)
        data = [transaction_object(payment, work.now) for payment in page.items]
    return private_json({"data": data, "next": page.next})


def _cancel(path: TransactionPath) -> Response:
    question = BankQuestion()

    def cancel(work: Work) -> dict[str, object]:
        payment = _own(work, path, "payments:write")
        question.before(work, payment)
        service.cancel(work, payment, signed_in_merchant(work))
        return transaction_with_refund(payment, None, work.now)

    return private_json(question.run(cancel))


def _refund(path: TransactionPath) -> Response:
    def create_refund(work: Work) -> Refund:
        payment = _own(work, path, "refunds:write")
        return refunds.request_full_refund(work, payment, signed_in_merchant(work))

    refund = in_unit_of_work(create_refund)
    refunds.tell_bank(refund.id)  # without the bank's answer, a job retries later
    with reading() as work:
        refund, payment = work.refunds.with_payment(refund.id)
        return private_json(transaction_with_refund(payment, refund, work.now))


def _own(work: Work, path: TransactionPath, scope: str) -> Payment:
    """The merchant's payment. Raises PaymentNotFound, for another merchant's payment too."""
    return work.payments.own(signed_in_merchant(work, scope), path.transaction_id)


def _last_refund(work: Work, payment: Payment) -> Refund | None:
    if payment.status != PaymentStatus.CONFIRMED:
        return None
    payment_refunds = work.refunds.of_payment(payment.id)
    return payment_refunds[-1] if payment_refunds else None
