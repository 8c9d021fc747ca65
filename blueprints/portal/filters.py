"""A list of payments as its address says: filters, and where to go on, all in the query."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from werkzeug.datastructures import MultiDict

from core import ids
from core.errors import FieldError, InvalidCursor, InvalidRequest
from db_models import PaymentStatus
from repository.portal import Narrowed, Place
from web.bodies import check_storable
from web.zones import span_of

PAGE = 25
TEXT_MAX, ORDER_MAX = 140, 64
STATES = [str(status) for status in PaymentStatus]

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


@dataclass(frozen=True)
class Listing:
    """What the address asks for."""

    state: str | None = None
    from_day: date | None = None
    to_day: date | None = None
    text: str | None = None
    order: str | None = None
    place: Place | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether any filter is set."""
        return any((self.state, self.from_day, self.to_day, self.text, self.order))

    def narrowed(self, zone: ZoneInfo) -> Narrowed:
        """The filters as the query takes them: whole days of the viewer's zone."""
        return Narrowed(
            status=self.state,
            order_id=self.order,
            created_from=span_of(self.from_day, zone)[0] if self.from_day else None,
            created_before=span_of(self.to_day, zone)[1] if self.to_day else None,
            text=self.text,
        )

    def query(self, **changes: Any) -> dict[str, Any]:
        """The filters for an address; `changes` replace some, or take them away with None.

        The place is left out: a list that is narrowed otherwise begins at its beginning.
        """
        fields = replace(self, **changes)
        named = {
            "state": fields.state,
            "from": fields.from_day.isoformat() if fields.from_day else None,
            "to": fields.to_day.isoformat() if fields.to_day else None,
            "q": fields.text,
            "order": fields.order,
        }
        return {name: value for name, value in named.items() if value}


def listing_of(arguments: MultiDict[str, str]) -> Listing:
    """Read an address. Raises InvalidRequest for what no form of ours sends, InvalidCursor."""
    found: list[FieldError] = []
    state = arguments.get("state") or None
    if state is not None and state not in STATES:
        found.append(FieldError("state", f"must be one of {', '.join(STATES)}"))
    first, last = (day_from(arguments, name, found) for name in ("from", "to"))
    if first and last and last < first:
        first, last = last, first
    text = _text(arguments, "q", TEXT_MAX, found)
    order = _text(arguments, "order", ORDER_MAX, found)
    if found:
        raise InvalidRequest(found)
    return Listing(state, first, last, text, order, _place(arguments))


def day_from(arguments: MultiDict[str, str], name: str, found: list[FieldError]) -> date | None:
    """A day of the address, or None; what is none is added to what was found wrong."""
    given = arguments.get(name) or None
    if given is None:
        return None
    try:
        day = date.fromisoformat(given) if _DAY.fullmatch(given) else None
    except ValueError:
        day = None
    # A day before and after is needed for its midnights, and databases end at the year 9999.
    if day is None or not 1970 <= day.year <= 9000:
        found.append(FieldError(name, "must be a day, as 2026-11-20"))
        return None
    return day


def _text(
    arguments: MultiDict[str, str], name: str, most: int, found: list[FieldError]
) -> str | None:
    given = arguments.get(name, "").strip()
    check_storable(given)
    if len(given) > most:
        found.append(FieldError(name, f"must be at most {most} characters"))
    return given or None


def _place(arguments: MultiDict[str, str]) -> Place | None:
    after, before = arguments.get("after"), arguments.get("before")
    if after is None and before is None:
        return None
    txid = after if after is not None else before
    if (after is not None and before is not None) or txid is None or not ids.is_txid(txid):
        raise InvalidCursor
    return Place(txid, newer=before is not None)
