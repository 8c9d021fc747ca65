"""Locations of recurrences: reserved before the recurrence, and bound to one at a time."""

from __future__ import annotations

from core import ids
from core.errors import ConcurrentUpdate
from core.merchant_errors import LocationUnusable
from db_models import Account, RecurrenceLocation
from payments.recurring import lifecycle
from repository.database import Work
from repository.recurrences import BoundLocation


def recurrence_location_text(base: str, location: RecurrenceLocation) -> str:
    """The location in a BR Code, without `https://`; `base` is host and port.

    Source: Manual de Padrões para Iniciação do Pix, 2.7: the segment `rec` is obligatory.
    """
    return f"{base}/qr/v2/rec/{location.token}"


def reserve(work: Work, merchant: Account) -> BoundLocation:
    """A new location that waits for a recurrence."""
    return work.recurrence_locations.insert(merchant.id, ids.new_watch_code(), work.now)


def take_location(work: Work, bound: BoundLocation) -> None:
    """Free a location whose recurrence has ended. Raises LocationUnusable if one uses it."""
    recurrence = bound.recurrence
    if recurrence is None:
        return
    if not lifecycle.is_final(recurrence):
        raise LocationUnusable("Another recurrence uses this location.")
    if not work.recurrences.change(recurrence, lifecycle.FINAL, {"location_id": None}):
        raise ConcurrentUpdate
