"""QR images and the payloads of dynamic BR Codes: built on request, never stored."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

from flask import Response, current_app, request
from flask_openapi import Tag
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response as BaseResponse

from config import current_settings
from core import ids
from core.errors import FieldError, Gone, InvalidMoney, InvalidRequest, NotFound, PaymentNotFound
from core.money import centavos_from
from core.pix.br_code import BrCodeError
from core.typed import plain_text
from db_models import ChargeKind, PaymentStatus
from db_models.account import MERCHANT
from payments import location, tills
from payments.lifecycle import status_at
from payments.presenter import QR_PREFIX
from payments.qr_image import qr_png, qr_svg
from payments.routes import PaymentPath, presenter
from payments.schemas import MONEY_TEXT
from repository.database import ledger, now, reading
from repository.ledgers import Ledger
from repository.page_rows import PicturedCode, find_code
from web import request_counts
from web.api_docs import DocumentedBlueprint, picture, problems
from web.before_flask import SharedRead
from web.bodies import Complete

bp = DocumentedBlueprint("qr", __name__, abp_tags=[Tag(name="QR codes and locations")])

PICTURE_NAME = rf"(?:{QR_PREFIX})?([0-9a-f]{{32}})(?:\.(png|svg))?"
_NAME = re.compile(PICTURE_NAME, re.ASCII)
CODE: SharedRead[PicturedCode] = SharedRead("code")
FOR_EVER = "public, max-age=31536000, immutable"
PIX_PROBLEM: dict[str, Any] = {
    "description": "An error in the form of API Pix (RFC 7807).",
    "content": {
        "application/problem+json": {
            "schema": {"type": "object", "required": ["type", "title", "status", "detail"]}
        }
    },
}
"""An error of a location, as the document has it."""


class QrPath(BaseModel):
    """The name of a QR image."""

    name: str = Field(description="`qr_code_payment_<id>`, with `.png` or `.svg`; PNG when bare.")


class TokenPath(BaseModel):
    """The token of a location."""

    token: str = Field(
        description="The token at the end of a BR Code's location.",
        json_schema_extra={"pattern": "^[0-9a-f]{32}$"},  # documented only: another token is a 404
    )


class LoginPath(BaseModel):
    """The login of a merchant."""

    login: str = Field(description="The merchant's login.")


class ValueQuery(BaseModel):
    """The amount of a static code."""

    value: Annotated[str, Field(json_schema_extra={"pattern": MONEY_TEXT})] | None = Field(
        None, description="Reais; the payer types the amount when absent."
    )
    till: str | None = Field(None, description="The txid of a till; the first till when absent.")


@bp.get(
    "/payments/pix/qr_code/<path:name>",
    summary="The QR of a payment",
    responses={
        200: picture("The QR."),
        304: {"description": "The picture has not changed since this ETag."},
        **problems(404, 503),
    },
)
def payment_qr(path: QrPath) -> BaseResponse:
    """The QR of the payment's BR Code, cached for ever: each location has a URL of its own.

    Raises NotFound if no location shows the payment.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise NotFound("There is no such picture.")
    code = _code(match[1])
    if not code.has_location:
        raise NotFound("No location shows this payment, so it has no code to be paid by.")
    query = f"?v={request.args['v']}" if "v" in request.args else ""
    return _picture(code.br_code, match[2] or "png", caching_of(code, query))


def _code(txid: str) -> PicturedCode:
    """The payment's code: read just now for this request, if it was; it changes with its location.

    Raises PaymentNotFound, and what reading raises.
    """
    return CODE.earlier(request.environ) or read_code(ledger(), txid)


def read_code(ledger_: Ledger, txid: str) -> PicturedCode:
    """The payment's code. Raises PaymentNotFound and DatabaseUnavailable."""
    code = find_code(ledger_, txid)
    if code is None:
        raise PaymentNotFound
    return code


def caching_of(code: PicturedCode, query: str) -> str:
    """The `Cache-Control` of the picture at this URL, which may be that of another location."""
    return FOR_EVER if query == code.picture_query else "no-cache"


