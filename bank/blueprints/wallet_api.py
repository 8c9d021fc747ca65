"""What the bank does for the service's payers, on the service's signed word: open, show, pay.

Signed as `service_api` has it: a GET over its target, a POST over its body. Every body has fields
of its own and no others are taken, so that none fits another address.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from bank.blueprints import forms
from bank.blueprints.api import answer_entry, payment_entry
from bank.blueprints.service_api import request_target, require_signature
from bank.branch import current_branch
from bank.errors import InvalidInput
from bank.models import BankPayer
from bank.money.wallets import WalletOrder, WalletPaymentOrder, masked_card
from core.errors import FieldError, InvalidMoney
from core.money import centavos_from, json_number

bp = Blueprint("wallet_api", __name__, url_prefix="/api/wallets")

_HOLDER = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
_TXID = re.compile(r"[a-zA-Z0-9]{1,35}", re.ASCII)
_LENGTHS = {"login": 64, "name": 120, "pin": 12, "demo": 32, "card": 32, "code": 2048}


@bp.post("")
def open_wallet() -> ResponseReturnValue:
    """Open a holder's wallet. Body: {"holder", "login", "name", "pin"?, "demo"?}.

    The card is told whole, and the PIN where the bank made it: here and never again.
    """
    require_signature(request.get_data())
    told = _strings(("holder", "login", "name"), ("pin", "demo"))
    opened = current_branch().wallets.open(
        WalletOrder(told["holder"], told["login"], told["name"], told.get("pin"), told.get("demo"))
    )
    answer = jsonify(
        wallet=wallet_entry(opened.payer, opened.balance_centavos),
        card=opened.payer.card_number,
        pin=opened.pin,
    )
    answer.status_code = 201 if opened.is_new else 200
    return answer


@bp.get("/<holder>")
def show_wallet(holder: str) -> ResponseReturnValue:
    """A holder's card, masked, with balance and limit."""
    require_signature(request_target())
    if not _HOLDER.fullmatch(holder):
        raise InvalidInput([FieldError("holder", "must be 1 to 64 letters, digits, - or _")])
    payer, balance = current_branch().wallets.named(holder)
    return jsonify(wallet=wallet_entry(payer, balance))


@bp.post("/payments")
def pay() -> ResponseReturnValue:
    """Pay a charge for a holder. Body: {"holder", "code", "txid", "value", "pin", "card"?}.

    The same charge is paid once by the same wallet, however often this is asked.
    """
    require_signature(request.get_data())
    told = _strings(("holder", "code", "txid", "pin", "value"), ("card",))
    try:
        agreed = centavos_from(told["value"])
    except InvalidMoney as error:
        raise InvalidInput([FieldError("value", error.detail)]) from None
    if not _TXID.fullmatch(told["txid"]):
        raise InvalidInput([FieldError("txid", "must be 1 to 35 letters and digits")])
    asked = WalletPaymentOrder(
        holder=told["holder"],
        code=told["code"],
        txid=told["txid"],
        pin=told["pin"],
        card=told.get("card"),
        agreed_centavos=agreed,
    )
    paid, balance = current_branch().wallets.pay(asked)
    answer = jsonify(
        payment=payment_entry(paid.transfer),
        answer=answer_entry(paid.transfer),
        balance=json_number(balance),
        balance_centavos=balance,
    )
    if paid.is_repeated:
        answer.headers["Idempotent-Replayed"] = "true"
    return answer


def wallet_entry(payer: BankPayer, balance_centavos: int) -> dict[str, Any]:
    """A wallet as the service is told of it; never its whole card."""
    return {
        "holder": payer.holder,
        "handle": payer.handle,
        "name": payer.name,
        "card_masked": masked_card(payer.card_number),
        "balance": json_number(balance_centavos),
        "balance_centavos": balance_centavos,
        "limit": json_number(payer.limit_centavos),
        "limit_centavos": payer.limit_centavos,
        "is_pin_proved": payer.is_pin_proved,
        "pins_left": payer.pins_left,
    }


def _strings(required: Iterable[str], optional: Iterable[str]) -> dict[str, str]:
    """The body's members, all of them text. Raises InvalidInput with every field at fault."""
    members = forms.json_object(request)
    required, known = tuple(required), {*required, *optional}
    errors = [FieldError(name, "is not a known field") for name in sorted({*members} - known)]
    errors += [FieldError(name, "is required") for name in required if name not in members]
    found: dict[str, str] = {}
    for name in sorted(known & {*members}):
        value = members[name]
        if value is None and name not in required:
            continue
        if not isinstance(value, str) or not value or len(value) > _LENGTHS.get(name, 64):
            errors.append(FieldError(name, "must be a text of its usual length"))
        else:
            found[name] = value
    if "holder" in found and not _HOLDER.fullmatch(found["holder"]):
        errors.append(FieldError("holder", "must be 1 to 64 letters, digits, - or _"))
    if errors:
        raise InvalidInput(errors)
    return found
