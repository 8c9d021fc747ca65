"""Mandates in words for the client, in the request's language."""

from __future__ import annotations

from bank.languages import translate as _
from bank.mandates.tables import BankMandate
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
_ENDINGS = {
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
