"""The location of a recurrence, which the payer's bank fetches (API Pix 2.9.0, tag RecPayload)."""

from __future__ import annotations

from flask import Response
from flask_openapi import Tag
from werkzeug.wrappers import Response as BaseResponse

from config import current_settings
from core import ids
from core.errors import FieldError, InvalidRequest, NotFound
from payments import location
from payments.halves_wall import ispb_of
from payments.qr_routes import PIX_PROBLEM, TokenPath
from payments.recurring import lifecycle
from payments.recurring.objects import payload_object
from repository.database import reading
from web.api_docs import DocumentedBlueprint

bp = DocumentedBlueprint(
    "recurrence_location", __name__, abp_tags=[Tag(name="QR codes and locations")]
)


@bp.get(
    "/qr/v2/rec/<string:token>",
    summary="The signed payload of a recurrence",
    responses={
        200: {
            "description": "A compact JWS.",
            "content": {"application/jose": {"schema": {"type": "string"}}},
        },
        **dict.fromkeys((400, 404, 429, 503), PIX_PROBLEM),
    },
)
def recurrence_payload(path: TokenPath) -> BaseResponse:
    """The signed terms of a recurrence; 400 if the recurrence has ended."""
    with reading() as work:
        both = work.recurrences.by_token(path.token) if ids.is_txid(path.token) else None
        moment = work.now
    if both is None:
        raise NotFound("No recurrence is bound to this location.")
    record, merchant = both
    if lifecycle.is_final(record.recurrence):
        fault = f"names a recurrence that is {record.recurrence.status}"
        raise InvalidRequest([FieldError("recUrlAccessToken", fault)])
    settings = current_settings()
    body = payload_object(record, merchant, ispb_of(merchant.id))
    signed_body = location.sign_payload(body, moment, settings.public_url)
    response = Response(signed_body, content_type="application/jose")
    response.headers["Cache-Control"] = "no-store"
    return response
