"""Parses and validates the forms, queries and JSON bodies of requests."""

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
from bank.errors import InvalidInput, StalePage
from bank.identifiers import is_identifier
from bank.languages import translate as _
from bank.money.paying import PaymentOrder
from bank.text import clean
from core.errors import FieldError, InvalidMoney
from core.money import centavos_from, typed_centavos
from core.scenarios import LATE_SECONDS_DEFAULT, LATE_SECONDS_MAX, Scenario

LIST_MAX, LIST_DEFAULT = 100, 20

MESSAGE_MAX = 140
"""Characters of what a payer writes to the payee (API Pix 2.9.0, infoPagador)."""
_TOKEN = "csrf"  # noqa: S105 - a field of the session, not a secret
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
CODE_CHARACTERS_MAX = 2048


def csrf_token() -> str:
    """The session's CSRF token, created if there is none."""
    if _TOKEN not in session:
        session[_TOKEN] = secrets.token_urlsafe(24)
    return str(session[_TOKEN])


def check_csrf_token(form: Mapping[str, str]) -> None:
    """Raise StalePage unless the form carries the session's CSRF token."""
    expected, token = str(session.get(_TOKEN, "")), form.get("token", "")
    if not expected or not hmac.compare_digest(expected.encode(), token.encode("utf-8", "replace")):
        raise StalePage(_("Confira os dados e envie de novo. Nada foi pago."))


def new_request_key() -> str:
    """An idempotency key for a form, so that sending the form twice pays once."""
    return secrets.token_urlsafe(24)


def scenario_in(fields: Mapping[str, Any]) -> Scenario | None:
    """The field `scenario`, if it is set. Raises InvalidInput."""
    name = fields.get("scenario")
    if not name:
        return None
    try:
        return Scenario(name)
    except ValueError:
        names = ", ".join(scenario.value for scenario in Scenario)
        raise InvalidInput([FieldError("scenario", f"must be one of {names}")]) from None


def late_seconds_in(fields: Mapping[str, Any]) -> int:
    """The field `late_seconds`, 1 to 300; 10 by default. Raises InvalidInput."""
    value = fields.get("late_seconds")
    if value is None or value == "":
        return LATE_SECONDS_DEFAULT
    # The exact type is checked, because `true` is an instance of int.
    text = str(value) if type(value) in (int, str) else ""
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or not 1 <= int(text) <= LATE_SECONDS_MAX:
        raise InvalidInput([FieldError("late_seconds", f"must be 1 to {LATE_SECONDS_MAX}")])
    return int(text)


def page_params(query: Mapping[str, str]) -> tuple[int, str | None]:
    """The fields `limit` and `after` of a list. Raises InvalidInput."""
    text = query.get("limit", str(LIST_DEFAULT))
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII) or not 1 <= int(text) <= LIST_MAX:
        raise InvalidInput([FieldError("limit", f"must be 1 to {LIST_MAX}")])
    after = query.get("after")
    if after is not None and not is_identifier(after):
        raise InvalidInput([FieldError("after", "is not a cursor of this list")])
    return int(text), after


def typed_amount(fields: Mapping[str, str]) -> int | None:
    """The amount that the payer typed for a code without one; None if nothing was typed.

    The form that pays holds the amount in `agreed`, as it was shown. Raises InvalidInput.
    """
    if fields.get("agreed"):
        return agreed_centavos_in(fields)
    text = fields.get("value", "").strip()
    if not text:
        return None
    try:
        return typed_centavos(text)
    except InvalidMoney:
        raise InvalidInput(
            [FieldError("value", "must be an amount of reais, as 12,50")],
            detail=_("Escreva o valor em reais, como 12,50."),
        ) from None


def agreed_centavos_in(form: Mapping[str, str]) -> int:
    """The field `agreed`: the amount that the payer saw. Raises InvalidInput."""
    text = form.get("agreed", "")
    if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or int(text) == 0:
        raise InvalidInput([FieldError("agreed", "must be the amount that was shown, in centavos")])
    return int(text)


def order_from_form(form: Mapping[str, str], payer_handle: str | None) -> PaymentOrder:
    """The order in the review page's form. Raises InvalidInput."""
    agreed_centavos, key = agreed_centavos_in(form), form.get("request_key", "")
    if not re.fullmatch(r"[\w-]{20,64}", key, re.ASCII):
        raise InvalidInput([FieldError("request_key", "must be the key in the form")])
    return PaymentOrder(
        code=form.get("code", "")[:CODE_CHARACTERS_MAX],
        pin=form.get("pin", ""),
        payer_handle=payer_handle,
        scenario=scenario_in(form),
        late_seconds=late_seconds_in(form),
        agreed_centavos=agreed_centavos,
        typed_centavos=agreed_centavos,
        request_key=_request_key("page", payer_handle or "", key),
        message=clean(form.get("message", ""), MESSAGE_MAX) or None,
        terms=form.get("terms") or None if form.get("accepts") == "yes" else None,
    )


def order_from_json(request: Request) -> PaymentOrder:
    """The order in the body of `POST /api/pay`. Raises InvalidInput with all invalid fields."""
    members = json_object(request)
    errors = [
        FieldError(name, "must be a string")
        for name in ("code", "pin", "payer", "scenario", "message")
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
        code=members["code"][:CODE_CHARACTERS_MAX],
        pin=members["pin"],
        payer_handle=members.get("payer"),
        scenario=scenario_in(members),
        late_seconds=late_seconds_in(members),
        agreed_centavos=amount,
        typed_centavos=amount,
        request_key=_idempotency_key(request, members),
        message=clean(members.get("message", ""), MESSAGE_MAX) or None,
    )


def json_object(request: Request) -> dict[str, Any]:
    """Parse the body as a JSON object. Raises InvalidInput and UnsupportedMediaType."""
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
    """The field `value`. If the code has an amount too, the two must agree."""
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
    return _request_key("api", members.get("payer") or "", members["pin"], key)


def _request_key(*parts: str) -> str:
    """An HMAC of payer, PIN and key, so that one payer's keys never meet another payer's."""
    message = json.dumps(parts).encode()
    secret = current_branch().settings.secret_key.encode()
    return hmac.new(secret, message, hashlib.sha256).hexdigest()
