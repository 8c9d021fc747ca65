"""The merchant's door for giving money back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response
from flask_openapi import APIBlueprint, Tag
from werkzeug.wrappers import Response as BaseResponse

from accounts.access import acting_merchant
from core.errors import PaymentNotFound
from db_models import Payment, Refund
from payments import refunds
from payments.presenter import refund_object
from payments.routes import PaymentPath, presenter
from payments.schemas import NewRefund, RefundObject, RefundsOfPayment
from repository.database import Work, in_unit_of_work, reading
from web.answers import private_json
from web.api_docs import IDEMPOTENCY_KEY, MERCHANT, also, declare, problems
from web.idempotency import Keyed, Replay, key_of_request

bp = APIBlueprint("refunds", __name__, url_prefix="/payments/pix", abp_tags=[Tag(name="Refunds")])
declare(bp, NewRefund)


@bp.post(
    "/<string:payment_id>/refunds",
    summary="Give money back",
    responses={201: RefundObject, **problems(400, 401, 403, 404, 409, 413, 415, 503)},
    security=MERCHANT,
    openapi_extensions=also(IDEMPOTENCY_KEY),
)
def create_refund(path: PaymentPath, body: NewRefund) -> BaseResponse:
    """Give back all that is left of a confirmed payment, or a part. Safe to repeat by `refund_id`.

    The answer is `processing` where the bank did not answer at once; `GET` tells how it ends.
    """
    asked = body.model_dump(mode="json")
    keyed = Keyed(key_of_request(), f"refund {path.payment_id}", asked)

    def give_back(work: Work) -> tuple[Refund, Payment, bool]:
        payment = _own(work, path, "refunds:write")
        replay = keyed.find(work, payment.merchant_id)
        if replay is not None:
            return _of_replay(work, payment, replay), payment, True
        made, is_repeated = refunds.refund(work, payment, body)
        if not is_repeated:
            location = f"{presenter().page_url(payment.txid)}/refunds"
            keyed.keep(work, payment.merchant_id, location, refund_object(made, payment))
        return made, payment, is_repeated

    made, payment, is_repeated = in_unit_of_work(give_back)
    if not is_repeated and refunds.tell_bank(made.id):
        with reading() as work:
            made, payment = work.refunds.with_payment(made.id)
    response = private_json(refund_object(made, payment), 201)
    response.headers["Location"] = f"{presenter().page_url(payment.txid)}/refunds"
    if is_repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return response


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
        found: Sequence[Refund] = work.refunds.of_payment(payment.id)
    return private_json([refund_object(one, payment) for one in found])


def _own(work: Work, path: PaymentPath, scope: str) -> Payment:
    """The merchant's own payment. Raises PaymentNotFound, for another's as for none."""
    return work.payments.own(acting_merchant(work, scope), path.payment_id)


def _of_replay(work: Work, payment: Payment, replay: Replay) -> Refund:
    """The refund of the first answer, as it stands by now."""
    answer: dict[str, Any] = replay.answer
    made = work.refunds.find(payment.id, str(answer["id"]))
    if made is None:
        raise PaymentNotFound
    return made
