"""The page where a payer uploads the picture of a QR; works without JavaScript, too."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, cast

from flask import Blueprint, Response, g, render_template, request

from blueprints.recovery import limits, lookup, texts
from blueprints.recovery.finding import READINGS_MAX
from blueprints.recovery.lookup import LookupResult
from blueprints.recovery.reading import Reading
from blueprints.recovery.texts import StateMessage
from blueprints.recovery.uploads import FORM_BYTES_MAX
from core.errors import (
    BalcaoError,
    FieldError,
    InvalidRequest,
    NoCodeInPicture,
    NotOurCode,
    PaymentNotFound,
    TooManyRequests,
)
from core.pictures import PICTURE_BYTES_MAX
from payments.standing import Action, State
from web.bodies import body_limit, check_storable
from web.merchant_view import MerchantView, merchant_view
from web.pages import language_query
from web.pages import translate as _
from web.problems import RECOVER_PATH, prefers_page, status_of

bp = Blueprint("recover_page", __name__)

TONES = {
    State.PAID: ("good", "check"),
    State.PART_REFUNDED: ("good", "check"),
    State.REFUNDED: ("calm", "return"),
    State.WAITING: ("calm", "qr"),
    State.EXPIRED: ("warn", "clock"),
    State.REFUSED: ("warn", "return"),
    State.CANCELLED: ("calm", "close"),
    State.PAID_ELSEWHERE: ("calm", "check"),
    State.REPLACED: ("calm", "qr"),
}


@dataclass(frozen=True)
class Result:
    """The outcome of one attempt, as the page shows it; an error has no `lookup_result`."""

    message: StateMessage
    tone: str
    icon: str
    status: int = 200
    lookup_result: LookupResult | None = None
    merchant: MerchantView | None = None
    step: Step | None = None
    proof_url: str | None = None
    """Where the payer of an unpaid payment sends a proof."""
    retry_after_seconds: int | None = None


@dataclass(frozen=True)
class Step:
    """The button for the next step."""

    label: str
    url: str
    is_form: bool


@bp.get(RECOVER_PATH)
def page() -> Response:
    """The page with an empty form."""
    return _render(None)


@bp.post(RECOVER_PATH)
@body_limit(FORM_BYTES_MAX)
def recover() -> Response:
    """Look up a picture or a text; `?fragment=result` returns only the result's HTML."""
    try:
        result = _success(lookup.look(_read_form(), ask=True))
    except BalcaoError as error:
        if not prefers_page() and request.args.get("fragment") != "result":
            raise  # a program posted the form: answer problem+json
        result = _failure(error)
        g.problem_code = error.code
    return _render(result)


def _read_form() -> tuple[Reading, ...]:
    """Read the form's picture or texts; a browser that reads a picture sends several texts."""
    with ExitStack() as closing:
        for upload in request.files.values():
            closing.callback(upload.close)
        # If the payer chose no file, the form has a file without a name.
        files = [upload for upload in request.files.getlist("file") if upload.filename]
        texts = [text for text in request.form.getlist("qr_data") if text.strip()]
        limits.admit(with_picture=bool(files))
        for text in texts:
            check_storable(text)
        if len(files) > 1:
            raise InvalidRequest([FieldError("file", "must be given once")])
        if files:
            picture = cast("BinaryIO", files[0].stream)
            return lookup.readings_of_picture_and_text(picture, texts[0] if texts else "")
        if not texts:
            raise InvalidRequest([FieldError("file", "is required")])
        if len(texts) == 1:
            return lookup.readings_of_text(texts[0])
        return lookup.readings_of_texts(texts[:READINGS_MAX])


def _success(lookup_result: LookupResult) -> Result:
    payment_state = lookup_result.payment_state
    payment, action = payment_state.payment, payment_state.action
    tone, icon = TONES[payment_state.state]
    page_path = f"{request.script_root}/payments/pix/{payment.txid}"
    suffix = {Action.RECEIPT: "/receipt", Action.RENEW: "/renew"}.get(action, "")
    return Result(
        texts.of_payment_state(payment_state),
        tone,
        icon,
        lookup_result=lookup_result,
        merchant=merchant_view(payment.merchant),
        step=Step(
            texts.label_of(action),
            f"{page_path}{suffix}{language_query()}",
            is_form=action is Action.RENEW,
        ),
        proof_url=None if action is Action.RECEIPT else f"{page_path}/proof{language_query()}",
    )


def _failure(error: BalcaoError) -> Result:
    wait = error.retry_after_seconds if isinstance(error, TooManyRequests) else None
    status = status_of(type(error))
    if isinstance(error, NoCodeInPicture):
        return Result(texts.no_code(), "calm", "search", status)
    if isinstance(error, NotOurCode):
        title = _("Este código não é um pagamento daqui")
        return Result(StateMessage(title, error.detail), "calm", "search", status)
    if isinstance(error, PaymentNotFound):
        title = _("Não encontramos este pagamento")
        return Result(StateMessage(title, error.detail), "calm", "search", status)
    return Result(texts.of_error(error), "warn", "alert", status, retry_after_seconds=wait)


def _render(result: Result | None) -> Response:
    is_fragment = request.args.get("fragment") == "result" and result is not None
    html = render_template(
        f"recovery/{'_result' if is_fragment else 'recover'}.html",
        result=result,
        picture_bytes_max=PICTURE_BYTES_MAX,
        typed_text=request.form.get("qr_data", "")[:4096],
        is_deadline_near=_is_deadline_near(result),
    )
    response = Response(html, result.status if result else 200, mimetype="text/html")
    if result is not None and result.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(math.ceil(result.retry_after_seconds))
    elif result is not None and result.status == 503:
        response.headers["Retry-After"] = "2"
    return response


def _is_deadline_near(result: Result | None) -> bool:
    """Whether the deadline is within a day, so that the page shows its time without the date."""
    if result is None or result.lookup_result is None:
        return False
    payment_state = result.lookup_result.payment_state
    expires_at: datetime = payment_state.payment.expires_at
    return abs((expires_at - payment_state.at).total_seconds()) < 86_400
