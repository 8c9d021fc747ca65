"""The bank's API: a signed notification that money arrived."""

from __future__ import annotations

import structlog
from flask_openapi import Tag
from flask_openapi.models import RequestBody
from werkzeug.wrappers import Response as BaseResponse

from core.signing import signatures
from payments import bank_signature, receiving
from payments.answers import ConfirmationAnswer
from payments.bank_bodies import read_report
from payments.routes import presenter
from payments.schemas import Confirmation
from payments.service import CLOCK_SKEW, ConfirmationResult
from providers import fields as bank_fields
from repository.database import in_unit_of_work, now
from web.answers import private_json
from web.api_docs import DocumentedBlueprint, declare, problems, reference

log = structlog.get_logger()

bp = DocumentedBlueprint(
    "confirmation", __name__, url_prefix="/payments/pix", abp_tags=[Tag(name="Bank")]
)

declare(bp, Confirmation)


@bp.post(
    "/confirmation",
    summary="Confirm a payment (the bank)",
    description="Signed by Standard Webhooks: `webhook-id`, `webhook-timestamp` and "
    "`webhook-signature` over `id.timestamp.body`. Safe to repeat. 401, 408, 425, 429 and 5xx: "
    "keep the money and try again. Any other 4xx: refused, return the money.",
    request_body=RequestBody(
        content={"application/json": {"schema": reference(Confirmation)}},
        required=True,
    ),
    responses={200: ConfirmationAnswer, **problems(400, 401, 404, 409, 413, 503)},
    security=bank_signature.SIGNED,
)
def confirm_payment() -> BaseResponse:
    """Verify the signature over the raw body, then settle or refuse, and store the receipt."""
    signed = bank_signature.verify()
    confirmation = _parse(signed)
    outcome: ConfirmationResult = in_unit_of_work(
        lambda work: receiving.take(work, confirmation, signed)
    )
    payment = outcome.accepted_or_raise()
    if payment is None:
        message, answer = "The money has been received.", None
    else:
        message = "The payment has been confirmed."
        answer = presenter().public_payment(payment, now())
    return private_json({"message": message, "payment": answer, "duplicate": outcome.duplicate})


def _parse(signed: signatures.VerifiedMessage) -> Confirmation:
    """The confirmation in the signed body, whatever its media type."""
    confirmation, members = read_report(Confirmation)
    if confirmation.paid_at is not None and confirmation.paid_at > now() + CLOCK_SKEW:
        # The bank held the money when it signed, so its signature's time is the later bound.
        confirmation.paid_at = None
    if confirmation.end_to_end_id is None:
        confirmation.end_to_end_id = bank_fields.transfer_id(signed.message_id)
    unused = bank_fields.unused_fields(members, vars(confirmation))
    if unused:
        log.debug("bank.fields_unused", payment=confirmation.bank_payment_id, fields=unused)
    return confirmation
