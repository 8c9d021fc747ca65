"""Parses the payloads of charges (API Pix 2.9.0): CobPayload, and CobVPayload with a due date."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from bank.errors import PayloadMalformed
from bank.languages import translate as _
from bank.text import clean
from core.clock import parse_rfc3339
from core.money import CENTAVOS_MAX
from core.pix.due_rules import DAYS_AFTER_DUE_MAX
from core.pix.due_terms import DAYS_AFTER_DUE_DEFAULT, DueTerms

_TXID = re.compile(r"[a-zA-Z0-9]{26,35}", re.ASCII)
_AMOUNT = re.compile(r"\d{1,10}\.\d{2}", re.ASCII)
_KEY = re.compile(r"[\x21-\x7e]{1,77}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_EXPIRATION_SECONDS_MAX = 2_147_483_647  # an int32 (API Pix 2.9.0, CobExpiracao)
_WITHDRAWALS = ("saque", "troco")
_NAME_CHARACTERS_MAX, _CITY_CHARACTERS_MAX, _MESSAGE_CHARACTERS_MAX = 100, 40, 140

_INFO_LINES_MAX, _INFO_NAME_MAX, _INFO_VALUE_MAX = 50, 50, 200


@dataclass(frozen=True)
class DueSums:
    """What the amount of a charge with a due date is made of, on the day of the fetch."""

    due_date: date
    original_centavos: int
    fine_centavos: int
    interest_centavos: int
    abatement_centavos: int
    discount_centavos: int


@dataclass(frozen=True)
class Charge:
    """A charge as the receiver's bank signed it; one with a due date has `due_sums`."""

    txid: str
    status: str
    revision: int
    key: str
    amount_centavos: int
    created_at: datetime
    expires_at: datetime
    payee_name: str | None
    payee_city: str | None
    message: str | None
    payment_id: str
    """By which the receiver's service knows the payment; the txid, unless the payload says more."""
    info: tuple[tuple[str, str], ...] = ()
    """The receiver's lines for the payer: name and value."""
    due_sums: DueSums | None = None
    payer_sets_amount: bool = False
    """Whether the payer may pay another amount than `amount_centavos`, which may be 0 then."""


def charge_from(payload: Mapping[str, Any]) -> Charge:
    """Parse a payload; unknown members are ignored. Raises PayloadMalformed, with the field."""
    calendar = _object(payload, "calendario")
    created_at = _created_at(calendar)
    amount_centavos, payer_sets_amount = _amount(_object(payload, "valor"))
    return Charge(
        amount_centavos=amount_centavos,
        payer_sets_amount=payer_sets_amount,
        created_at=created_at,
        expires_at=created_at
        + timedelta(seconds=_integer(calendar, "expiracao", _EXPIRATION_SECONDS_MAX)),
        **_common_fields(payload),
    )


def due_charge_from(payload: Mapping[str, Any]) -> Charge:
    """Parse a payload with a due date; unknown members are ignored. Raises PayloadMalformed.

    The amount is the final one, which a payer's bank takes as it is. `expires_at` is the end of the
    last payable day in Brasília, by national holidays.
    """
    calendar = _object(payload, "calendario")
    value = _object(payload, "valor")
    due_date = _due_date(calendar)
    days = DAYS_AFTER_DUE_DEFAULT
    if calendar.get("validadeAposVencimento") is not None:
        days = _integer(calendar, "validadeAposVencimento", DAYS_AFTER_DUE_MAX)
    try:
        expires_at = DueTerms(due_date, days).deadline()
    except ValueError:  # a year without a calendar
        raise _malformed_error("calendario.dataDeVencimento") from None
    final = _sum(value, "final", None, least=1)
    return Charge(
        amount_centavos=final,
        created_at=_created_at(calendar),
        expires_at=expires_at,
        due_sums=DueSums(
            due_date=due_date,
            original_centavos=_sum(value, "original", final),
            fine_centavos=_sum(value, "multa", 0),
            interest_centavos=_sum(value, "juros", 0),
            abatement_centavos=_sum(value, "abatimento", 0),
            discount_centavos=_sum(value, "desconto", 0),
        ),
        **_common_fields(payload),
    )


