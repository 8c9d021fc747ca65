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
    """The mandate is not active, so it cannot be cancelled."""

    code = "mandate-unchangeable"
    title = N_("Este Pix Automático não pode ser cancelado agora")
    status = 409


class CustomerUnknown(BankError):
    """No client of this bank has the document, or the account is another client's."""

    code = "customer-unknown"
    title = N_("Este cliente não tem conta neste banco")
    status = 404


class MandateTaken(BankError):
    """The client has decided about this recurrence."""

    code = "mandate-taken"
    title = N_("O cliente já decidiu sobre este Pix Automático")
    status = 409


class UnknownMandateRequest(BankError):
    """No request has this id, or it is for another client."""

    code = "request-not-found"
    title = N_("Não encontramos este pedido")
    status = 404


class MandateRequestClosed(BankError):
    """The request was decided or cancelled, or its time is over."""

    code = "request-closed"
    title = N_("Este pedido não vale mais")
    status = 409


class MandateRequestsFull(BankError):
    """The client has as many open requests as the bank shows."""

    code = "requests-full"
    title = N_("O cliente tem pedidos demais em aberto")
    status = 409


class CollectionRefused(BankError):
    """The bank does not schedule this charge of a recurrence; nothing will be debited."""

    code = "collection-refused"
    title = N_("Esta cobrança não pode ser agendada")
    status = 422


class CollectionWithoutMandate(CollectionRefused):
    """No client of this bank has a mandate for the recurrence."""

    code = "mandate-unknown"


class CollectionAfterEnd(CollectionRefused):
    """The mandate was refused, or it has ended."""

    code = "mandate-ended"
    status = 409


class CollectionTooEarly(CollectionRefused):
    """The service has not answered the acceptance yet; the order may be repeated later."""

    code = "mandate-not-ready"
    status = 503


class CollectionOverLimit(CollectionRefused):
    """The amount is above the one that the client authorised, or above the account's limit."""

    code = "amount-over-limit"


class CollectionDayPast(CollectionRefused):
    """The settlement day is over."""

    code = "settlement-day-past"


class CollectionDuplicate(CollectionRefused):
    """Another attempt of the same charge is scheduled or paid."""

    code = "already-scheduled"
    status = 409


class CollectionsFull(CollectionRefused):
    """The mandate has as many charges as the bank keeps for it."""

    code = "collections-full"
    status = 409


class UnknownCollection(BankError):
    """No charge of a recurrence has this end_to_end_id, or it is another client's."""

    code = "collection-not-found"
    title = N_("Não encontramos esta cobrança")
    status = 404


class CollectionClosed(BankError):
    """The charge was paid or has failed, or its day has begun."""

    code = "collection-closed"
    title = N_("Esta cobrança não pode mais ser cancelada")
    status = 409
