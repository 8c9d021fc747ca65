"""The merchant's API for payments: create, poll, list, cancel, renew."""

from __future__ import annotations

import hmac
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from flask import redirect, request
from flask_openapi import Tag
from pydantic import BaseModel, Field
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header
from werkzeug.wrappers import Response as BaseResponse

from accounts.access import acting_merchant, development_only, is_merchant
from config import current_parts, current_settings
from core.errors import PaymentNotFound
from db_models import Payment
from payments import renewals, robot, service
from payments.answers import PaymentList, PaymentMessage, RenewalAnswer, StatusAnswer
from payments.at_bank.closing import BankQuestion
from payments.at_bank.facts import charges_of
from payments.at_bank.waiting import finish_answer
from payments.opening import open_payment, renewal_terms, waiting_answer
from payments.presenter import Presenter
from payments.schemas import Instant, NewPayment
from payments.unchanged_polls import read_polled
from repository.database import Work, in_unit_of_work, reading
from repository.paging import Cursor
from repository.payment_list import PaymentFilters
from web import request_counts
from web.answers import polled_json, private_json
from web.api_docs import (
    IDEMPOTENCY_KEY,
    MERCHANT,
    DocumentedBlueprint,
    declare,
    extra_parameters,
    problems,
)
from web.idempotency import (
    STRANGERS_KEYS_MAX,
    CreatedAnswer,
    KeyedRequest,
    keyed_request,
    request_key,
)
from web.page_query import PageQuery, QueryText
from web.pages import language_query

bp = DocumentedBlueprint(
    "payments", __name__, url_prefix="/payments/pix", abp_tags=[Tag(name="Payments")]
)
declare(bp, NewPayment)

SOON = timedelta(seconds=10)


class PaymentPath(BaseModel):
    """The id of a payment."""

    payment_id: str = Field(
        description="The payment's id: 32 hex digits.",
        json_schema_extra={"pattern": "^[0-9a-f]{32}$"},  # documented only: another id is a 404
    )


class ListQuery(PageQuery):
    """The filters of the list of payments."""

    status: Literal["pending", "confirmed", "expired", "cancelled"] | None = None
    order_id: QueryText | None = None
    created_from: Instant | None = Field(None, alias="from")
    created_to: Instant | None = Field(None, alias="to")
    q: QueryText | None = None


def presenter() -> Presenter:
    """The current app's presenter."""
    return current_parts().presenter


def is_test(payment: Payment) -> bool:
    """Whether the payment's money is not real, as pages say."""
    return not presenter().is_payment_live(payment)


@bp.post(
    "",
    summary="Create a payment",
    responses={201: PaymentMessage, **problems(400, 401, 403, 409, 413, 415, 503)},
    security=MERCHANT,
    openapi_extensions=extra_parameters(IDEMPOTENCY_KEY),
)
def create_payment(body: NewPayment) -> BaseResponse:
    """Create a payment with its BR Code. Safe to repeat under an Idempotency-Key."""
    terms = body.test
    created = open_payment(
        body,
        _keyed_creation(body),
        lambda work: acting_merchant(work, "payments:write"),
        lambda payment, now: _answer_of(
            "The payment has been created.", payment, now, to_merchant=True
        ),
        also=None if terms is None else lambda work, payment: robot.order(work, payment, terms),
    )
    if terms is not None and not created.is_replay:
        robot.announce_order(created.answer["payment"]["id"])
    return _created_response(created)


@bp.post(
    "/<string:payment_id>/renew",
    summary="Renew an expired payment",
    responses={
        201: RenewalAnswer,
        303: {"description": "For a browser's form: redirect to the page of the new payment."},
        **problems(400, 404, 409, 503),
    },
    openapi_extensions=extra_parameters(IDEMPOTENCY_KEY),
)
def renew_payment(path: PaymentPath) -> BaseResponse:
    """Create a new payment for the same order and amount. Anyone with the link may renew."""
    request_counts.take(request_counts.RENEWALS, current_settings().renewals_per_minute)
    by_merchant = False

    def renewed(payment: Payment, now: datetime) -> CreatedAnswer:
        message = "The payment has been renewed."
        return _answer_of(message, payment, now, to_merchant=by_merchant)

    def renew(work: Work) -> CreatedAnswer:
        old = work.payments.by_txid(path.payment_id)
        nonlocal by_merchant
        by_merchant = is_merchant(work, old.merchant_id)
        keyed = _keyed_renewal(path.payment_id, by_merchant=by_merchant)
        # A repeated request gets its first answer, also if the renewal has been paid since.
        first = keyed.first_answer(work, old.merchant_id)
        if first is not None:
            return first
        payment = renewals.renew(
            work,
            old,
            renewal_terms(),
            by=old.merchant if by_merchant else None,
        )
        answer = waiting_answer(payment) or renewed(payment, work.now)
        return keyed.store(work, payment.merchant_id, answer)

    created = in_unit_of_work(renew)
    if created.awaits and _is_form():  # the page of the new payment waits for its code
        return _to_page(created.awaits)
    keyed = _keyed_renewal(path.payment_id, by_merchant=by_merchant)
    return _created_response(finish_answer(created, keyed, renewed))