def _common_fields(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that both kinds of payload have in the same place."""
    payee = payload.get("recebedor")
    payee = payee if isinstance(payee, Mapping) else {}
    txid = _text_matching(payload, "txid", _TXID)
    payment_id = payload.get("idPagamento")  # a member of Balcão's own payloads
    is_id = isinstance(payment_id, str) and _TXID.fullmatch(payment_id)
    return {
        "txid": txid,
        "payment_id": payment_id if is_id else txid,
        "status": _text(payload, "status"),
        "revision": _integer(payload, "revisao", 2**31),
        "key": _text_matching(payload, "chave", _KEY),
        "payee_name": _clean_or_none(payee.get("nome"), _NAME_CHARACTERS_MAX),
        "payee_city": _clean_or_none(payee.get("cidade"), _CITY_CHARACTERS_MAX),
        "message": _clean_or_none(payload.get("solicitacaoPagador"), _MESSAGE_CHARACTERS_MAX),
        "info": _info(payload.get("infoAdicionais")),
    }


def _info(value: object) -> tuple[tuple[str, str], ...]:
    """The lines with a name or a value; lines of another shape are left out, long texts are cut.

    Source: API Pix 2.9.0, InfoAdicional: 50 characters and 200; at most 50 lines.
    """
    entries = value[:_INFO_LINES_MAX] if isinstance(value, list) else []
    lines = (
        (
            _clean_or_none(entry.get("nome"), _INFO_NAME_MAX) or "",
            _clean_or_none(entry.get("valor"), _INFO_VALUE_MAX) or "",
        )
        for entry in entries
        if isinstance(entry, Mapping)
    )
    return tuple(line for line in lines if any(line))


def _created_at(calendar: Mapping[str, Any]) -> datetime:
    _instant(calendar, "calendario", "apresentacao")
    return _instant(calendar, "calendario", "criacao")


def _due_date(calendar: Mapping[str, Any]) -> date:
    try:
        return date.fromisoformat(_text_matching(calendar, "dataDeVencimento", _DAY))
    except (ValueError, PayloadMalformed):
        raise _malformed_error("calendario.dataDeVencimento") from None


def _sum(value: Mapping[str, Any], name: str, default: int | None, least: int = 0) -> int:
    """A sum of at least so many centavos; the default if it is missing and a default exists."""
    if value.get(name) is None and default is not None:
        return default
    text = value.get(name)
    if not isinstance(text, str) or not _AMOUNT.fullmatch(text):
        raise _malformed_error(f"valor.{name}")
    centavos = int(text.replace(".", ""))
    if centavos < least:
        raise _malformed_error(f"valor.{name}")
    return centavos


def _malformed_error(field: str) -> PayloadMalformed:
    return PayloadMalformed(
        _("O banco de quem recebe não informou direito o campo %(field)s. Nada foi pago.")
        % {"field": field}
    )


def _object(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = payload.get(name)
    if not isinstance(value, Mapping):
        raise _malformed_error(name)
    return value


def _text(payload: Mapping[str, Any], name: str) -> str:
    value = payload.get(name)
    if not isinstance(value, str):
        raise _malformed_error(name)
    return value


def _text_matching(payload: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str:
    value = _text(payload, name)
    if not form.fullmatch(value):
        raise _malformed_error(name)
    return value


def _integer(payload: Mapping[str, Any], name: str, maximum: int) -> int:
    value = payload.get(name)
    # Some banks write integers as text, as the examples of API Pix do.
    if isinstance(value, str) and re.fullmatch(r"\d{1,10}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= maximum:
        raise _malformed_error(name)
    return value


def _amount(value: Mapping[str, Any]) -> tuple[int, bool]:
    """The amount with a withdrawal of cash, and whether the payer may change it.

    Source: API Pix 2.9.0, CobValor: at most one of `saque` and `troco`.
    """
    is_open = _is_one(value, "modalidadeAlteracao")
    centavos = _sum(value, "original", None)
    withdrawals = value.get("retirada")
    if withdrawals is not None:
        kinds = [name for name in _WITHDRAWALS if _object(value, "retirada").get(name) is not None]
        if len(kinds) != 1:
            raise _malformed_error("valor.retirada")
        withdrawal = _object(withdrawals, kinds[0])
        centavos += _sum(withdrawal, "valor", None)
        is_open = is_open or _is_one(withdrawal, "modalidadeAlteracao")
    if centavos > CENTAVOS_MAX or (centavos == 0 and not is_open):
        raise _malformed_error("valor.original")
    return centavos, is_open


def _is_one(value: Mapping[str, Any], name: str) -> bool:
    return value.get(name) is not None and _integer(value, name, 1) == 1


def _instant(calendar: Mapping[str, Any], parent: str, name: str) -> datetime:
    try:
        return parse_rfc3339(_text(calendar, name))
    except (ValueError, PayloadMalformed):
        raise _malformed_error(f"{parent}.{name}") from None


def _clean_or_none(value: object, characters_max: int) -> str | None:
    return (clean(value, characters_max) or None) if isinstance(value, str) else None
