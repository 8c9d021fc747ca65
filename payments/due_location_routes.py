"""The location of a charge with a due date, which the payer's bank fetches."""

from __future__ import annotations

from flask import Response
from flask_openapi import Tag
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response as BaseResponse

from config import current_settings
from core import ids
from core.errors import Gone, NotFound
from db_models import PaymentStatus
from payments import due_charges, due_location, location
from payments.qr_routes import PIX_PROBLEM, TokenPath
from repository.database import reading
from web.api_docs import DocumentedBlueprint

bp = DocumentedBlueprint("due_location", __name__, abp_tags=[Tag(name="QR codes and locations")])


class PlanQuery(BaseModel):
    """Where and when the payer means to pay."""

    codMun: str | None = Field(
        None, description="The payer's municipality, a code of IBGE with 7 digits."
    )
    DPP: str | None = Field(
        None, description="The day for which the sums are computed, as 2026-01-31."
    )


@bp.get(
    "/qr/v2/cobv/<string:token>",
    summary="The signed payload of a charge with a due date",
    responses={
        200: {
            "description": "A compact JWS.",
            "content": {"application/jose": {"schema": {"type": "string"}}},
        },
        **dict.fromkeys((400, 404, 410, 429, 503), PIX_PROBLEM),
    },
)
def due_payload(path: TokenPath, query: PlanQuery) -> BaseResponse:
    """The signed payee and the sums of one day; 410 if the charge cannot be paid."""
    if not ids.is_txid(path.token):
        raise NotFound("No payload is bound to this location.")
    with reading() as work:
        payment = work.payments.by_location(path.token)
        moment = work.now
    terms = due_charges.due_terms_of(payment)
    if terms is None:
        raise NotFound("The charge of this location has no due date: its path is /qr/v2/.")
    if payment.status in (PaymentStatus.CONFIRMED, PaymentStatus.CANCELLED):
        raise Gone(f"The payment of this location is {payment.status}.")
    plan = due_location.read_plan(query.codMun, query.DPP, moment)
    if moment > due_charges.deadline_of(payment, terms, plan.region):
        raise Gone("The payment of this location is expired.")
    day = due_location.day_of_sums(plan, terms, moment)
    body = due_location.due_payload(payment, terms, day, plan.region, moment)
    signed_body = location.sign_payload(body, moment, current_settings().public_url)
    response = Response(signed_body, content_type="application/jose")
    response.headers["Cache-Control"] = "no-store"
    return response
