"""Mandates in words for the client, in the request's language."""

from __future__ import annotations

from bank.languages import translate as _
from bank.mandates.tables import BankCollection, BankMandate
from core.languages import N_
from core.pix.recurrence_rules import Periodicity

_HOW_OFTEN = {
    Periodicity.WEEKLY: N_("toda semana"),
    Periodicity.MONTHLY: N_("todo mês"),
    Periodicity.QUARTERLY: N_("a cada 3 meses"),
    Periodicity.HALF_YEARLY: N_("a cada 6 meses"),
    Periodicity.YEARLY: N_("todo ano"),
}
_STATUS_WORDS = {
    "accepting": N_("avisando a empresa"),
    "active": N_("ativo"),
    "refused": N_("recusado"),
    "cancelled": N_("cancelado"),
    "ended": N_("encerrado"),
}
_COLLECTION_WORDS = {
    "scheduled": N_("agendada"),
    "paid": N_("paga"),
    "failed": N_("não paga"),
    "cancelled": N_("cancelada"),
}
_COLLECTION_ENDINGS = {
    "no-funds": N_("A conta não tinha saldo nas duas tentativas do dia."),
    "cancelled-by-payer": N_("Você cancelou esta cobrança."),
    "cancelled-by-payee": N_("A empresa cancelou esta cobrança."),
    "mandate-ended": N_("Você cancelou este Pix Automático."),
}
_ENDINGS = {
    "cancelled-by-payee": N_("A empresa cancelou este Pix Automático."),
    "payment-returned": N_("O pagamento voltou para a sua conta, então nada foi autorizado."),
    "activation-wrong": N_("A cobrança paga não é a que autoriza este Pix Automático."),
    "recurrence-taken": N_("Outra pessoa autorizou antes de você."),
    "recurrence-ended": N_("A empresa o encerrou, ou o prazo para autorizar acabou."),
    "recurrence-not-found": N_("A empresa não conhece esta autorização."),
}


def how_often(periodicity: str) -> str:
    """`todo mês`, as it follows an amount."""
    return _(_HOW_OFTEN[Periodicity(periodicity)])


def status_word(mandate: BankMandate) -> str:
    """The status in a word or three."""
    return _(_STATUS_WORDS[mandate.status])


def ending(mandate: BankMandate) -> str:
    """Why the service ended the mandate, as a sentence."""
    if mandate.reason in _ENDINGS:
        return _(_ENDINGS[mandate.reason])
    details = [notice.answer_detail for notice in mandate.notices if notice.answer_detail]
    return details[-1] if details else _("A empresa não disse o motivo.")


def collection_status(collection: BankCollection) -> str:
    """The status of a charge in a word or two."""
    return _(_COLLECTION_WORDS[collection.status])


def collection_ending(collection: BankCollection) -> str:
    """Why a charge failed or was cancelled, as a sentence."""
    reason = collection.reason or ""
    return _(_COLLECTION_ENDINGS[reason]) if reason in _COLLECTION_ENDINGS else reason
