"""Errors of merchants; `core.errors` has the tree."""

from __future__ import annotations

from core.errors import BalcaoError, Conflict, FieldError, NotFound


class PixKeyMissing(Conflict):
    """The merchant has not said yet to which Pix key money goes."""

    code = "pix-key-missing"
    title = "The merchant has no Pix key"

    def __init__(self) -> None:
        """The detail says where to enter the key."""
        super().__init__(
            "The merchant has not entered a Pix key yet. Enter it in the portal, "
            "at /portal/settings#pix-key, then try again."
        )


class NotRevisable(Conflict):
    """The payment is confirmed or cancelled, so nothing of it changes any more."""

    code = "not-revisable"
    title = "This payment cannot change any more"


class LocationUnusable(Conflict):
    """A location does not exist, shows another charge, or is for the other kind of charge."""

    code = "location-unusable"
    title = "This location cannot show the charge"


class RecurrenceUnchangeable(Conflict):
    """The recurrence's status does not allow this change."""

    code = "recurrence-unchangeable"
    title = "The recurrence cannot change in this way any more"


class RecurrenceNotFound(NotFound):
    """No merchant offers a recurrence with this id."""

    code = "recurrence-not-found"
    title = "This recurrence does not exist"


class RecurrenceEnded(Conflict):
    """The recurrence was refused or cancelled, or nobody accepted it in time."""

    code = "recurrence-ended"
    title = "This recurrence has ended"


class RecurrenceTaken(Conflict):
    """A payer has accepted the recurrence already."""

    code = "recurrence-taken"
    title = "A payer has accepted this recurrence already"


class ActivationUnpaid(BalcaoError):
    """The charge whose payment accepts the recurrence is not paid yet: the bank tries again."""

    code = "activation-unpaid"
    title = "The charge that accepts this recurrence is not paid yet"


class ActivationWrong(Conflict):
    """The charge does not accept the recurrence, or cannot be paid any more."""

    code = "activation-wrong"
    title = "This charge cannot accept the recurrence"


class CollectionNotFound(NotFound):
    """No attempt to collect a charge of a recurrence has this id."""

    code = "collection-not-found"
    title = "This collection does not exist"


class RequestNotFound(NotFound):
    """No request with this id was sent to this payer."""

    code = "request-not-found"
    title = "This request does not exist"


class RequestEnded(Conflict):
    """The request was answered or taken back, or its time has passed."""

    code = "request-ended"
    title = "This request has ended"


class ShopNameTaken(Conflict):
    """Another shop has a name that a payer could not tell from this one."""

    code = "shop-name-taken"
    title = "Another shop has this name"

    def __init__(self) -> None:
        """The detail says what to do; the error is the field `name`'s."""
        super().__init__(
            "Another shop has this name, and payers could not tell them apart: "
            "choose a different name.",
            [FieldError("name", "is another shop's: choose a different name")],
        )
