"""The API for the service's orders about Pix Automático: requests, cancellations, charges.

Requests are signed over their body as in `service_api`. Each body has fields of its own, and the
short ones no unknown fields, so that the signed body of one address is refused at another. Every
order may be repeated: the same id gives the same result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from bank.blueprints import forms
from bank.blueprints.service_api import require_signature
from bank.branch import current_branch
from bank.errors import InvalidInput
from bank.identifiers import PAYMENT, is_identifier, is_txid
from bank.mandates.collections import CollectionOrder
from bank.mandates.requests import RequestOrder, RequestRecipient
from bank.mandates.tables import BankCollection, MandateRequest
from bank.text import clean
from core.clock import parse_rfc3339
from core.errors import FieldError, InvalidMoney
from core.money import centavos_from, json_number
from core.pix.recurrence_rules import ID_REC

bp = Blueprint("mandate_api", __name__, url_prefix="/api")

KINDS = ("AGND", "NTAG", "RIFL")
"""API Pix 2.9.0, CobRTentativa: the first scheduling, a new attempt, one that is sent again."""

INFO_CHARACTERS_MAX = 140
_EXPIRED = "expired"
_REQUEST_ID = re.compile(r"[a-zA-Z0-9]{29}", re.ASCII)
_DOCUMENT = re.compile(r"[0-9]{11}|[0-9A-Z]{12}[0-9]{2}", re.ASCII)
_ISPB = re.compile(r"[0-9A-Z]{8}", re.ASCII)
_ACCOUNT = re.compile(r"[0-9A-Za-z-]{1,20}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_YEAR_MAX = 2199
_WORD = re.compile(r"[\w.-]{1,64}", re.ASCII)
_TEXT_CHARACTERS_MAX = 500


@bp.post("/mandate-requests")
def receive_request() -> ResponseReturnValue:
    """Show a client a recurrence. Body: {"id", "expires_at", "recurrence", "payer"}.

    `recurrence` has the members of the payload of a location; `payer` has `document`, `ispb`,
    `account`? and `branch`?. 404 `customer-unknown`, 409 `mandate-taken` or `requests-full`.
    """
    require_signature(request.get_data())
    mandate_request, is_repeated = current_branch().requests.receive(_request_order())
    response = jsonify(request=_request_entry(mandate_request))
    response.status_code = 200 if is_repeated else 201
    return response


@bp.post("/mandate-requests/cancel")
def cancel_request() -> ResponseReturnValue:
    """Cancel a request. Body: {"id"}. 404 `request-not-found`, 409 `request-closed`."""
    require_signature(request.get_data())
    members = _members(("id",))
    request_id = _text(members, "id", _REQUEST_ID)
    return jsonify(request=_request_entry(current_branch().requests.cancel(request_id)))


@bp.post("/mandates/cancel")
def cancel_mandate() -> ResponseReturnValue:
    """End what clients authorised for a recurrence. Body: {"id_rec", "code", "text"}.

    `code` is that of a cancellation, or `expired`. 200 also if no client of this bank has
    authorised it.
    """
    require_signature(request.get_data())
    members = _members(("id_rec", "code", "text"))
    id_rec = _text(members, "id_rec", ID_REC)
    code = _text(members, "code", _WORD)
    if not isinstance(members["text"], str) or len(members["text"]) > _TEXT_CHARACTERS_MAX:
        raise InvalidInput([FieldError("text", "must be a text of at most 500 characters")])
    current_branch().mandates.end_for_payee(id_rec, has_expired=code == _EXPIRED)
    return jsonify(mandate={"id_rec": id_rec, "status": "ended"})


@bp.post("/collections")
def schedule_collection() -> ResponseReturnValue:
    """Schedule a charge. Body: {"txid", "id_rec", "end_to_end_id", "value", "settles_on", "kind"}.

    `info` is optional, and other members are ignored. 422 `mandate-unknown`, `amount-over-limit`
    or `settlement-day-past`; 409 `mandate-ended`, `already-scheduled` or `collections-full`; 503
    `mandate-not-ready`.
    """
    require_signature(request.get_data())
    collection, is_repeated = current_branch().collections.schedule(_collection_order())
    response = jsonify(collection=collection_entry(collection))
    response.status_code = 200 if is_repeated else 201
    return response


@bp.post("/collections/cancel")
def cancel_collection() -> ResponseReturnValue:
    """Cancel a scheduled charge. Body: {"end_to_end_id"}.

    404 `collection-not-found`, 409 `collection-closed`.
    """
    require_signature(request.get_data())
    end_to_end_id = _members(("end_to_end_id",))["end_to_end_id"]
    if not isinstance(end_to_end_id, str) or not is_identifier(end_to_end_id):
        raise InvalidInput([FieldError("end_to_end_id", "must be a payment's identifier")])
    collection = current_branch().collections.cancel_for_payee(end_to_end_id)
    return jsonify(collection=collection_entry(collection))


def collection_entry(collection: BankCollection) -> dict[str, Any]:
    """A charge as JSON; `status` is scheduled, paid, failed or cancelled."""
    return {
        "end_to_end_id": collection.end_to_end_id,
        "txid": collection.txid,
        "value": json_number(collection.amount_centavos),
        "settles_on": str(collection.settles_on),
        "status": collection.status,
        "reason": collection.reason,
    }


def _request_entry(mandate_request: MandateRequest) -> dict[str, Any]:
    return {"id": mandate_request.request_id, "status": mandate_request.status}


def _members(names: Iterable[str]) -> dict[str, Any]:
    """The body, which has these fields and no others. Raises InvalidInput."""
    members, names = forms.json_object(request), tuple(names)
    errors = [FieldError(name, "is required") for name in names if members.get(name) is None]
    errors += [FieldError(name, "is unknown") for name in members if name not in names]
    if errors:
        raise InvalidInput(errors)
    return members


def _text(members: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    faults: list[FieldError] = []
    text = _matching_text(members, name, form, faults)
    if faults:
        raise InvalidInput(faults)
    return text


def _matching_text(
    members: Mapping[str, Any], name: str, form: re.Pattern[str], faults: list[FieldError]
) -> str:
    """The text; if it does not match, add a fault and return an empty text."""
    text = members.get(name.rpartition(".")[2])
    if isinstance(text, str) and form.fullmatch(text):
        return text
    faults.append(FieldError(name, f"must match {form.pattern}"))
    return ""


def _request_order() -> RequestOrder:
    members = forms.json_object(request)
    faults: list[FieldError] = []
    request_id = _matching_text(members, "id", _REQUEST_ID, faults)
    expires_at = _instant(members, "expires_at", faults)
    recurrence, payer = members.get("recurrence"), members.get("payer")
    if not isinstance(recurrence, dict):
        faults.append(FieldError("recurrence", "must be an object"))
    if not isinstance(payer, dict):
        raise InvalidInput([*faults, FieldError("payer", "must be an object")])
    document = _matching_text(payer, "payer.document", _DOCUMENT, faults)
    ispb = _matching_text(payer, "payer.ispb", _ISPB, faults)
    numbers = {
        name: _matching_text(payer, f"payer.{name}", _ACCOUNT, faults)
        for name in ("account", "branch")
        if payer.get(name) is not None
    }
    if faults or expires_at is None or not isinstance(recurrence, dict):
        raise InvalidInput(faults)
    recipient = RequestRecipient(document, ispb, numbers.get("account"), numbers.get("branch"))
    return RequestOrder(request_id, expires_at, recurrence, recipient)


def _instant(members: Mapping[str, Any], name: str, faults: list[FieldError]) -> datetime | None:
    try:
        return parse_rfc3339(str(members.get(name, "")))
    except ValueError:
        faults.append(FieldError(name, "must be a time of RFC 3339"))
        return None


def _collection_order() -> CollectionOrder:
    members = forms.json_object(request)
    faults: list[FieldError] = []
    txid, end_to_end_id = members.get("txid"), members.get("end_to_end_id")
    if not isinstance(txid, str) or not is_txid(txid):
        faults.append(FieldError("txid", "must be 1 to 35 letters and digits"))
    id_rec = _matching_text(members, "id_rec", ID_REC, faults)
    is_payment = isinstance(end_to_end_id, str) and is_identifier(end_to_end_id)
    if not is_payment or not str(end_to_end_id).startswith(PAYMENT):
        faults.append(FieldError("end_to_end_id", "must be a payment's identifier"))
    amount = 0
    try:
        amount = centavos_from(members.get("value"))
    except InvalidMoney as error:
        faults.append(FieldError("value", error.detail))
    settles_on = _day(members, "settles_on", faults)
    if members.get("kind") not in KINDS:
        faults.append(FieldError("kind", f"must be one of {', '.join(KINDS)}"))
    info = members.get("info")
    if info is not None and not isinstance(info, str):
        faults.append(FieldError("info", "must be a text"))
    if faults or settles_on is None:
        raise InvalidInput(faults)
    return CollectionOrder(
        txid=str(txid),
        id_rec=id_rec,
        end_to_end_id=str(end_to_end_id),
        amount_centavos=amount,
        settles_on=settles_on,
        kind=str(members["kind"]),
        info=(clean(info, INFO_CHARACTERS_MAX) or None) if isinstance(info, str) else None,
    )


def _day(members: Mapping[str, Any], name: str, faults: list[FieldError]) -> date | None:
    text = members.get(name)
    try:
        day = date.fromisoformat(text) if isinstance(text, str) and _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or not 2000 <= day.year <= _YEAR_MAX:
        faults.append(FieldError(name, "must be a day, as 2031-01-31"))
        return None
    return day
