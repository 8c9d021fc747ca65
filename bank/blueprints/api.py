"""The JSON API: payments and statements for the command line, look-ups for the service."""

from __future__ import annotations

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
from bank.identifiers import is_txid
from bank.models import BankPayer, Transfer
from bank.money import ledger, payers
from bank.money.partners import payments_of_charge, read_for_service
from bank.money.paying import payment_status
from core.clock import rfc3339
from core.errors import FieldError
from core.money import json_number

bp = Blueprint("api", __name__, url_prefix="/api")

_PAYMENTS_MAX = 100


@bp.post("/pay")
def pay() -> ResponseReturnValue:
    """Pay a code. Body: {"code", "pin", "payer"?, "value"?, "scenario"?, "late_seconds"?}."""
    result = current_branch().teller.pay(forms.order_from_json(request))
    payment = result.transfer
    response = jsonify(payment_entry(payment) | {"answer": answer_entry(payment)})
    if result.is_repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@bp.get("/statement")
def statement() -> ResponseReturnValue:
    """The payer's balance and transfers, newest first. Query: limit?, after?.

    The payer is logged in, or sends card (or handle) and PIN by HTTP Basic authentication.
    """
    limit, after = forms.page_params(request.args)
    payer = _authenticated_payer()
    with current_branch().database.reading() as work:
        page = ledger.statement(work, payer.account_id, limit, after)
        balance = ledger.balance_centavos(work, payer.account_id)
    return jsonify(
        payer={"handle": payer.handle, "name": payer.name},
        balance=json_number(balance),
        balance_centavos=balance,
        data=[_statement_entry(transfer, payer.account_id) for transfer in page.transfers],
        next=page.after,
    )


@bp.get("/payments/<txid>")
def payments(txid: str) -> ResponseReturnValue:
    """The payments of a charge, for the service, which signs the request's target."""
    branch = current_branch()
    require_signature(request_target())
    if not is_txid(txid):
        raise InvalidInput([FieldError("txid", "must be 1 to 35 letters and digits")])
    rows = read_for_service(
        branch.database,
        branch.clock.now(),
        lambda work: payments_of_charge(work, txid, _PAYMENTS_MAX),
        lambda payments: payments,
    )
    chaos.inject_look_up_faults(rows, branch.clock)
    return jsonify(payments=[payment_entry(row) | payer_in_notice(row) for row in rows])


def payment_entry(transfer: Transfer) -> dict[str, Any]:
    """A payment in the JSON of the payer and of the service."""
    return {
        "end_to_end_id": transfer.identifier,
        "txid": transfer.txid,
        "status": payment_status(transfer),
        "value": json_number(transfer.amount_centavos),
        "amount_centavos": transfer.amount_centavos,
        "paid_at": rfc3339(transfer.made_at),
        "payee": {"name": transfer.payee_name, "key": transfer.payee_key},
    }


def _authenticated_payer() -> BankPayer:
    """Raises PinRefused, PinLocked, or Unauthorized without session and credentials."""
    database = current_branch().database
    basic = request.authorization
    if basic is None or basic.type != "basic" or basic.username is None or basic.password is None:
        try:
            with database.reading() as work:
                return current_payer(work)
        except NotLoggedIn:
            challenge = WWWAuthenticate("basic", {"realm": "Banco Garoa"})
            raise Unauthorized(www_authenticate=challenge) from None
    with database.reading() as work:
        payer = payers.payer_by_login(work, basic.username)
    payers.check_pin(database, payer, basic.password)
    with database.writing() as work:
        payers.reset_failed_pins(work, payer)
    return payer


def answer_entry(transfer: Transfer) -> dict[str, Any] | None:
    """The service's last answer to the notice; None before the first one."""
    notice = transfer.notice
    if notice is None or (notice.answer_status is None and notice.answer_code is None):
        return None
    return {
        "status": notice.answer_status,
        "code": notice.answer_code,
        "detail": notice.answer_detail,
        "attempts": notice.attempts,
    }


def _statement_entry(transfer: Transfer, account_id: int) -> dict[str, Any]:
    is_debit = transfer.debit_account_id == account_id
    amount_centavos = -transfer.amount_centavos if is_debit else transfer.amount_centavos
    return {
        "id": transfer.identifier,
        "kind": transfer.kind,
        "status": payment_status(transfer) if transfer.kind == "payment" else None,
        "value": json_number(amount_centavos),
        "amount_centavos": amount_centavos,
        "made_at": rfc3339(transfer.made_at),
        "payee_name": transfer.payee_name,
    }
