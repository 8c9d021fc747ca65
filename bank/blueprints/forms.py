"""What pages and API take from outside, checked before anything else sees it."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from flask import Request, session
from werkzeug.exceptions import UnsupportedMediaType

from bank.branch import current_branch
from bank.chaos.scenarios import LATE_SECONDS_DEFAULT, LATE_SECONDS_MAX, Scenario
from bank.errors import InvalidInput, StalePage
from bank.identifiers import is_identifier
from bank.money.paying import PaymentOrder
from core.errors import FieldError, InvalidMoney
from core.money import centavos_from, typed_centavos

LIST_MAX, LIST_DEFAULT = 100, 20

_TOKEN = "csrf"  # noqa: S105 - the session's field, not a secret
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_CODE_CHARACTERS_MAX = 2048


def csrf_token() -> str:
    """This session's token, which every form that changes something carries."""
    if _TOKEN not in session:
        session[_TOKEN] = secrets.token_urlsafe(24)
    return str(session[_TOKEN])


def check_csrf_token(form: Mapping[str, str]) -> None:
    """Pass a form that this session's own page sent. Raises StalePage."""
    expected, given = str(session.get(_TOKEN, "")), form.get("token", "")
    if not expected or not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        raise StalePage("Confira os dados e envie de novo. Nada foi pago.")


def new_request_key() -> str:
    """A key that makes pressing a form's button twice one payment."""
    return secrets.token_urlsafe(24)


def scenario_in(fields: Mapping[str, Any]) -> Scenario | None:
    """The scenario named in a form, query or object, if any is. Raises InvalidInput."""
    named = fields.get("scenario")
    if not named:
        return None
    try:
        return Scenario(named)
    except ValueError:
        known = ", ".join(scenario.value for scenario in Scenario)
        raise InvalidInput([FieldError("scenario", f"must be one of {known}")]) from None


def late_seconds_in(fields: Mapping[str, Any]) -> int:
    """How long to hold a notice back, 1 to 300 s, 10 by default. Raises InvalidInput."""
    given = fields.get("late_seconds")
    if given is None or given == "":
        return LATE_SECONDS_DEFAULT
    # The type is checked as well: true is an int, and 10.0 no whole number of JSON's.
    text = str(given) if type(given) in (int, str) else ""
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or not 1 <= int(text) <= LATE_SECONDS_MAX:
        raise InvalidInput([FieldError("late_seconds", f"must be 1 to {LATE_SECONDS_MAX}")])
    return int(text)


def page_in(query: Mapping[str, str]) -> tuple[int, str | None]:
    """`limit` and `after` of a list. Raises InvalidInput."""
    text = query.get("limit", str(LIST_DEFAULT))
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or not 1 <= int(text) <= LIST_MAX:
        raise InvalidInput([FieldError("limit", f"must be 1 to {LIST_MAX}")])
    after = query.get("after")
    if after is not None and not is_identifier(after):
        raise InvalidInput([FieldError("after", "is not a cursor this list gave")])
    return int(text), after


def typed_amount(fields: Mapping[str, str]) -> int | None:
    """The centavos a payer typed for a code without an amount; None where nothing was typed.

    Raises InvalidInput. The form that pays carries the amount it showed, as `agreed`.
    """
    if fields.get("agreed"):
        return agreed_in(fields)
    text = fields.get("value", "").strip()
    if not text:
        return None
    try:
        return typed_centavos(text)
    except InvalidMoney:
        raise InvalidInput(
            [FieldError("value", "must be an amount of reais, as 12,50")],
            detail="Escreva o valor em reais, como 12,50.",
        ) from None


def agreed_in(form: Mapping[str, str]) -> int:
    """The amount the payer saw, in centavos. Raises InvalidInput."""
    agreed = form.get("agreed", "")
    if not re.fullmatch(r"\d{1,12}", agreed, re.ASCII) or int(agreed) == 0:
        raise InvalidInput([FieldError("agreed", "must be the amount shown, in centavos")])
    return int(agreed)


def order_from_form(form: Mapping[str, str], payer_handle: str | None) -> PaymentOrder:
    """The order of the page's form. Raises InvalidInput."""
    agreed, key = agreed_in(form), form.get("request_key", "")
    if not re.fullmatch(r"[\w-]{20,64}", key, re.ASCII):
        raise InvalidInput([FieldError("request_key", "must be the form's own")])
    return PaymentOrder(
        code=form.get("code", "")[:_CODE_CHARACTERS_MAX],
        pin=form.get("pin", ""),
        payer_handle=payer_handle,
        scenario=scenario_in(form),
        late_seconds=late_seconds_in(form),
        agreed_centavos=agreed,
        typed_centavos=agreed,
        request_key=_keyed("page", payer_handle or "", key),
    )


def order_from_json(request: Request) -> PaymentOrder:
    """The order of `POST /api/pay`. Raises InvalidInput with every field at fault."""
    members = json_object(request)
    errors = [
        FieldError(name, "must be a string")
        for name in ("code", "pin", "payer", "scenario")
        if not isinstance(members.get(name, ""), str)
    ]
    errors += [
        FieldError(name, "is required")
        for name in ("code", "pin")
        if members.get(name) in (None, "")
    ]
    if errors:
        raise InvalidInput(errors)
    amount = _amount_in(members)
    return PaymentOrder(
        code=members["code"][:_CODE_CHARACTERS_MAX],
        pin=members["pin"],
        payer_handle=members.get("payer"),
        scenario=scenario_in(members),
        late_seconds=late_seconds_in(members),
        agreed_centavos=amount,
        typed_centavos=amount,
        request_key=_idempotency_key(request, members),
    )


def json_object(request: Request) -> dict[str, Any]:
    """The body as one JSON object. Raises InvalidInput, or UnsupportedMediaType."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType("Send application/json.")
    try:
        value = json.loads(
            request.get_data().decode(), parse_constant=_refuse_constant, parse_float=Decimal
        )
    except (ValueError, RecursionError):
        raise InvalidInput(detail="The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise InvalidInput(detail="The body must be a JSON object.")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _amount_in(members: Mapping[str, Any]) -> int | None:
    """The amount an API's caller means to pay; binding where the code has one too."""
    if members.get("value") is None:
        return None
    try:
        return centavos_from(members["value"])
    except InvalidMoney as error:
        raise InvalidInput([FieldError("value", error.detail)]) from None


def _idempotency_key(request: Request, members: Mapping[str, Any]) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise InvalidInput([FieldError("Idempotency-Key", "must be 1 to 255 characters")])
    return _keyed("api", members.get("payer") or "", members["pin"], key)


def _keyed(*parts: str) -> str:
    """What is kept of a request key: one payer's key, under that PIN, says nothing to another."""
    message = json.dumps(parts).encode()
    secret = current_branch().settings.secret_key.encode()
    return hmac.new(secret, message, hashlib.sha256).hexdigest()
