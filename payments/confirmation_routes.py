"""The bank's door: a signed notification that money arrived."""

from __future__ import annotations

from flask import request
from flask_openapi import APIBlueprint, Tag
from flask_openapi.models import RequestBody
from pydantic import ValidationError
from werkzeug.wrappers import Response as BaseResponse

from config import current_settings
from core.errors import BadSignature, FieldError, InvalidRequest
from core.signing import signatures
from payments import service
from payments.routes import presenter
from payments.schemas import Confirmation, ConfirmationAnswer, is_end_to_end_id
from payments.service import CLOCK_SKEW, ConfirmationResult
from repository.database import in_unit_of_work, now
from web.answers import private_json
from web.api_docs import declare, problems, reference
from web.problems import refuse_invalid

bp = APIBlueprint("confirmation", __name__, url_prefix="/payments/pix", abp_tags=[Tag(name="Bank")])

declare(bp, Confirmation)

SIGNED: list[dict[str, list[str]]] = [{"bankSignature": []}]


@bp.post(
    "/confirmation",
    summary="Confirm a payment (the bank)",
    description="Signed by Standard Webhooks: `webhook-id`, `webhook-timestamp` and "
    "`webhook-signature` over `id.timestamp.body`. Safe to repeat. 4xx means refused: the money "
    "goes back. 503 means: keep it and try again.",
    request_body=RequestBody(
        content={"application/json": {"schema": reference(Confirmation)}},
        required=True,
    ),
    responses={200: ConfirmationAnswer, **problems(400, 401, 404, 409, 413, 415, 503)},
    security=SIGNED,
)
def confirm_payment() -> BaseResponse:
    """Check the signature over the bytes as they came, then settle or refuse, and keep either."""
    secrets = current_settings().bank_secrets
    signed = signatures.verify(secrets, request.headers, request.get_data(), now())
    told = _parsed(signed)
    outcome: ConfirmationResult = in_unit_of_work(lambda work: service.confirm(work, told, signed))
    payment = outcome.accepted_or_raise()
    return private_json(
        {
            "message": "The payment has been confirmed.",
            "payment": presenter().payment(payment, now()),
            "duplicate": outcome.duplicate,
        }
    )


def _parsed(signed: signatures.Signed) -> Confirmation:
    try:
        told = Confirmation.model_validate(request.get_json())
    except ValidationError as error:
        refuse_invalid(error)
        raise  # refuse_invalid always raises
    if told.end_to_end_id is None and not is_end_to_end_id(signed.message_id):
        raise BadSignature(
            "webhook-id stands for end_to_end_id here and must be letters, digits, and . _ : -."
        )
    if told.paid_at is not None and told.paid_at > now() + CLOCK_SKEW:
        raise InvalidRequest([FieldError("paid_at", "lies in the future")])
    return told
