"""The merchant's API for refunds."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import Response
from flask_openapi import Tag
from werkzeug.wrappers import Response as BaseResponse

from accounts.access import acting_merchant
from core.errors import PaymentNotFound
from db_models import Payment, Refund
from payments import refunds
from payments.answers import RefundObject, RefundsOfPayment
from payments.presenter import refund_object
from payments.routes import PaymentPath, presenter
from payments.schemas import NewRefund
from repository.database import Work, in_unit_of_work, reading
from web.answers import private_json
from web.api_docs import (
    IDEMPOTENCY_KEY,
    MERCHANT,
    DocumentedBlueprint,
    declare,
    extra_parameters,
    problems,
)
from web.idempotency import CreatedAnswer, keyed_request

bp = DocumentedBlueprint(
    "refunds", __name__, url_prefix="/payments/pix", abp_tags=[Tag(name="Refunds")]
)
declare(bp, NewRefund)


@bp.post(
    "/<string:payment_id>/refunds",
    summary="Give money back",
    responses={201: RefundObject, **problems(400, 401, 403, 404, 409, 413, 415, 503)},
    security=MERCHANT,
    openapi_extensions=extra_parameters(IDEMPOTENCY_KEY),
)
def create_refund(path: PaymentPath, body: NewRefund) -> BaseResponse:
    """Refund a confirmed payment, whole or in part. Safe to repeat with the same `refund_id`.

    The status is `processing` if the bank does not answer at once; `GET` returns the final status.
    """
    keyed = keyed_request(f"refund {path.payment_id}", body)

    def request_refund(work: Work) -> tuple[Refund, Payment, bool]:
        merchant = acting_merchant(work, "refunds:write")
        payment = work.payments.own(merchant, path.payment_id)
        first = keyed.first_answer(work, payment.merchant_id)
        if first is not None:
            return refund_of(work, payment, first), payment, True
        refund, is_repeated = refunds.request_refund(work, payment, body, merchant)
        if not is_repeated:
            keyed.store(work, payment.merchant_id, refund_answer(refund, payment))
        return refund, payment, is_repeated

    return refund_and_answer(request_refund)


@bp.get(
    "/<string:payment_id>/refunds",
    summary="List a payment's refunds",
    responses={200: RefundsOfPayment, **problems(401, 403, 404, 503)},
    security=MERCHANT,
)
def list_refunds(path: PaymentPath) -> Response:
    """A payment's refunds, oldest first; there are at most 100."""
    with reading() as work:
        payment = _own(work, path, "payments:read")
        all_refunds: Sequence[Refund] = work.refunds.of_payment(payment.id)
    return private_json([refund_object(refund, payment) for refund in all_refunds])


def _own(work: Work, path: PaymentPath, scope: str) -> Payment:
    """The merchant's own payment. Raises PaymentNotFound, also for another merchant's."""
    return work.payments.own(acting_merchant(work, scope), path.payment_id)


def refund_and_answer(
    request_refund: Callable[[Work], tuple[Refund, Payment, bool]],
) -> BaseResponse:
    """Store the refund, tell the bank after the commit, and answer with the refund's status.

    `request_refund` returns the refund, its payment, and whether the request is a repetition.
    """
    refund, payment, is_repeated = in_unit_of_work(request_refund)
    if not is_repeated and refunds.tell_bank(refund.id):
        with reading() as work:
            refund, payment = work.refunds.with_payment(refund.id)
    return refund_answer(refund, payment, is_replay=is_repeated).response()


def refund_answer(refund: Refund, payment: Payment, *, is_replay: bool = False) -> CreatedAnswer:
    """201 with the refund; its location is the list of the payment's refunds."""
    location = f"{presenter().page_url(payment.txid)}/refunds"
    return CreatedAnswer(location, refund_object(refund, payment), is_replay)


def refund_of(work: Work, payment: Payment, first: CreatedAnswer) -> Refund:
    """The refund of the first answer, with its present status."""
    refund = work.refunds.find(payment.id, str(first.answer["id"]))
    if refund is None:
        raise PaymentNotFound
    return refund
