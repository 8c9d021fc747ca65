"""The page on which a payer sends a proof to the merchant; works without JavaScript, too."""

from __future__ import annotations

import math
from contextlib import ExitStack
from typing import BinaryIO, cast

from flask import Blueprint, Response, g, redirect, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from blueprints.recovery import limits, proofs, texts
from blueprints.recovery.uploads import FORM_BYTES_MAX, picture_and_fields
from config import current_settings
from core.errors import BalcaoError, FieldError, InvalidRequest, TooManyRequests
from db_models import Payment, PaymentStatus
from repository.database import reading
from web.bodies import body_limit
from web.merchant_view import merchant_view
from web.pages import language_query
from web.problems import prefers_page, status_of

bp = Blueprint("proof_page", __name__)


@bp.get("/payments/pix/<string:payment_id>/proof")
def page(payment_id: str) -> BaseResponse:
    """The form, or after sending the answer; a paid payment needs no proof."""
    payment = _payment(payment_id)
    if payment.status == PaymentStatus.CONFIRMED:
        return redirect(_own(payment_id), 303)
    return _render(payment, is_sent=request.args.get("sent") == "1")


@bp.post("/payments/pix/<string:payment_id>/proof")
@body_limit(FORM_BYTES_MAX)
def send(payment_id: str) -> BaseResponse:
    """Store the picture for the merchant. A proof settles nothing; see `proofs`."""
    payment = _payment(payment_id)
    try:
        _store(payment_id)
    except BalcaoError as error:
        if not prefers_page():
            raise
        g.problem_code = error.code
        return _render(payment, error=error)
    query = f"{language_query()}&sent=1" if language_query() else "?sent=1"
    return redirect(f"{_own(payment_id)}/proof{query}", 303)


def _payment(payment_id: str) -> Payment:
    """The payment with its merchant. Raises PaymentNotFound."""
    with reading() as work:
        return work.payments.by_txid(payment_id)


def _store(payment_id: str) -> None:
    limits.admit(with_picture=True)
    with ExitStack() as closing:
        file, _fields = picture_and_fields(closing, ())
        if not file.filename:
            raise InvalidRequest([FieldError("file", "is required")])
        limits.admit_for(payment_id)
        sha256, proof = proofs.prepare(cast("BinaryIO", file.stream))
    proofs.store(payment_id, sha256, proof)


def _own(payment_id: str) -> str:
    return f"{request.script_root}/payments/pix/{payment_id}"


def _render(
    payment: Payment, *, is_sent: bool = False, error: BalcaoError | None = None
) -> BaseResponse:
    html = render_template(
        "recovery/proof.html",
        payment=payment,
        merchant=merchant_view(payment.merchant),
        problem=texts.of_proof_error(error) if error else None,
        is_sent=is_sent,
        proof_days=current_settings().proof_days,
        page_url=f"{_own(payment.txid)}{language_query()}",
        action=f"{_own(payment.txid)}/proof{language_query()}",
    )
    response = Response(html, status_of(type(error)) if error else 200, mimetype="text/html")
    if isinstance(error, TooManyRequests):
        response.headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
    return response
