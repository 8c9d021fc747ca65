"""The merchant's API for receipts: money that arrived, with a payment or without one."""

from __future__ import annotations

from typing import Literal

from flask_openapi import APIBlueprint, Tag
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response as BaseResponse

from accounts.access import acting_merchant
from core.receipt_errors import ReceiptNotFound
from payments import bank_fields
from payments.presenter import receipt_object
from payments.schemas import OneReceipt, ReceiptList
from repository.database import Work, reading
from repository.receipts import ListedReceipt, ReceiptFilters
from web.answers import private_json
from web.api_docs import MERCHANT, problems
from web.page_query import PageQuery

bp = APIBlueprint("receipts", __name__, url_prefix="/payments/pix", abp_tags=[Tag(name="Receipts")])


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


def own_receipt(work: Work, merchant_id: int, end_to_end_id: str) -> ListedReceipt:
    """The merchant's receipt. Raises ReceiptNotFound, also for another merchant's."""
    if bank_fields.transfer_id(end_to_end_id) != end_to_end_id:
        raise ReceiptNotFound
    return work.receipts.own(merchant_id, end_to_end_id)
