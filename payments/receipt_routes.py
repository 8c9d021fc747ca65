"""The merchant's API for receipts: money that arrived, with a payment or without one."""

from __future__ import annotations

from typing import Any, Literal

from flask_openapi import Tag
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response as BaseResponse

from accounts.access import acting_merchant
from core.receipt_errors import ReceiptNotFound
from db_models import Payment, Refund
from payments import attaching
from payments.answers import PaymentMessage, RefundObject
from payments.presenter import receipt_object
from payments.receipt_schemas import Attachment, OneReceipt, ReceiptList
from payments.refund_routes import refund_and_answer, refund_answer, refund_of
from payments.routes import presenter
from payments.schemas import NewRefund
from providers import fields as bank_fields
from repository.database import Work, in_unit_of_work, reading
from repository.receipts import ListedReceipt, ReceiptFilters
from web.answers import private_json
from web.api_docs import (
    IDEMPOTENCY_KEY,
    MERCHANT,
    DocumentedBlueprint,
    declare,
    extra_parameters,
    problems,
)
from web.idempotency import keyed_request
from web.page_query import PageQuery

bp = DocumentedBlueprint(
    "receipts", __name__, url_prefix="/payments/pix", abp_tags=[Tag(name="Receipts")]
)
declare(bp, Attachment)


class ReceiptPath(BaseModel):
    """The id of a receipt."""

    end_to_end_id: str = Field(description="The bank's id of the transfer.")


class ReceiptQuery(PageQuery):
    """The filters of the list of receipts."""

    verdict: Literal["accepted", "refused"] | None = None
    without_payment: bool | None = Field(
        None, description="True: only money without a payment. False: only money with one."
    )


@bp.get(
    "/receipts",
    summary="List the merchant's receipts",
    responses={200: ReceiptList, **problems(400, 401, 403, 503)},
    security=MERCHANT,
)
def list_receipts(query: ReceiptQuery) -> BaseResponse:
    """Accepted and refused receipts, newest first."""
    filters = ReceiptFilters(query.verdict, query.without_payment)
    with reading() as work:
        merchant = acting_merchant(work)
        page = work.receipts.of_merchant(merchant.id, filters, query.after, query.limit)
    return private_json({"data": [receipt_object(one) for one in page.items], "next": page.next})


@bp.get(
    "/receipts/<string:end_to_end_id>",
    summary="Read one receipt",
    responses={200: OneReceipt, **problems(401, 403, 404, 503)},
    security=MERCHANT,
)
def read_receipt(path: ReceiptPath) -> BaseResponse:
    """One receipt of the merchant."""
    with reading() as work:
        merchant = acting_merchant(work)
        listed = own_receipt(work, merchant.id, path.end_to_end_id)
    return private_json({"receipt": receipt_object(listed)})


@bp.post(
    "/receipts/<string:end_to_end_id>/attach",
    summary="Attach money to a payment or an order",
    responses={200: PaymentMessage, **problems(400, 401, 403, 404, 409, 413, 415, 503)},
    security=MERCHANT,
)
def attach_receipt(path: ReceiptPath, body: Attachment) -> BaseResponse:
    """Confirm the payment, or the order's payment, with this money. Safe to repeat.

    `payment_id` wins over `order_id`. The amounts must be equal; the deadline does not matter.
    """

    def attach(work: Work) -> dict[str, Any]:
        merchant = acting_merchant(work, "payments:write")
        receipt = own_receipt(work, merchant.id, path.end_to_end_id).receipt
        payment = attaching.attach(work, merchant, receipt, body)
        return presenter().merchant_payment(payment, work.now)

    answer = {"message": "The money has been attached.", "payment": in_unit_of_work(attach)}
    return private_json(answer)


@bp.post(
    "/receipts/<string:end_to_end_id>/refunds",
    summary="Give money without a payment back",
    responses={201: RefundObject, **problems(400, 401, 403, 404, 409, 413, 415, 503)},
    security=MERCHANT,
    openapi_extensions=extra_parameters(IDEMPOTENCY_KEY),
)
def give_receipt_back(path: ReceiptPath, body: NewRefund) -> BaseResponse:
    """Refund a receipt, whole or in part. Safe to repeat with the same `refund_id`.

    The receipt gets a payment of its own; further refunds can name either.
    """
    keyed = keyed_request(f"give back {path.end_to_end_id}", body)

    def request_refund(work: Work) -> tuple[Refund, Payment, bool]:
        merchant = acting_merchant(work, "refunds:write")
        receipt = own_receipt(work, merchant.id, path.end_to_end_id).receipt
        first = keyed.first_answer(work, merchant.id)
        if first is not None:
            payment = work.payments.own(merchant, str(first.answer["payment_id"]))
            return refund_of(work, payment, first), payment, True
        refund, payment, is_repeated = attaching.give_back(work, merchant, receipt, body)
        if not is_repeated:
            keyed.store(work, merchant.id, refund_answer(refund, payment))
        return refund, payment, is_repeated

    return refund_and_answer(request_refund)


def own_receipt(work: Work, merchant_id: int, end_to_end_id: str) -> ListedReceipt:
    """The merchant's receipt. Raises ReceiptNotFound, also for another merchant's."""
    if bank_fields.transfer_id(end_to_end_id) != end_to_end_id:
        raise ReceiptNotFound
    return work.receipts.own(merchant_id, end_to_end_id)
