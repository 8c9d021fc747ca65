"""Locations of recurrences: reserved before the recurrence, and bound to one at a time."""

from __future__ import annotations

from core import ids
from db_models import Account, RecurrenceLocation
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
