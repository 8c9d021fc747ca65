"""Recurrences in the words of API Pix 2.9.0: for answers, callbacks and the signed payload."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from core.clock import rfc3339
from core.money import plain
from core.pix.recurrence_rules import Periodicity
from db_models import (
    Account,
    ClosingParty,
    Recurrence,
    RecurrenceChange,
    RecurrenceLocation,
    RecurrenceStatus,
    RecurringCharge,
)
from payments.payees import document_of
from payments.recurring import lifecycle
from payments.recurring.locations import recurrence_location_text
from repository.locations import number_of
from repository.recurrence_callbacks import RecurrenceNews
from repository.recurrences import RecurrenceRecord

STATUS_WORDS = {
    RecurrenceStatus.CREATED: "CRIADA",
    RecurrenceStatus.APPROVED: "APROVADA",
    RecurrenceStatus.REJECTED: "REJEITADA",
    RecurrenceStatus.EXPIRED: "EXPIRADA",
    RecurrenceStatus.CANCELLED: "CANCELADA",
}
PERIODICITY_WORDS = {
    Periodicity.WEEKLY: "SEMANAL",
    Periodicity.MONTHLY: "MENSAL",
    Periodicity.QUARTERLY: "TRIMESTRAL",
    Periodicity.HALF_YEARLY: "SEMESTRAL",
    Periodicity.YEARLY: "ANUAL",
}
RETRIES, NO_RETRIES = "PERMITE_3R_7D", "NAO_PERMITE"
UNDECIDED = "AGUARDANDO_DEFINICAO"
"""The journey of a recurrence that no payer has accepted yet."""
ERASED_CPF, ERASED_NAME = "0" * 11, "(apagado)"
"""What answers show in place of a debtor who was erased: the standard requires a debtor."""
PARTY_WORDS = {
    ClosingParty.PAYER: "USUARIO_PAGADOR",
    ClosingParty.PAYERS_BANK: "PSP_PAGADOR",
    ClosingParty.PAYEE: "USUARIO_RECEBEDOR",
    ClosingParty.PAYEES_BANK: "PSP_RECEBEDOR",
}
_JOURNEY, _TXID = "journey", "activation_txid"
_NAME_CHARACTERS_MAX = 140
_CPF_DIGITS = 11


def notification_object(record: RecurrenceRecord) -> dict[str, Any]:
    """The members that an answer shares with a callback (RecNotification)."""
    recurrence = record.recurrence
    return {
        "idRec": recurrence.id_rec,
        "status": STATUS_WORDS[RecurrenceStatus(recurrence.status)],
        "atualizacao": history(record.changes),
        "ativacao": _activation(recurrence.journey, recurrence.activation_txid),
        **_closing(recurrence),
    }


def activation_state(recurrence: Recurrence) -> dict[str, Any]:
    """What a new status stores beside it: the txid of the activation may change afterwards."""
    return {_JOURNEY: recurrence.journey, _TXID: recurrence.activation_txid}


def callback_object(news: RecurrenceNews) -> dict[str, Any]:
    """What a callback tells about a recurrence, as it stood at the change (RecNotification)."""
    recurrence, change = news.record.recurrence, news.change
    is_end = change.status in lifecycle.FINAL
    return {
        "idRec": recurrence.id_rec,
        "status": STATUS_WORDS[RecurrenceStatus(change.status)],
        "atualizacao": history(news.record.changes),
        "ativacao": _activation(change.details[_JOURNEY], change.details[_TXID]),
        **(_closing(recurrence) if is_end else {}),
    }


def recurrence_object(
    record: RecurrenceRecord, merchant: Account, location_base: str
) -> dict[str, Any]:
    """A recurrence as its merchant sees it (RecCompleta, without `dadosQR`)."""
    recurrence = record.recurrence
    payee = payee_object(recurrence, merchant)
    if recurrence.agreement_name is not None:
        payee["convenio"] = recurrence.agreement_name
    body = {**notification_object(record), **_offer(recurrence), "recebedor": payee}
    if record.location is not None:
        body["loc"] = location_object(record.location, recurrence, location_base)
    if recurrence.payer_document is not None:
        body["pagador"] = _payer(recurrence)
    return body


def payload_object(record: RecurrenceRecord, merchant: Account, ispb: str) -> dict[str, Any]:
    """What the location serves to the payer's bank (RecPayload)."""
    return {
        "idRec": record.recurrence.id_rec,
        **_offer(record.recurrence),
        "recebedor": {**payee_object(record.recurrence, merchant), "ispbParticipante": ispb},
        "atualizacao": history(record.changes),
    }


