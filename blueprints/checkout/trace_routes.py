"""Traces of the payment page: a shopper opened the page or copied the code."""

from __future__ import annotations

from typing import Literal

from flask import Blueprint, Response, request
from pydantic import ValidationError

from accounts.access import acting_account, has_credentials
from core import ids
from core.errors import Forbidden, PaymentNotFound, Unauthorized
from db_models import TraceKind
from payments import traces
from repository.database import reading
from web.bodies import StrictBody
from web.limits import limiter
from web.problems import refuse_invalid

bp = Blueprint("traces", __name__)


class NewTrace(StrictBody):
    """`POST /payments/pix/<id>/trace`."""

    what: Literal["opened", "copied"]


@bp.post("/payments/pix/<string:payment_id>/trace")
@limiter.limit("60 per minute")
def trace(payment_id: str) -> Response:
    """Store the trace for the merchant; a repeated trace is a no-op. Answers 204."""
    if not ids.is_txid(payment_id):
        raise PaymentNotFound
    try:
        body = NewTrace.model_validate(request.get_json())
    except ValidationError as error:
        return refuse_invalid(error)
    traces.record(payment_id, TraceKind(body.what), unless_by=_account_id())
    return Response(status=204, headers={"Cache-Control": "no-store"})


def _account_id() -> int | None:
    """The id of the signed-in account; None for most shoppers, who have no account."""
    if not has_credentials():
        return None
    try:
        with reading() as work:
            return int(acting_account(work).id)
    except (Unauthorized, Forbidden):
        return None