@bp.get("/payments/pix/<string:payment_id>/receipt/qr.svg", doc_ui=False)
def receipt_qr(path: PaymentPath) -> BaseResponse:
    """The QR of the receipt's URL, for a printed receipt."""
    _code(path.payment_id)
    return _picture(f"{presenter().page_url(path.payment_id)}/receipt", "svg")


def picture_of(text: str, kind: str) -> bytes:
    """The QR of a text as `svg` or `png`. Raises ValueError if it is too long."""
    return qr_svg(text) if kind == "svg" else qr_png(text)


def picture_headers(body: bytes, kind: str, caching: str) -> list[tuple[str, str]]:
    """The headers of a picture."""
    return [
        ("Content-Type", "image/svg+xml" if kind == "svg" else "image/png"),
        ("Cache-Control", caching),
        ("ETag", f'"{hashlib.sha256(body).hexdigest()[:32]}"'),
    ]


def _picture(text: str, kind: str, caching: str = FOR_EVER) -> BaseResponse:
    request_counts.take(request_counts.QR_IMAGES, current_settings().qr_images_per_minute)
    body = picture_of(text, kind)
    headers = picture_headers(body, kind, caching)
    if "HTTP_IF_NONE_MATCH" not in request.environ:
        return Complete(body, headers=headers)
    return Response(body, headers=headers).make_conditional(request)


@bp.get(
    "/generate_qr/<string:login>",
    summary="The static QR of a merchant",
    responses={200: picture("The QR."), **problems(400, 404, 409, 503)},
)
def merchant_qr(path: LoginPath, query: ValueQuery) -> BaseResponse:
    """A static BR Code: the payer types the amount unless `value` fixes it."""
    try:
        centavos = None if query.value is None else centavos_from(query.value)
    except InvalidMoney as error:
        raise InvalidRequest([FieldError("value", error.detail)]) from None
    if not re.fullmatch(r"[A-Za-z0-9._@+\-]{1,64}", plain_text(path.login), re.ASCII):
        raise NotFound("There is no merchant with this login.")
    with reading() as work:
        merchant = work.accounts.find_by_login(path.login)
    if merchant is None or merchant.role != MERCHANT or merchant.disabled_at is not None:
        raise NotFound("There is no merchant with this login.")
    try:
        code = tills.static_code(merchant, tills.shown_till(merchant, query.till), centavos)
    except BrCodeError as error:
        raise InvalidRequest([FieldError("value", error.detail)]) from None
    return _picture(code, "png", "no-cache")  # The merchant may change its key or name.


@bp.get(
    "/qr/v2/jwks",
    summary="The keys that sign the payloads",
    responses={
        200: {
            "description": "A JWK Set (RFC 7517).",
            "content": {"application/json": {"schema": {"type": "object", "required": ["keys"]}}},
        }
    },
)
def key_set() -> BaseResponse:
    """The public keys, each with its certificate."""
    response = Response(
        current_app.json.dumps(location.key_ring().key_set(now())), mimetype="application/json"
    )
    response.headers["Cache-Control"] = "public, max-age=3600"
    return response


@bp.get(
    "/qr/v2/<string:token>",
    summary="The signed payload of a dynamic BR Code",
    responses={
        200: {
            "description": "A compact JWS.",
            "content": {"application/jose": {"schema": {"type": "string"}}},
        },
        **dict.fromkeys((404, 410, 429, 503), PIX_PROBLEM),
    },
)
def payload(path: TokenPath) -> BaseResponse:
    """The signed payee and amount, for a payer's bank; 410 if the payment cannot be paid."""
    if not ids.is_txid(path.token):
        raise NotFound("No payload is bound to this location.")
    with reading() as work:
        payment = work.payments.by_location(path.token)
        moment = work.now
    if payment.provider_account_id is not None:
        raise NotFound("The charge of this location is at a bank, which signs its payload.")
    if payment.charge_kind != ChargeKind.COB:
        raise NotFound("The charge of this location has a due date: its path has /cobv/.")
    status = status_at(payment, moment)
    if status is not PaymentStatus.PENDING:
        raise Gone(f"The payment of this location is {status}.")
    body = location.sign_payload(
        location.payload(payment, moment), moment, current_settings().public_url
    )
    response = Response(body, content_type="application/jose")
    response.headers["Cache-Control"] = "no-store"
    return response