def location_object(
    location: RecurrenceLocation, recurrence: Recurrence | None, location_base: str
) -> dict[str, Any]:
    """A location, with the id of the recurrence that it shows (PayloadLocationRecCompleta)."""
    body: dict[str, Any] = {
        "id": number_of(location.token),
        "location": recurrence_location_text(location_base, location),
        "criacao": rfc3339(location.created_at),
    }
    return body if recurrence is None else {**body, "idRec": recurrence.id_rec}


def history(changes: Sequence[RecurrenceChange]) -> list[dict[str, str]]:
    """The statuses with their times, oldest first; a change of the terms has no new status."""
    steps = [*changes[:1], *(new for old, new in pairwise(changes) if new.status != old.status)]
    return [
        {
            "status": STATUS_WORDS[RecurrenceStatus(step.status)],
            "data": rfc3339(step.changed_at),
        }
        for step in steps
    ]


def payee_object(recurrence: Recurrence, merchant: Account) -> dict[str, str]:
    """The payee: a company, whose name is cut to what the standard allows."""
    document = recurrence.payee_document or document_of(merchant) or ""
    return {"cnpj": document, "nome": merchant.name[:_NAME_CHARACTERS_MAX]}


def _offer(recurrence: Recurrence) -> dict[str, Any]:
    """The members that answers and payload share."""
    link: dict[str, Any] = {"contrato": recurrence.contract, "devedor": _debtor(recurrence)}
    if recurrence.subject is not None:
        link["objeto"] = recurrence.subject
    calendar = {
        "dataInicial": recurrence.first_day.isoformat(),
        "periodicidade": PERIODICITY_WORDS[Periodicity(recurrence.periodicity)],
    }
    if recurrence.last_day is not None:
        calendar["dataFinal"] = recurrence.last_day.isoformat()
    body: dict[str, Any] = {
        "vinculo": link,
        "calendario": calendar,
        "politicaRetentativa": RETRIES if recurrence.allows_retries else NO_RETRIES,
    }
    amounts = {
        "valorRec": recurrence.fixed_centavos,
        "valorMinimoRecebedor": recurrence.minimum_centavos,
    }
    value = {name: plain(centavos) for name, centavos in amounts.items() if centavos is not None}
    return {**body, "valor": value} if value else body


def _debtor(recurrence: Recurrence) -> dict[str, str]:
    document = recurrence.debtor_document
    if document is None:
        return {"cpf": ERASED_CPF, "nome": ERASED_NAME}
    return {document_member(document): document, "nome": recurrence.debtor_name or ERASED_NAME}


def _payer(recurrence: Recurrence) -> dict[str, str]:
    document = recurrence.payer_document or ""
    members = {
        document_member(document): document,
        "ispbParticipante": recurrence.payer_ispb,
        "codMun": recurrence.payer_municipality,
    }
    return {name: value for name, value in members.items() if value is not None}


def document_member(document: str) -> str:
    """The member that holds a document: `cpf` or `cnpj`."""
    return "cpf" if len(document) == _CPF_DIGITS else "cnpj"


def _activation(journey: int | None, txid: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {"tipoJornada": UNDECIDED if journey is None else f"JORNADA_{journey}"}
    if txid is not None:
        body["dadosJornada"] = {"txid": txid}
    return body


def _closing(recurrence: Recurrence) -> dict[str, Any]:
    """The member `encerramento`; nothing for a recurrence that did not end, or that expired."""
    if recurrence.closing_code is None:
        return {}
    return {"encerramento": closing_object(recurrence)}


def closing_object(row: Recurrence | RecurringCharge) -> dict[str, Any]:
    """Why a recurrence or a charge was rejected or cancelled."""
    body = {"codigo": row.closing_code, "descricao": row.closing_text or ""}
    if row.closing_party is None:
        return {"rejeicao": body}
    return {"cancelamento": {"solicitante": PARTY_WORDS[ClosingParty(row.closing_party)], **body}}
