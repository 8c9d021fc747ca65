"""Parses the payload of a recurrence of Pix Automático (API Pix 2.9.0, RecPayload)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, TypeVar

from bank.codes.fields import (
    clean_or_none,
    day_in,
    malformed_error,
    object_in,
    sum_in,
    text_in,
    text_matching,
)
from core.money import CENTAVOS_MAX
from core.pix.recurrence_rules import ID_REC, Periodicity

WAITING, ACCEPTED = "CRIADA", "APROVADA"
_CNPJ = re.compile(r"[0-9A-Z]{12}[0-9]{2}", re.ASCII)
_DOCUMENT = re.compile(r"[0-9]{11}|[0-9A-Z]{12}[0-9]{2}", re.ASCII)
_NAME_CHARACTERS_MAX, _LINK_CHARACTERS_MAX = 140, 35
_PERIODICITIES = {
    "SEMANAL": Periodicity.WEEKLY,
    "MENSAL": Periodicity.MONTHLY,
    "TRIMESTRAL": Periodicity.QUARTERLY,
    "SEMESTRAL": Periodicity.HALF_YEARLY,
    "ANUAL": Periodicity.YEARLY,
}
_RETRIES = {"PERMITE_3R_7D": True, "NAO_PERMITE": False}

Meaning = TypeVar("Meaning")


@dataclass(frozen=True)
class MandateTerms:
    """What a client agrees to, as the receiver's bank signed it."""

    id_rec: str
    payee_name: str
    payee_document: str
    contract: str
    subject: str | None
    debtor_name: str | None
    debtor_document: str | None
    periodicity: Periodicity
    first_day: date
    last_day: date | None
    fixed_centavos: int | None
    minimum_centavos: int | None
    """The least that the payee lets a client set as the highest amount of one charge."""
    allows_retries: bool

    def fingerprint(self) -> str:
        """SHA-256 in hex: whether a page showed these terms."""
        return hashlib.sha256(json.dumps(asdict(self), default=str).encode()).hexdigest()


@dataclass(frozen=True)
class RecurrenceOffer:
    """The terms, and how far the recurrence is: the last word in its history."""

    terms: MandateTerms
    status: str


def recurrence_offer_from(payload: Mapping[str, Any]) -> RecurrenceOffer:
    """Parse a payload; unknown members are ignored. Raises PayloadMalformed, with the field."""
    link, calendar = object_in(payload, "vinculo"), object_in(payload, "calendario")
    payee, debtor = object_in(payload, "recebedor"), object_in(link, "devedor")
    first_day = day_in(calendar, "dataInicial")
    last_day = None if calendar.get("dataFinal") is None else day_in(calendar, "dataFinal")
    if last_day is not None and last_day < first_day:
        raise malformed_error("calendario.dataFinal")
    fixed_centavos, minimum_centavos = _amounts(payload)
    return RecurrenceOffer(
        MandateTerms(
            id_rec=text_matching(payload, "idRec", ID_REC),
            payee_name=_name(payee, "nome", "recebedor.nome"),
            payee_document=text_matching(payee, "cnpj", _CNPJ),
            contract=_name(link, "contrato", "vinculo.contrato", _LINK_CHARACTERS_MAX),
            subject=clean_or_none(link.get("objeto"), _LINK_CHARACTERS_MAX),
            debtor_name=clean_or_none(debtor.get("nome"), _NAME_CHARACTERS_MAX),
            debtor_document=_document(debtor),
            periodicity=_word(calendar, "periodicidade", _PERIODICITIES),
            first_day=first_day,
            last_day=last_day,
            fixed_centavos=fixed_centavos,
            minimum_centavos=minimum_centavos,
            allows_retries=_word(payload, "politicaRetentativa", _RETRIES),
        ),
        _status(payload.get("atualizacao")),
    )


def _amounts(payload: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The fixed amount and the minimum of the member `valor`: at most one of them."""
    if payload.get("valor") is None:
        return None, None
    value = object_in(payload, "valor")
    sums = {"valorRec": 1, "valorMinimoRecebedor": 0}
    given_sums = {
        name: sum_in(value, name, None, least)
        for name, least in sums.items()
        if value.get(name) is not None
    }
    if len(given_sums) > 1:
        raise malformed_error("valor")
    if any(centavos > CENTAVOS_MAX for centavos in given_sums.values()):
        raise malformed_error("valor")
    return given_sums.get("valorRec"), given_sums.get("valorMinimoRecebedor")


def _status(history: object) -> str:
    """The status of the last entry; a payload without a history waits for an answer."""
    if history is None:
        return WAITING
    if not isinstance(history, list) or not history or not isinstance(history[-1], Mapping):
        raise malformed_error("atualizacao")
    return text_in(history[-1], "status")


def _name(
    members: Mapping[str, Any], name: str, path: str, characters_max: int = _NAME_CHARACTERS_MAX
) -> str:
    value = clean_or_none(members.get(name), characters_max)
    if value is None:
        raise malformed_error(path)
    return value


def _document(person: Mapping[str, Any]) -> str | None:
    document = person.get("cpf") or person.get("cnpj")
    is_document = isinstance(document, str) and _DOCUMENT.fullmatch(document)
    return str(document) if is_document else None


def _word(members: Mapping[str, Any], name: str, meanings: Mapping[str, Meaning]) -> Meaning:
    word = text_in(members, name)
    if word not in meanings:
        raise malformed_error(name)
    return meanings[word]
