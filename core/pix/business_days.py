"""Business days of Brazilian banks, and days of Brasília time, for charges with a due date.

National holidays of banks are those of Resolução CMN 4.880/2020: the national holidays by law,
Carnival Monday and Tuesday, Good Friday and Corpus Christi. Ash Wednesday, 24 and 31 December are
business days. With the code of the payer's municipality the holidays of its state count too. Of
municipal holidays only those of the city of São Paulo are known: a payer in another city, whose
banks are closed for a municipal holiday, gets no extra day.

Both come from the package `holidays`. It loads the rules of all countries (a tenth of a second and
20 MB), so it is imported when the first charge with a due date needs it, not at start.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from core.pix.municipality import STATES, state_of

BRASILIA = ZoneInfo("America/Sao_Paulo")
FIRST_YEAR, LAST_YEAR = 2000, 2199
"""The years whose holidays are computed; days outside raise ValueError."""

_DAY = timedelta(days=1)
_SATURDAY = 5
_BANK_HOLIDAYS = frozenset({"Carnaval", "Corpus Christi"})  # public offices may close, banks must
_SAO_PAULO = "3550308"
_CITY_OF_SAO_PAULO = "São Paulo Capital"

NATIONAL = "BR"
REGIONS = (NATIONAL, *STATES.values(), _CITY_OF_SAO_PAULO)
"""Every region with holidays of its own."""


def region_of(municipality: str | None) -> str:
    """The region whose holidays count for a payer in this municipality; NATIONAL for None.

    `municipality` is a code of IBGE with 7 digits. Raises ValueError for no such code.
    """
    if municipality is None:
        return NATIONAL
    state = state_of(municipality)
    return _CITY_OF_SAO_PAULO if municipality == _SAO_PAULO else state


def is_business_day(day: date, region: str = NATIONAL) -> bool:
    """Whether banks work on this day in this region.

    Raises ValueError for a region not in REGIONS, and for a day of another year than FIRST_YEAR to
    LAST_YEAR.
    """
    holidays = _holidays(region, day.year)
    return day.weekday() < _SATURDAY and day not in holidays


def roll(day: date, region: str = NATIONAL) -> date:
    """The day itself if it is a business day, else the next business day. Raises ValueError."""
    while not is_business_day(day, region):
        day += _DAY
    return day


def business_days_between(start: date, end: date, region: str = NATIONAL) -> int:
    """How many business days are after `start` and not after `end`; 0 if `end` is not later."""
    days = (start + _DAY * step for step in range(1, (end - start).days + 1))
    return sum(is_business_day(day, region) for day in days)


def brasilia_day(instant: datetime) -> date:
    """The day of this aware instant in Brasília, which counts for due dates and discounts."""
    if instant.tzinfo is None:
        raise ValueError("must be an aware instant")
    return instant.astimezone(BRASILIA).date()


def end_of_day(day: date) -> datetime:
    """The instant in UTC at which this day ends in Brasília: the first of the next day."""
    # Before 2019 a day could begin at 01:00, when daylight saving time began at midnight: the
    # conversion gives the same instant for 00:00, which did not exist, as for 01:00.
    return datetime.combine(day + _DAY, time.min, BRASILIA).astimezone(UTC)


@lru_cache(maxsize=1024)
def _holidays(region: str, year: int) -> frozenset[date]:
    """The days of a year on which banks of the region are closed, weekends aside."""
    if region not in REGIONS:
        raise ValueError(f"must be one of {', '.join(REGIONS)}")
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise ValueError(f"must be in the years {FIRST_YEAR} to {LAST_YEAR}")

    from holidays import country_holidays  # lazy: see the module's docstring

    subdivision = None if region == NATIONAL else region
    public = country_holidays("BR", subdivision, years=year, language="pt_BR")
    optional = country_holidays("BR", years=year, language="pt_BR", categories="optional")
    closed = {day for day, name in optional.items() if name in _BANK_HOLIDAYS}
    return frozenset(public) | closed
