"""Errors of mandates and of the codes that offer them; `bank.errors` has the tree."""

from __future__ import annotations

from bank.errors import BankError, CodeRefused
from core.languages import N_


class OfferNotFound(CodeRefused):
    """The receiver's bank has no recurrence at the location (404)."""

    code = "recurrence-not-found"
    title = N_("Este Pix Automático não existe")


class OfferEnded(CodeRefused):
    """The recurrence at the location was refused or cancelled, or nobody accepted it in time."""

    code = "recurrence-ended"
    title = N_("Este Pix Automático foi encerrado")
    status = 409


class OfferTaken(CodeRefused):
    """Somebody has accepted the recurrence already."""

    code = "recurrence-taken"
    title = N_("Este Pix Automático já foi autorizado")
    status = 409


class TermsChanged(CodeRefused):
    """The receiver's bank now serves other terms than the client saw."""

    code = "terms-changed"
    title = N_("As condições mudaram")
    status = 409


class UnknownMandate(BankError):
    """The client has no mandate for this recurrence."""

    code = "mandate-not-found"
    title = N_("Não encontramos este Pix Automático")
    status = 404


class MandateUnchangeable(BankError):
    """The mandate does not stand, so it cannot be cancelled."""

    code = "mandate-unchangeable"
    title = N_("Este Pix Automático não pode ser cancelado agora")
    status = 409
