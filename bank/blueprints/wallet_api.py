"""The wallet API for the service: open a wallet, show it, pay from it.

Requests are signed as in `service_api`. Each body has fields of its own and no unknown ones, so
that the signed body of one address is refused at another.
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
from bank.identifiers import is_txid
from bank.models import BankPayer
from bank.money.wallets import WalletOrder, WalletPaymentOrder, masked_card
from core.errors import FieldError, InvalidMoney
from core.money import centavos_from, json_number

bp = Blueprint("wallet_api", __name__, url_prefix="/api/wallets")

_HOLDER = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
_LENGTHS = {"login": 64, "name": 120, "pin": 12, "demo": 32, "card": 32, "code": 2048}
_LENGTH_DEFAULT = 64


@bp.post("")
def open_wallet() -> ResponseReturnValue:
    """Open a holder's wallet. Body: {"holder", "login", "name", "pin"?, "demo"?}.

    The response shows the whole card, and the PIN if the bank generated it. Neither is shown again.
    """
    require_signature(request.get_data())
    fields = _strings(("holder", "login", "name"), ("pin", "demo"))
    order = WalletOrder(
        holder=fields["holder"],
        login=fields["login"],
        name=fields["name"],
        pin=fields.get("pin"),
        demo=fields.get("demo"),
    )
    wallet = current_branch().wallets.open(order)
    response = jsonify(
        wallet=wallet_entry(wallet.payer, wallet.balance_centavos),
        card=wallet.payer.card_number,
        pin=wallet.pin,
    )
    response.status_code = 201 if wallet.is_new else 200
    return response


@bp.get("/<holder>")
def show_wallet(holder: str) -> ResponseReturnValue:
    """The holder's masked card, balance and limit."""
    require_signature(request_target())
    if not _HOLDER.fullmatch(holder):
        raise InvalidInput([FieldError("holder", "must be 1 to 64 letters, digits, - or _")])
    payer, balance = current_branch().wallets.wallet_of(holder)
    return jsonify(wallet=wallet_entry(payer, balance))


@bp.post("/payments")
def pay() -> ResponseReturnValue:
    """Pay a charge for a holder. Body: {"holder", "code", "txid", "value", "pin", "card"?}.

    Repeated requests for the same charge from the same wallet pay once.
    """
    require_signature(request.get_data())
    fields = _strings(("holder", "code", "txid", "pin", "value"), ("card",))
    try:
        agreed_centavos = centavos_from(fields["value"])
    except InvalidMoney as error:
        raise InvalidInput([FieldError("value", error.detail)]) from None
    if not is_txid(fields["txid"]):
        raise InvalidInput([FieldError("txid", "must be 1 to 35 letters and digits")])
    order = WalletPaymentOrder(
        holder=fields["holder"],
        code=fields["code"],
        txid=fields["txid"],
        pin=fields["pin"],
        card=fields.get("card"),
        agreed_centavos=agreed_centavos,
    )
    result, balance = current_branch().wallets.pay(order)
    response = jsonify(
        payment=payment_entry(result.transfer),
        answer=answer_entry(result.transfer),
        balance=json_number(balance),
        balance_centavos=balance,
    )
    if result.is_repeated:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def wallet_entry(payer: BankPayer, balance_centavos: int) -> dict[str, Any]:
    """A wallet as JSON, with the card masked."""
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
    """The body's members, all of them text. Raises InvalidInput with all invalid fields."""
    members = forms.json_object(request)
    required = tuple(required)
    names = {*required, *optional}
    errors = [FieldError(name, "is not a known field") for name in sorted({*members} - names)]
    errors += [FieldError(name, "is required") for name in required if name not in members]
    fields: dict[str, str] = {}
    for name in sorted(names & {*members}):
        value = members[name]
        if value is None and name not in required:
            continue
        characters_max = _LENGTHS.get(name, _LENGTH_DEFAULT)
        if not isinstance(value, str) or not 1 <= len(value) <= characters_max:
            errors.append(FieldError(name, f"must be a text of 1 to {characters_max} characters"))
        else:
            fields[name] = value
    if "holder" in fields and not _HOLDER.fullmatch(fields["holder"]):
        errors.append(FieldError("holder", "must be 1 to 64 letters, digits, - or _"))
    if errors:
        raise InvalidInput(errors)
    return fields
