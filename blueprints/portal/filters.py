"""The filters and the cursor of a list of payments, as its query string carries them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from werkzeug.datastructures import MultiDict

from core import ids
from core.errors import InvalidCursor
from db_models import PaymentStatus
from repository.paging import Cursor
from repository.payment_list import REFUNDED, REFUSED, PaymentFilters
from web.query_fields import QueryFields
from web.zones import span_of

PAGE = 25
TEXT_MAX, ORDER_MAX = 140, 64
STATES = [*(str(status) for status in PaymentStatus), REFUNDED, REFUSED]
_TICK = timedelta(microseconds=1)
"""The resolution of stored times."""


@dataclass(frozen=True)
class Listing:
    """The filters and the cursor of one page of the list."""

    state: str | None = None
    from_day: date | None = None
    to_day: date | None = None
    text: str | None = None
    order: str | None = None
    cursor: Cursor | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether any filter is set."""
        return any((self.state, self.from_day, self.to_day, self.text, self.order))

    @property
    def is_rare(self) -> bool:
        """Whether the state is one that is searched in a window of payments."""
        return self.state in (REFUNDED, REFUSED)

    def filters(self, zone: ZoneInfo) -> PaymentFilters:
        """The filters for the repository; days are whole days in `zone`."""
        return PaymentFilters(
            status=self.state,
            order_id=self.order,
            created_from=span_of(self.from_day, zone)[0] if self.from_day else None,
            created_to=span_of(self.to_day, zone)[1] - _TICK if self.to_day else None,
            text=self.text,
        )

    def query(self, **changes: Any) -> dict[str, Any]:
        """The filters as URL arguments; `changes` replace fields, and None removes a field.

        Without the cursor, because a list with other filters starts at its first page.
        """
        fields = replace(self, **changes)
        arguments = {
            "state": fields.state,
            "from": fields.from_day.isoformat() if fields.from_day else None,
            "to": fields.to_day.isoformat() if fields.to_day else None,
            "q": fields.text,
            "order": fields.order,
        }
        return {name: value for name, value in arguments.items() if value}


def month_days(today: date, months_back: int) -> tuple[date, date]:
    """The first and the last day of this month, or of a month before."""
    months = today.year * 12 + today.month - 1 - months_back
    first, after = date(months // 12, months % 12 + 1, 1), months + 1
    return first, date(after // 12, after % 12 + 1, 1) - timedelta(days=1)


def listing_of(arguments: MultiDict[str, str]) -> Listing:
    """Parse a query string. Raises InvalidRequest and InvalidCursor; our forms cause neither."""
    fields = QueryFields(arguments)
    state = fields.one_of("state", STATES)
    first, last = fields.days()
    text, order = fields.text("q", TEXT_MAX), fields.text("order", ORDER_MAX)
    fields.require_valid()
    return Listing(state, first, last, text, order, _cursor(arguments))


def _cursor(arguments: MultiDict[str, str]) -> Cursor | None:
    after, before = arguments.get("after"), arguments.get("before")
    if after is None and before is None:
        return None
    txid = after if after is not None else before
    if (after is not None and before is not None) or txid is None or not ids.is_txid(txid):
        raise InvalidCursor
    return Cursor(txid, newer=before is not None)
