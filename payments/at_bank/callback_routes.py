"""The addresses that banks call when money has arrived."""

from __future__ import annotations

from http import HTTPStatus

import structlog
from flask import request
from flask_openapi import Tag
from pydantic import BaseModel, Field
from werkzeug.wrappers import Response as BaseResponse

from config import current_parts
from core.provider_errors import ProviderAccountNotFound
from core.runtime.throttle import Throttle
from core.runtime.turns import end_turn
from payments.at_bank.callbacks import BODY_BYTES_MAX, CallbackAccount, read_callback
from web.answers import private_json
from web.api_docs import DocumentedBlueprint, problems
from web.bodies import body_limit
from web.limits import client_network

log = structlog.get_logger()

bp = DocumentedBlueprint(
    "provider_callbacks", __name__, url_prefix="/providers", abp_tags=[Tag(name="Bank")]
)

_refusals = Throttle(60)


class CallbackPath(BaseModel):
    """The token in an account's address of callbacks."""

    token: str = Field(description="Of any length: another one than an account's is a 404.")


class CallbackAnswer(BaseModel):
    """The callback is stored; the bank will be asked about it."""

    message: str


_ANSWERS = {200: CallbackAnswer, **problems(404, 413, 503)}
_ABOUT = (
    "Of an account at a real bank; the token in the path is the proof. Nothing in the body is "
    "believed: the bank is asked about what it names. Unknown bodies get 200 too."
)
_ADDRESSES = ("/<string:token>", "/<string:token>/pix", "/<string:token>/pix/pix")
"""Some banks add `/pix` to the registered address, whatever it ends with."""


def take_callback(path: CallbackPath) -> BaseResponse:
    """Store what the body names, then answer; a body that is not JSON is logged."""
    account = _account_of(path.token)
    pix = read_callback(request.get_data())
    callbacks = current_parts().metrics.money.callbacks
    if pix is None:
        callbacks.labels("unreadable").inc()
        log.warning("provider.callback_unreadable", account=account.id)
        return _answer()
    if not pix:
        callbacks.labels("nothing").inc()
        return _answer()
    # The next callback of this bank need not wait until this one is written.
    end_turn(request.environ)
    current_parts().callbacks.store(account, pix)
    callbacks.labels("stored").inc()
    return _answer()


def probe(path: CallbackPath) -> BaseResponse:
    """Answer a bank's panel that looks whether the address exists."""
    _account_of(path.token)
    return _answer()


def _account_of(token: str) -> CallbackAccount:
    """The account with this token. Raises ProviderAccountNotFound."""
    account = current_parts().callbacks.account_of(token)
    if account is None:
        current_parts().metrics.money.callbacks.labels("unknown").inc()
        if _refusals.allow(client_network()):
            log.warning("provider.callback_refused", client=client_network())
        raise ProviderAccountNotFound("There is no such address.")
    return account


def _answer() -> BaseResponse:
    # Not 204: some banks count only 200 with a body as taken.
    return private_json({"message": HTTPStatus.OK.phrase})


for _address in _ADDRESSES:
    bp.post(_address, summary="A bank's callback", description=_ABOUT, responses=_ANSWERS)(
        body_limit(BODY_BYTES_MAX)(take_callback)
    )
    bp.get(_address, summary="A bank's probe", responses=_ANSWERS)(probe)
