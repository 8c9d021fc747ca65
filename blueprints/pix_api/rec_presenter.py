"""The JSON objects of recurrences and their locations (API Pix 2.9.0, RecCompleta)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from blueprints.pix_api.lists import Window
from config import current_settings
from db_models import Account, Payment, RecurrenceLocation
from payments.recurring.codes import code_of_recurrence
from payments.recurring.objects import location_object, recurrence_object
from repository.locations import number_of
from repository.recurrences import BoundLocation, RecurrenceRecord


def recurrence(record: RecurrenceRecord, merchant: Account) -> dict[str, Any]:
    """A recurrence, without a code."""
    return recurrence_object(record, merchant, current_settings().location_base)


def code_members(
    record: RecurrenceRecord, merchant: Account, charge: Payment | None, now: datetime
) -> dict[str, Any]:
    """The member `dadosQR`; nothing if a location is missing, or the charge cannot be paid."""
    code = code_of_recurrence(merchant, record, charge, current_settings().location_base, now)
    if code is None:
        return {}
    return {"dadosQR": {"jornada": f"JORNADA_{code.journey}", "pixCopiaECola": code.text}}


def location(bound: BoundLocation) -> dict[str, Any]:
    """A location, with the id of the recurrence that it shows."""
    base = current_settings().location_base
    return location_object(bound.location, bound.recurrence, base)


def number(location_: RecurrenceLocation) -> int:
    """The id of a location on the wire."""
    return number_of(location_.token)


def parameters(window: Window, total: int) -> dict[str, Any]:
    """The member `parametros`, in which `convenio` is a member of `recebedor`."""
    body = window.parameters(total)
    agreement_name = body.pop("convenio", None)
    if agreement_name is not None:
        body["recebedor"] = {"convenio": agreement_name}
    return body