def _keyed_creation(body: NewPayment) -> KeyedRequest:
    """The creation and its Idempotency-Key; it compares payers by a digest, so it stores none."""
    keyed = keyed_request("create payment", body, without={"payer"})
    if body.payer is None or keyed.key is None:
        return keyed
    secret = current_settings().secret_key.encode()
    digest = hmac.new(secret, body.payer.model_dump_json().encode(), "sha256").hexdigest()
    return replace(keyed, fields={**keyed.fields, "payer": digest})


def _keyed_renewal(payment_id: str, *, by_merchant: bool) -> KeyedRequest:
    """The renewal and its Idempotency-Key; a shopper's key is none of the merchant's."""
    keyed = KeyedRequest(request_key(), f"renew {payment_id}", {})
    return keyed if by_merchant else keyed.of_stranger(payment_id, STRANGERS_KEYS_MAX)


def _answer_of(
    message: str, payment: Payment, now: datetime, *, to_merchant: bool
) -> CreatedAnswer:
    presents = presenter()
    body = presents.payment(payment, now, to_merchant=to_merchant)
    answer = {"message": message, "payment": body}
    return CreatedAnswer(presents.page_url(payment.txid), answer)


def _created_response(created: CreatedAnswer) -> BaseResponse:
    if not _is_form():
        return created.response()
    return _to_page(created.answer["payment"]["id"])


def _to_page(payment_id: str) -> BaseResponse:
    page = f"{request.script_root}/payments/pix/{payment_id}"
    return redirect(f"{page}{language_query()}", 303)


@bp.get(
    "",
    summary="List the merchant's payments",
    responses={200: PaymentList, **problems(400, 401, 403, 503)},
    security=MERCHANT,
)
def list_payments(query: ListQuery) -> BaseResponse:
    """The merchant's payments, newest first."""
    filters = PaymentFilters(
        query.status, query.order_id, query.created_from, query.created_to, query.q
    )
    cursor = None if query.after is None else Cursor(query.after)
    with reading() as work:
        merchant = acting_merchant(work)
        page = work.payments.of_merchant(merchant.id, filters, cursor, query.limit, work.now)
        bank_charges = charges_of(work, page.items)
        data = [
            presenter().merchant_payment(payment, work.now, bank_charges.get(payment.id))
            for payment in page.items
        ]
    return private_json({"data": data, "next": page.next})


@bp.get(
    "/<string:payment_id>/status",
    summary="Poll a payment",
    responses={
        200: StatusAnswer,
        304: {"description": "Nothing has changed since this ETag."},
        **problems(404, 503),
    },
)
def payment_status(path: PaymentPath) -> BaseResponse:
    """The status to poll. With `If-None-Match` the answer is 304 until something changes."""
    payment, moment = read_polled(request.environ, path.payment_id)
    if payment is None:
        raise PaymentNotFound
    return polled_json(presenter().status(payment, moment))


@bp.post(
    "/<string:payment_id>/cancel",
    summary="Cancel a pending payment",
    responses={200: PaymentMessage, **problems(401, 403, 404, 409, 503)},
    security=MERCHANT,
)
def cancel_payment(path: PaymentPath) -> BaseResponse:
    """Cancel a pending payment. Only its merchant may do this."""

    question = BankQuestion()

    def cancel(work: Work) -> dict[str, Any]:
        merchant = acting_merchant(work, "payments:write")
        payment = work.payments.own(merchant, path.payment_id)
        question.before(work, payment)
        service.cancel(work, payment, merchant)
        charge = charges_of(work, [payment]).get(payment.id)
        return presenter().merchant_payment(payment, work.now, charge)

    body = {"message": "The payment has been cancelled.", "payment": question.run(cancel)}
    return private_json(body)


@bp.post("/<string:payment_id>/expire-soon", doc_ui=False)
@development_only
def expire_soon(path: PaymentPath) -> BaseResponse:
    """Move the deadline to ten seconds from now, for the test buttons of the payment page."""

    def revise(work: Work) -> None:
        payment = work.payments.by_txid(path.payment_id)
        service.revise_deadline(work, payment, work.now + SOON)

    in_unit_of_work(revise)
    return redirect(f"{request.script_root}/payments/pix/{path.payment_id}{language_query()}", 303)


def _is_form() -> bool:
    """Whether a browser's form sent the request: it needs a redirect, not JSON."""
    return _accepts_html(request.environ.get("HTTP_ACCEPT"))


@lru_cache(maxsize=256)
def _accepts_html(accept: str | None) -> bool:
    return "text/html" in parse_accept_header(accept, MIMEAccept).values()
