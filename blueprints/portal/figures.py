"""Today's figures and the last thirty days, in the viewer's days.

A day that is over does not change: what was taken in it is remembered by the process, so that a
portal that stays open asks for today alone. Nothing depends on the memory; it may be lost.
"""

from __future__ import annotations

import statistics
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from config import current_parts
from repository.portal import PortalQueries, Span, Takings
from web.zones import span_of

DAYS = 30
MEDIAN_OF_MAX = 500
"""The median is of the newest so many: on a busy day, of its last hours."""

CLOSED_AFTER = timedelta(minutes=10)
"""How long after its end a day is final: a transaction that began in it may still commit."""

_REMEMBERED_MAX = 30_000


@dataclass(frozen=True)
class DayTakings:
    """One bar of the chart."""

    day: date
    count: int
    centavos: int


@dataclass(frozen=True)
class Figures:
    """What the head of the portal shows."""

    today: Takings
    yesterday_centavos: int
    created: int
    converted: int
    seconds_to_pay: int | None
    """The median; None where nothing was paid in thirty days."""
    is_of_today: bool
    """Whether the median is of today's payments; of the thirty days' where today has none."""
    days: list[DayTakings]

    @property
    def conversion_percent(self) -> int | None:
        """Of the payments made today, how many in a hundred are paid."""
        return None if self.created == 0 else round(100 * self.converted / self.created)

    @property
    def total_centavos(self) -> int:
        """Of all the days."""
        return sum(day.centavos for day in self.days)

    @property
    def total_count(self) -> int:
        """Of all the days."""
        return sum(day.count for day in self.days)


class ClosedDays:
    """What was taken in days that are over, by merchant and span."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._known: OrderedDict[tuple[int, Span], Takings] = OrderedDict()

    def get(self, merchant_id: int, span: Span) -> Takings | None:
        """What is remembered, or None."""
        return self._known.get((merchant_id, span))

    def keep(self, merchant_id: int, span: Span, takings: Takings) -> None:
        """Remember it; what is longest known makes room."""
        self._known[merchant_id, span] = takings
        while len(self._known) > _REMEMBERED_MAX:
            self._known.popitem(last=False)


def figures(queries: PortalQueries, merchant_id: int, zone: ZoneInfo, now: datetime) -> Figures:
    """The figures of the day that this is in the zone, by three statements."""
    today = now.astimezone(zone).date()
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    takings = _takings(queries, merchant_id, [span_of(day, zone) for day in days], now)
    start, end = span_of(today, zone)
    created, converted = queries.created(merchant_id, (start, end))
    lately = queries.paid_lately(merchant_id, span_of(days[0], zone)[0], MEDIAN_OF_MAX)
    of_today = [took for paid, took in lately if paid >= start]
    waits = of_today or [took for _, took in lately]
    median = statistics.median(took.total_seconds() for took in waits) if waits else None
    return Figures(
        today=takings[-1],
        yesterday_centavos=takings[-2].centavos,
        created=created,
        converted=converted,
        seconds_to_pay=None if median is None else round(median),
        is_of_today=bool(of_today),
        days=[
            DayTakings(day, one.count, one.centavos) for day, one in zip(days, takings, strict=True)
        ],
    )


def _takings(
    queries: PortalQueries, merchant_id: int, spans: list[Span], now: datetime
) -> list[Takings]:
    """Of each span, asking only for those that are not remembered."""
    closed = current_parts().closed_days
    known = {span: closed.get(merchant_id, span) for span in spans}
    missing = [span for span in spans if known[span] is None]
    for span, found in zip(missing, queries.takings(merchant_id, missing), strict=True):
        known[span] = found
        if span[1] < now - CLOSED_AFTER:
            closed.keep(merchant_id, span, found)
    return [known[span] or Takings() for span in spans]
