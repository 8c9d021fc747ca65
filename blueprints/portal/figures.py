"""The figures of today and of the last thirty days, in the viewer's time zone.

The takings of past days change for test halves alone, so each process caches those of merchants,
and a portal that stays open queries today alone. The cache may be lost at any time.
"""

from __future__ import annotations

import statistics
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from config import current_parts
from db_models import Account
from repository.portal import PortalQueries, Span, Takings
from web.zones import span_of

DAYS = 30
MEDIAN_OF_MAX = 500
"""The median is of this many of the newest payments: on a busy day, of the last hours."""

CLOSED_AFTER = timedelta(minutes=10)
"""A day is final this long after its end: a transaction that began in it may commit late."""

_CACHED_MAX = 30_000


@dataclass(frozen=True)
class DayTakings:
    """One bar of the chart."""

    day: date
    count: int
    centavos: int


@dataclass(frozen=True)
class Figures:
    """The figures on the portal's first page."""

    today: Takings
    yesterday_centavos: int
    created: int
    converted: int
    seconds_to_pay: int | None
    """The median; None if nothing was paid in thirty days."""
    is_median_of_today: bool
    """False if nothing was paid today: then the median is of the last thirty days."""
    has_free_money: bool
    has_money: bool
    """Whether the merchant ever got money, for a payment or without one."""
    """Whether the merchant has money without a payment."""
    days: list[DayTakings]

    @property
    def conversion_percent(self) -> int | None:
        """The share of today's payments that are paid; None if none was created."""
        return None if self.created == 0 else round(100 * self.converted / self.created)

    @property
    def total_centavos(self) -> int:
        return sum(day.centavos for day in self.days)

    @property
    def total_count(self) -> int:
        return sum(day.count for day in self.days)


class ClosedDays:
    """A cache of the takings of past days, by merchant and span."""

    def __init__(self) -> None:
        self._takings: OrderedDict[tuple[int, Span], Takings] = OrderedDict()

    def get(self, merchant_id: int, span: Span) -> Takings | None:
        return self._takings.get((merchant_id, span))

    def add(self, merchant_id: int, span: Span, takings: Takings) -> None:
        """Store takings; a full cache drops its oldest entry."""
        self._takings[merchant_id, span] = takings
        while len(self._takings) > _CACHED_MAX:
            self._takings.popitem(last=False)


def figures(queries: PortalQueries, merchant: Account, zone: ZoneInfo, now: datetime) -> Figures:
    """The figures as of `now`, by three statements; money without a payment needs a fourth."""
    today = now.astimezone(zone).date()
    days = [today - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    spans = [span_of(day, zone) for day in days]
    takings = _takings(queries, merchant, spans, now)
    start, end = span_of(today, zone)
    created, converted, has_free_money, was_paid = queries.created(merchant.id, (start, end))
    if has_free_money:
        free = queries.takings_without_payment(merchant.id, spans)
        takings = [settled.plus(more) for settled, more in zip(takings, free, strict=True)]
    recent = queries.paid_lately(merchant.id, span_of(days[0], zone)[0], MEDIAN_OF_MAX)
    waits_today = [wait for paid_at, wait in recent if paid_at >= start]
    waits = waits_today or [wait for _, wait in recent]
    median = statistics.median(wait.total_seconds() for wait in waits) if waits else None
    return Figures(
        today=takings[-1],
        yesterday_centavos=takings[-2].centavos,
        created=created,
        converted=converted,
        seconds_to_pay=None if median is None else round(median),
        is_median_of_today=bool(waits_today),
        has_free_money=has_free_money,
        has_money=has_free_money or was_paid,
        days=[
            DayTakings(day, total.count, total.centavos)
            for day, total in zip(days, takings, strict=True)
        ],
    )


def _takings(
    queries: PortalQueries, merchant: Account, spans: list[Span], now: datetime
) -> list[Takings]:
    """The takings of each span; queries only the spans that are not cached."""
    cache = current_parts().closed_days
    by_span = {span: cache.get(merchant.id, span) for span in spans}
    uncached = [span for span in spans if by_span[span] is None]
    for span, takings in zip(uncached, queries.takings(merchant.id, uncached), strict=True):
        by_span[span] = takings
        # What a test half took is deleted one day, and each process would go on to show it.
        if span[1] < now - CLOSED_AFTER and not merchant.is_test_half:
            cache.add(merchant.id, span, takings)
    return [by_span[span] or Takings() for span in spans]
