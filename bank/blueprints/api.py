"""The bank over JSON: paying and statements for the command line, look-ups for the service."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from bank.blueprints import forms
from bank.blueprints.service_api import payer_in_notice, request_target, require_signature
from bank.blueprints.sessions import NotLoggedIn, current_payer
from bank.branch import current_branch
from bank.chaos import chaos
from bank.errors import InvalidInput
from bank.models import BankPayer, Transfer
from bank.money import ledger, payers
from bank.money.partners import payments_of_charge
from bank.money.paying import payment_status
from core.clock import rfc3339
from core.errors import FieldError
from core.money import json_number

bp = Blueprint("api", __name__, url_prefix="/api")

_TXID = re.compile(r"[a-zA-Z0-9]{1,35}", re.ASCII)
_PAYMENTS_MAX = 100


@bp.post("/pay")
def pay() -> ResponseReturnValue:
    """Pay a code. Body: {"code", "pin", "payer"?, "value"?, "scenario"?, "late_seconds"?}."""
    paid = current_branch().teller.pay(forms.order_from_json(request))
    response = jsonify(payment_entry(paid.transfer) | {"answer": answer_entry(paid.transfer)})
    if paid.is_repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@bp.get("/statement")
def statement() -> ResponseReturnValue:
    """The payer's balance and transfers, newest first. Query: limit?, after?.

    The payer is who is logged in, or who sends card (or handle) and PIN by HTTP Basic.
    """
    limit, after = forms.page_in(request.args)
    payer = _payer_asking()
    with current_branch().database.reading() as work:
        page = ledger.statement(work, payer.account_id, limit, after)
        balance = ledger.balance_centavos(work, payer.account_id)
    return jsonify(
        payer={"handle": payer.handle, "name": payer.name},
        balance=json_number(balance),
        balance_centavos=balance,
        data=[_entry(transfer, payer.account_id) for transfer in page.transfers],
        next=page.after,
    )


@bp.get("/payments/<txid>")
def payments(txid: str) -> ResponseReturnValue:
    """What this bank knows of a charge; the service signs the request's target."""
    branch = current_branch()
    require_signature(request_target())
    if not _TXID.fullmatch(txid):
        raise InvalidInput([FieldError("txid", "must be 1 to 35 letters and digits")])
    with branch.database.reading() as work:
        rows = payments_of_charge(work, txid, _PAYMENTS_MAX)
    chaos.inject_look_up_faults(rows, branch.clock)
    return jsonify(payments=[payment_entry(row) | {"payer": payer_in_notice(row)} for row in rows])


def payment_entry(transfer: Transfer) -> dict[str, Any]:
    """A payment as its payer and the service are told of it."""
    return {
        "end_to_end_id": transfer.identifier,
        "txid": transfer.txid,
        "status": payment_status(transfer),
        "value": json_number(transfer.amount_centavos),
        "amount_centavos": transfer.amount_centavos,
        "paid_at": rfc3339(transfer.made_at),
        "payee": {"name": transfer.payee_name, "key": transfer.payee_key},
    }


def _payer_asking() -> BankPayer:
    """Raises PinRefused and PinLocked, or Unauthorized where nobody is told at all."""
    database = current_branch().database
    told = request.authorization
    if told is None or told.type != "basic" or told.username is None or told.password is None:
        try:
            with database.reading() as work:
                return current_payer(work)
        except NotLoggedIn:
            challenge = WWWAuthenticate("basic", {"realm": "Banco Garoa"})
            raise Unauthorized(www_authenticate=challenge) from None
    with database.reading() as work:
        payer = payers.payer_by_login(work, told.username)
    payers.check_pin(database, payer, told.password)
    with database.writing() as work:
        payers.reset_failed_pins(work, payer)
    return payer


def answer_entry(transfer: Transfer) -> dict[str, Any] | None:
    """What the service last answered; None before its first answer."""
    notice = transfer.notice
    if notice is None or (notice.answer_status is None and notice.answer_code is None):
        return None
    return {
        "status": notice.answer_status,
        "code": notice.answer_code,
        "detail": notice.answer_detail,
        "attempts": notice.attempts,
    }


def _entry(transfer: Transfer, account_id: int) -> dict[str, Any]:
    signed = transfer.amount_centavos
    if transfer.debit_account_id == account_id:
        signed = -signed
    return {
        "id": transfer.identifier,
        "kind": transfer.kind,
        "status": payment_status(transfer) if transfer.kind == "payment" else None,
        "value": json_number(signed),
        "amount_centavos": signed,
        "made_at": rfc3339(transfer.made_at),
        "payee_name": transfer.payee_name,
    }
