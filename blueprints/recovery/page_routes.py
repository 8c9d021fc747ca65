"""The page where a payer shows the picture of a QR; it works without JavaScript, too."""

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
from blueprints.recovery.payment_state import Action, State
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
from web.bodies import body_limit, check_storable
from web.merchant_view import MerchantView, merchant_view
from web.pages import language_query
from web.pages import spoken as _
from web.problems import RECOVER_PATH, prefers_page, status_of

bp = Blueprint("recover_page", __name__)

TONES = {
    State.PAID: ("good", "check"),
    State.WAITING: ("calm", "qr"),
    State.EXPIRED: ("warn", "clock"),
    State.REFUSED: ("warn", "return"),
    State.CANCELLED: ("calm", "close"),
    State.PAID_ELSEWHERE: ("calm", "check"),
    State.REPLACED: ("calm", "qr"),
}


@dataclass(frozen=True)
class Result:
    """What the page draws of one try; without a standing it is why there is none."""

    told: StateMessage
    tone: str
    icon: str
    status: int = 200
    answer: LookupResult | None = None
    merchant: MerchantView | None = None
    step: Step | None = None
    retry_after_seconds: int | None = None


@dataclass(frozen=True)
class Step:
    """The one button."""

    label: str
    url: str
    is_form: bool


@bp.get(RECOVER_PATH)
def page() -> Response:
    """The page, nothing looked up yet."""
    return _drawn(None)


@bp.post(RECOVER_PATH)
@body_limit(FORM_BYTES_MAX)
def recover() -> Response:
    """Look up what was sent; `?fragment=result` gives the answer's part of the page alone."""
    try:
        result = _found(lookup.look(_readings(), ask=True))
    except BalcaoError as error:
        if not prefers_page() and request.args.get("fragment") != "result":
            raise  # a program, which the page's form was not made for: the contract's error
        result = _missed(error)
        g.problem_code = error.code
    return _drawn(result)


def _readings() -> tuple[Reading, ...]:
    """What a picture or texts say; texts may be several, as a browser reads them in a picture."""
    with ExitStack() as closing:
        for every in request.files.values():
            closing.callback(every.close)
        # A form whose file was not chosen still has the field, without a name.
        files = [sent for sent in request.files.getlist("file") if sent.filename]
        texts = [text for text in request.form.getlist("qr_data") if text.strip()]
        limits.admit(with_picture=bool(files))
        for text in texts:
            check_storable(text)
        if len(files) > 1:
            raise InvalidRequest([FieldError("file", "must be given once")])
        if files:
            picture = cast("BinaryIO", files[0].stream)
            return lookup.of_picture_and_text(picture, texts[0] if texts else "")
        if not texts:
            raise InvalidRequest([FieldError("file", "is required")])
        return (
            lookup.of_text(texts[0]) if len(texts) == 1 else lookup.of_texts(texts[:READINGS_MAX])
        )


def _found(answer: LookupResult) -> Result:
    standing = answer.standing
    tone, icon = TONES[standing.state]
    own = f"{request.script_root}/payments/pix/{standing.payment.txid}"
    tail = {Action.RECEIPT: "/receipt", Action.RENEW: "/renew"}.get(standing.action, "")
    return Result(
        texts.of_standing(standing),
        tone,
        icon,
        answer=answer,
        merchant=merchant_view(standing.payment.merchant),
        step=Step(
            texts.label_of(standing.action),
            f"{own}{tail}{language_query()}",
            standing.action is Action.RENEW,
        ),
    )


def _missed(error: BalcaoError) -> Result:
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


def _drawn(result: Result | None) -> Response:
    fragment = request.args.get("fragment") == "result" and result is not None
    html = render_template(
        f"recovery/{'_result' if fragment else 'recover'}.html",
        result=result,
        picture_bytes_max=PICTURE_BYTES_MAX,
        typed=request.form.get("qr_data", "")[:4096],
        is_near=_is_near(result),
    )
    response = Response(html, result.status if result else 200, mimetype="text/html")
    if result is not None and result.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(math.ceil(result.retry_after_seconds))
    elif result is not None and result.status == 503:
        response.headers["Retry-After"] = "2"
    return response


def _is_near(result: Result | None) -> bool:
    """Whether the deadline is within a day, so that its time alone says when."""
    if result is None or result.answer is None:
        return False
    left: datetime = result.answer.standing.payment.expires_at
    return abs((left - result.answer.standing.at).total_seconds()) < 86_400
