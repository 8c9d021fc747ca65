"""The API for the service alone: look-ups, lists of settled payments, refunds; all signed.

The service signs a GET over `GET ` and the target, the path below the bank's root with its query,
so that a signature is valid for one address only. It signs a POST over its body.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from sqlalchemy import or_, select

from bank.blueprints import forms
from bank.branch import current_branch
from bank.errors import InvalidInput, ServiceSignatureRefused
from bank.identifiers import RETURN, is_identifier
from bank.models import BankRefund, Transfer
from bank.money.partners import read_for_service, service_payment, settled_between
from bank.money.paying import payment_status
from bank.money.refunds import RefundOrder, refund_by_id
from core.clock import parse_rfc3339, rfc3339
from core.errors import BadSignature, FieldError, InvalidMoney
from core.money import centavos_from, json_number
from core.signing import signatures

bp = Blueprint("service_api", __name__, url_prefix="/api")

WINDOW_MAX = timedelta(days=90)

_REFUND_ID = re.compile(r"[a-zA-Z0-9]{1,35}", re.ASCII)


def require_signature(body: bytes) -> None:
    """Raise ServiceSignatureRefused unless the service signed these bytes."""
    branch = current_branch()
    try:
        headers = {name.lower(): value for name, value in request.headers.items()}
        signatures.verify([branch.settings.webhook_secret], headers, body, branch.clock.now())
    except BadSignature as error:
        raise ServiceSignatureRefused(error.detail) from None


def request_target() -> bytes:
    """The bytes that the service signs for a GET: `GET /api/…` with the query."""
    query = b"?" + request.query_string if request.query_string else b""
    return b"GET " + request.path.encode("utf-8", "replace") + query


@bp.get("/transfers/<end_to_end_id>")
def transfer(end_to_end_id: str) -> ResponseReturnValue:
    """A payment by its end_to_end_id, with its returns and refunds."""
    require_signature(request_target())
    branch = current_branch()
    payment = read_for_service(
        branch.database,
        branch.clock.now(),
        lambda work: service_payment(work, end_to_end_id),
        lambda payment: [payment],
    )
    with branch.database.reading() as work:
        query = select(Transfer).where(
            or_(Transfer.reverses_id == payment.id, Transfer.refunds_id == payment.id)
        )
        returns = work.scalars(query.order_by(Transfer.id)).all()
    entry = settled_entry(payment) | {"returns": [_return_entry(row) for row in returns]}
    return jsonify(transfer=entry)


@bp.get("/settled")
def settled_payments() -> ResponseReturnValue:
    """Payments from `from` until before `to` (RFC 3339), oldest first. Query: limit?, after?."""
    require_signature(request_target())
    limit, after = forms.page_params(request.args)
    start, end = _window()
    branch = current_branch()
    rows, next_cursor = read_for_service(
        branch.database,
        branch.clock.now(),
        lambda work: settled_between(work, start, end, limit, after),
        lambda page: page[0],
    )
    return jsonify(data=[settled_entry(row) for row in rows], next=next_cursor)


@bp.post("/refunds")
def refund() -> ResponseReturnValue:
    """Refund a payment once per refund_id. Body: {"end_to_end_id", "refund_id", "value"}.

    `return_id` is optional: the rtrId that the payee wishes.
    """
    require_signature(request.get_data())
    bank_refund, is_repeated = current_branch().refunds.request(_refund_order())
    response = jsonify(refund_entry(bank_refund))
    response.status_code = 201
    if is_repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return response


@bp.get("/refunds/<refund_id>")
def refund_status(refund_id: str) -> ResponseReturnValue:
    """A refund with its status: processing, done or failed."""
    require_signature(request_target())
    if not _REFUND_ID.fullmatch(refund_id):
        raise InvalidInput([FieldError("refund_id", "must be 1 to 35 letters and digits")])
    with current_branch().database.reading() as work:
        return jsonify(refund_entry(refund_by_id(work, refund_id)))


def settled_entry(payment: Transfer) -> dict[str, Any]:
    """A payment as JSON; `txid` and `bank_payment_id` are null for a static code."""
    return {
        "end_to_end_id": payment.identifier,
        "txid": payment.txid,
        "bank_payment_id": payment.txid,
        "value": json_number(payment.amount_centavos),
        "amount_centavos": payment.amount_centavos,
        "paid_at": rfc3339(payment.made_at),
        "status": payment_status(payment),
        "key": payment.payee_key,
        "reference": payment.reference,
        **payer_in_notice(payment),
    }


def payer_in_notice(payment: Transfer) -> dict[str, Any]:
    """The payer and the message exactly as in the notice, so that look-up and notice agree."""
    members = json.loads(payment.notice.body) if payment.notice else {}
    return {name: members.get(name) for name in ("payer", "payer_message")}


def refund_entry(refund: BankRefund) -> dict[str, Any]:
    """A refund as JSON."""
    return {
        "refund_id": refund.refund_id,
        "return_id": refund.return_id,
        "end_to_end_id": refund.payment.identifier,
        "value": json_number(refund.amount_centavos),
        "amount_centavos": refund.amount_centavos,
        "status": refund.status,
        "requested_at": rfc3339(refund.requested_at),
        "settled_at": rfc3339(refund.settled_at) if refund.settled_at else None,
    }


def _return_entry(transfer: Transfer) -> dict[str, Any]:
    return {
        "return_id": transfer.identifier,
        "kind": transfer.kind,
        "value": json_number(transfer.amount_centavos),
        "amount_centavos": transfer.amount_centavos,
        "made_at": rfc3339(transfer.made_at),
    }


def _window() -> tuple[datetime, datetime]:
    instants: dict[str, datetime] = {}
    errors: list[FieldError] = []
    for name in ("from", "to"):
        try:
            instants[name] = parse_rfc3339(request.args.get(name, ""))
        except ValueError:
            errors.append(FieldError(name, "must be a time of RFC 3339"))
    if errors:
        raise InvalidInput(errors)
    start, end = instants["from"], instants["to"]
    if not timedelta(0) <= end - start <= WINDOW_MAX:
        raise InvalidInput([FieldError("to", f"must be 0 to {WINDOW_MAX.days} days after from")])
    return start, end


def _refund_order() -> RefundOrder:
    members = forms.json_object(request)
    end_to_end_id, refund_id = members.get("end_to_end_id"), members.get("refund_id")
    errors: list[FieldError] = []
    if not isinstance(end_to_end_id, str) or not is_identifier(end_to_end_id):
        errors.append(FieldError("end_to_end_id", "must be a payment's identifier"))
    if not isinstance(refund_id, str) or not _REFUND_ID.fullmatch(refund_id):
        errors.append(FieldError("refund_id", "must be 1 to 35 letters and digits"))
    amount = 0
    try:
        amount = centavos_from(members.get("value"))
    except InvalidMoney as error:
        errors.append(FieldError("value", error.detail))
    if errors:
        raise InvalidInput(errors)
    return_id = members.get("return_id")
    if not isinstance(return_id, str) or not is_identifier(return_id) or return_id[0] != RETURN:
        return_id = None
    return RefundOrder(str(end_to_end_id), str(refund_id), amount, return_id)
