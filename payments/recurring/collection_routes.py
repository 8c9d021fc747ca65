"""The payer's bank tells that a charge of a recurrence could not be collected."""

from __future__ import annotations

from typing import Annotated, Literal

from flask_openapi import Tag
from flask_openapi.models import RequestBody
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response as BaseResponse

from payments import bank_signature
from payments.bank_bodies import read_report
from payments.recurring import charges
from payments.recurring.charges import CollectionFailure
from payments.schemas import BankBody
from repository.database import in_unit_of_work
from web.answers import private_json
from web.api_docs import DocumentedBlueprint, declare, problems, reference

bp = DocumentedBlueprint(
    "collection_failure", __name__, url_prefix="/payments/pix", abp_tags=[Tag(name="Bank")]
)


class CollectionReport(BankBody):
    """`POST /payments/pix/collections/failed`: an attempt that brought no money."""

    txid: Annotated[str, Field(pattern="^[a-zA-Z0-9]{26,35}$")]
    """That of the order, or the one that the merchant chose."""
    end_to_end_id: Annotated[str, Field(pattern="^[a-zA-Z0-9]{32}$")]
    code: Literal["no-funds", "account-blocked", "cancelled-by-payer", "mandate-ended"]
    text: Annotated[str, Field(max_length=400)] | None = None
    """For people; it is not stored, because it may name somebody."""


class CollectionReportAnswer(BaseModel):
    """`duplicate` if the attempt had ended before, also by its money."""

    message: str
    duplicate: bool


declare(bp, CollectionReport)


@bp.post(
    "/collections/failed",
    summary="Tell that a collection has failed (the bank)",
    description="Signed as a confirmation. Safe to repeat. 401, 408, 425, 429 and 5xx: try again. "
    "Any other 4xx: the service does not know the collection.",
    request_body=RequestBody(
        content={"application/json": {"schema": reference(CollectionReport)}},
        required=True,
    ),
    responses={200: CollectionReportAnswer, **problems(400, 401, 404, 413, 503)},
    security=bank_signature.SIGNED,
)
def fail_collection() -> BaseResponse:
    """Verify the signature over the raw body, then end the attempt, and perhaps its charge."""
    signed = bank_signature.verify()
    report, _ = read_report(CollectionReport)
    failure = CollectionFailure(report.code)
    has_ended = in_unit_of_work(
        lambda work: charges.fail(
            work, report.txid, report.end_to_end_id, failure, is_test=signed.is_test
        )
    )
    return private_json({"message": "The collection has ended.", "duplicate": not has_ended})
