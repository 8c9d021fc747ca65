"""Parses the payloads of charges (API Pix 2.9.0): CobPayload, and CobVPayload with a due date."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from bank.codes.fields import (
    clean_or_none,
    day_in,
    instant_in,
    integer_in,
    malformed_error,
    object_in,
    sum_in,
    text_in,
    text_matching,
)
from core.money import CENTAVOS_MAX
from core.pix.due_rules import DAYS_AFTER_DUE_MAX
from core.pix.due_terms import DAYS_AFTER_DUE_DEFAULT, DueTerms

_TXID = re.compile(r"[a-zA-Z0-9]{26,35}", re.ASCII)
_KEY = re.compile(r"[\x21-\x7e]{1,77}")
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
    calendar = object_in(payload, "calendario")
    created_at = _created_at(calendar)
    amount_centavos, payer_sets_amount = _amount(object_in(payload, "valor"))
    return Charge(
        amount_centavos=amount_centavos,
        payer_sets_amount=payer_sets_amount,
        created_at=created_at,
        expires_at=created_at
        + timedelta(seconds=integer_in(calendar, "expiracao", _EXPIRATION_SECONDS_MAX)),
        **_common_fields(payload),
    )


def due_charge_from(payload: Mapping[str, Any]) -> Charge:
    """Parse a payload with a due date; unknown members are ignored. Raises PayloadMalformed.

    The amount is the final one, which a payer's bank takes as it is. `expires_at` is the end of the
    last payable day in Brasília, by national holidays.
    """
    calendar = object_in(payload, "calendario")
    value = object_in(payload, "valor")
    due_date = day_in(calendar, "dataDeVencimento")
    days = DAYS_AFTER_DUE_DEFAULT
    if calendar.get("validadeAposVencimento") is not None:
        days = integer_in(calendar, "validadeAposVencimento", DAYS_AFTER_DUE_MAX)
    try:
        expires_at = DueTerms(due_date, days).deadline()
    except ValueError:  # a year without a calendar
        raise malformed_error("calendario.dataDeVencimento") from None
    final = sum_in(value, "final", None, least=1)
    return Charge(
        amount_centavos=final,
        created_at=_created_at(calendar),
        expires_at=expires_at,
        due_sums=DueSums(
            due_date=due_date,
            original_centavos=sum_in(value, "original", final),
            fine_centavos=sum_in(value, "multa", 0),
            interest_centavos=sum_in(value, "juros", 0),
            abatement_centavos=sum_in(value, "abatimento", 0),
            discount_centavos=sum_in(value, "desconto", 0),
        ),
        **_common_fields(payload),
    )


def _common_fields(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that both kinds of payload have in the same place."""
    payee = payload.get("recebedor")
    payee = payee if isinstance(payee, Mapping) else {}
    txid = text_matching(payload, "txid", _TXID)
    payment_id = payload.get("idPagamento")  # a member of Balcão's own payloads
    is_id = isinstance(payment_id, str) and _TXID.fullmatch(payment_id)
    return {
        "txid": txid,
        "payment_id": payment_id if is_id else txid,
        "status": text_in(payload, "status"),
        "revision": integer_in(payload, "revisao", 2**31),
        "key": text_matching(payload, "chave", _KEY),
        "payee_name": clean_or_none(payee.get("nome"), _NAME_CHARACTERS_MAX),
        "payee_city": clean_or_none(payee.get("cidade"), _CITY_CHARACTERS_MAX),
        "message": clean_or_none(payload.get("solicitacaoPagador"), _MESSAGE_CHARACTERS_MAX),
        "info": _info(payload.get("infoAdicionais")),
    }


def _info(value: object) -> tuple[tuple[str, str], ...]:
    """The lines with a name or a value; lines of another shape are left out, long texts are cut.

    Source: API Pix 2.9.0, InfoAdicional: 50 characters and 200; at most 50 lines.
    """
    entries = value[:_INFO_LINES_MAX] if isinstance(value, list) else []
    lines = (
        (
            clean_or_none(entry.get("nome"), _INFO_NAME_MAX) or "",
            clean_or_none(entry.get("valor"), _INFO_VALUE_MAX) or "",
        )
        for entry in entries
        if isinstance(entry, Mapping)
    )
    return tuple(line for line in lines if any(line))


def _created_at(calendar: Mapping[str, Any]) -> datetime:
    instant_in(calendar, "calendario", "apresentacao")
    return instant_in(calendar, "calendario", "criacao")


def _amount(value: Mapping[str, Any]) -> tuple[int, bool]:
    """The amount with a withdrawal of cash, and whether the payer may change it.

    Source: API Pix 2.9.0, CobValor: at most one of `saque` and `troco`.
    """
    is_open = _is_one(value, "modalidadeAlteracao")
    centavos = sum_in(value, "original", None)
    withdrawals = value.get("retirada")
    if withdrawals is not None:
        kinds = [
            name for name in _WITHDRAWALS if object_in(value, "retirada").get(name) is not None
        ]
        if len(kinds) != 1:
            raise malformed_error("valor.retirada")
        withdrawal = object_in(withdrawals, kinds[0])
        centavos += sum_in(withdrawal, "valor", None)
        is_open = is_open or _is_one(withdrawal, "modalidadeAlteracao")
    if centavos > CENTAVOS_MAX or (centavos == 0 and not is_open):
        raise malformed_error("valor.original")
    return centavos, is_open


def _is_one(value: Mapping[str, Any], name: str) -> bool:
    return value.get(name) is not None and integer_in(value, name, 1) == 1
