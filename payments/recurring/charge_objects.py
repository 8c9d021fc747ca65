"""Recurring charges in the words of API Pix 2.9.0: CobRCompleta and CobRNotification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.clock import rfc3339
from core.money import plain
from core.pix.business_days import brasilia_day
from db_models import (
    Account,
    AttemptStatus,
    ChargeAttempt,
    RecurringChargeChange,
    RecurringChargeStatus,
)
from payments.due_charges import DEBTOR
from payments.pix_objects import pix_object
from payments.recurring.objects import NO_RETRIES, RETRIES, closing_object, payee_object
from repository.recurring_charge_callbacks import RecurringChargeNews
from repository.recurring_charges import RecurringChargeRecord

CHARGE_WORDS = {
    RecurringChargeStatus.CREATED: "CRIADA",
    RecurringChargeStatus.ACTIVE: "ATIVA",
    RecurringChargeStatus.CONCLUDED: "CONCLUIDA",
    RecurringChargeStatus.EXPIRED: "EXPIRADA",
    RecurringChargeStatus.REJECTED: "REJEITADA",
    RecurringChargeStatus.CANCELLED: "CANCELADA",
}
ATTEMPT_WORDS = {
    AttemptStatus.REQUESTED: "SOLICITADA",
    AttemptStatus.SCHEDULED: "AGENDADA",
    AttemptStatus.PAID: "PAGA",
    AttemptStatus.REJECTED: "REJEITADA",
    AttemptStatus.CANCELLED: "CANCELADA",
    AttemptStatus.EXPIRED: "EXPIRADA",
}
_ENDED_WITHOUT_MONEY = (RecurringChargeStatus.REJECTED, RecurringChargeStatus.CANCELLED)


def charge_object(record: RecurringChargeRecord, merchant: Account) -> dict[str, Any]:
    """A charge as its merchant sees it (CobRCompleta)."""
    charge, payment = record.charge, record.payment
    account = {
        "agencia": charge.payee_branch,
        "conta": charge.payee_account,
        "tipoConta": charge.payee_account_type,
    }
    payee = {name: value for name, value in account.items() if value is not None}
    body: dict[str, Any] = {
        **_shared_members(record, record.changes, charge.status),
        "calendario": {
            "criacao": brasilia_day(payment.created_at).isoformat(),
            "dataDeVencimento": charge.due_day.isoformat(),
        },
        "valor": {"original": plain(payment.amount_centavos)},
        "politicaRetentativa": RETRIES if record.recurrence.allows_retries else NO_RETRIES,
        "ajusteDiaUtil": charge.adjusts_day,
        "recebedor": {**payee_object(record.recurrence, merchant), **payee},
    }
    contact = (payment.charge_terms or {}).get(DEBTOR)
    members = {"infoAdicional": payment.description, "devedor": contact}
    body |= {name: value for name, value in members.items() if value is not None}
    if record.pix is not None:
        body["pix"] = _pix(record, merchant.pix_key)
    return body


def callback_object(news: RecurringChargeNews) -> dict[str, Any]:
    """What a callback tells about a charge, as it stood at the step (CobRNotification)."""
    record, change = news.record, news.change
    steps = [one for one in record.changes if one.id <= change.id]
    body = _shared_members(record, steps, change.status)
    is_concluded = change.status == RecurringChargeStatus.CONCLUDED
    if is_concluded and record.pix is not None:
        body["pix"] = _pix(record, news.pix_key, {})  # no refund is older
    return body


def _pix(
    record: RecurringChargeRecord, pix_key: str | None, statuses: dict[str, str] | None = None
) -> list[dict[str, Any]]:
    """The money of a charge; money that its merchant has attached came with another txid."""
    if record.pix is None:
        return []
    return [{**pix_object(record.pix, pix_key, statuses), "txid": record.payment.pix_txid}]


def _shared_members(
    record: RecurringChargeRecord, steps: Sequence[RecurringChargeChange], status: str
) -> dict[str, Any]:
    """The members that an answer shares with a callback: status, history, attempts, end."""
    body: dict[str, Any] = {
        "idRec": record.recurrence.id_rec,
        "txid": record.payment.pix_txid,
        "status": CHARGE_WORDS[RecurringChargeStatus(status)],
        "atualizacao": _history(record, steps),
    }
    # An attempt that was requested later has a step that says so, unlike one of the creation.
    later = {
        step.attempt_id
        for step in record.changes[len(steps) :]
        if step.attempt_status == AttemptStatus.REQUESTED
    }
    attempts = [
        _attempt(one, [step for step in steps if step.attempt_id == one.id])
        for one in record.attempts
        if one.id not in later
    ]
    if attempts:
        body["tentativas"] = attempts
    if status in _ENDED_WITHOUT_MONEY and record.charge.closing_code is not None:
        body["encerramento"] = closing_object(record.charge)
    return body


def _history(
    record: RecurringChargeRecord, steps: Sequence[RecurringChargeChange]
) -> list[dict[str, str]]:
    """The statuses with their times, oldest first; a step of an attempt may have no new one."""
    status: str = RecurringChargeStatus.CREATED
    entries = [(status, record.payment.created_at)]
    for step in steps:
        if step.status != status:
            status = step.status
            entries.append((status, step.changed_at))
    return [
        {"status": CHARGE_WORDS[RecurringChargeStatus(word)], "data": rfc3339(at)}
        for word, at in entries
    ]


def _attempt(attempt: ChargeAttempt, steps: Sequence[RecurringChargeChange]) -> dict[str, Any]:
    entries = [(step.attempt_status, step.changed_at) for step in steps]
    if not entries or entries[0][0] != AttemptStatus.REQUESTED:
        entries.insert(0, (AttemptStatus.REQUESTED, attempt.requested_at))
    history = [
        {"status": ATTEMPT_WORDS[AttemptStatus(status or "")], "data": rfc3339(at)}
        for status, at in entries
    ]
    body: dict[str, Any] = {
        "dataLiquidacao": attempt.settles_on.isoformat(),
        "tipo": attempt.kind,
        "endToEndId": attempt.end_to_end_id,
        "status": history[-1]["status"],
        "atualizacao": history,
    }
    if entries[-1][0] == AttemptStatus.REJECTED and attempt.rejection_code is not None:
        text = attempt.rejection_text or ""
        body["rejeicao"] = {"codigo": attempt.rejection_code, "descricao": text}
    return body
