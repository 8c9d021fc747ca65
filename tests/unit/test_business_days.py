"""Business days: bank holidays, weekends, and the days of Brasília."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.pix.business_days import (
    FIRST_YEAR,
    LAST_YEAR,
    NATIONAL,
    REGIONS,
    brasilia_day,
    business_days_between,
    end_of_day,
    is_business_day,
    region_of,
    roll,
)

ROOT = Path(__file__).resolve().parents[2]
DAYS = st.dates(date(2001, 1, 1), date(2098, 12, 1))
REGION = st.sampled_from(REGIONS)

BANK_HOLIDAYS = {
    2021: "01-01 02-15 02-16 04-02 04-21 05-01 06-03 09-07 10-12 11-02 11-15 12-25",
    2024: "01-01 02-12 02-13 03-29 04-21 05-01 05-30 09-07 10-12 11-02 11-15 11-20 12-25",
    2026: "01-01 02-16 02-17 04-03 04-21 05-01 06-04 09-07 10-12 11-02 11-15 11-20 12-25",
}
"""Lists of bank holidays that ANBIMA publishes."""


@pytest.mark.parametrize("year", BANK_HOLIDAYS)
def test_national_bank_holidays_are_those_of_anbima(year):
    """Banks are closed on Carnival Monday and Tuesday and Corpus Christi, unlike public offices,
    and work on Ash Wednesday, on 28 October, and on 24 and 31 December."""
    start = date(year, 1, 1)
    days = [start + timedelta(days=count) for count in range((date(year + 1, 1, 1) - start).days)]
    holidays = [date.fromisoformat(f"{year}-{day}") for day in BANK_HOLIDAYS[year].split()]

    closed = [day for day in days if not is_business_day(day) and day.weekday() < 5]

    assert closed == [day for day in holidays if day.weekday() < 5]


def test_20_november_is_a_holiday_from_2024_on():
    """Lei 14.759/2023 made it a national holiday."""
    assert is_business_day(date(2023, 11, 20))
    assert not is_business_day(date(2024, 11, 20))


@pytest.mark.parametrize(
    ("municipality", "day", "is_open"),
    [
        (None, date(2026, 7, 9), True),
        ("3304557", date(2026, 7, 9), True),
        ("3509502", date(2026, 7, 9), False),  # Campinas: a holiday of the state of São Paulo
        ("3550308", date(2026, 7, 9), False),
        ("3509502", date(2027, 1, 25), True),
        ("3550308", date(2027, 1, 25), False),  # a holiday of the city of São Paulo
        ("2927408", date(2026, 7, 2), False),  # Salvador: a holiday of Bahia
        (None, date(2026, 7, 2), True),
    ],
)
def test_holidays_of_the_payers_region_count(municipality, day, is_open):
    """A holiday of one state closes no bank elsewhere."""
    assert is_business_day(day, region_of(municipality)) is is_open


@given(DAYS, REGION)
def test_a_region_has_all_national_holidays(day, region):
    """A local calendar only adds days."""
    assert is_business_day(day) or not is_business_day(day, region)


@given(DAYS, REGION)
def test_roll_gives_the_next_business_day(day, region):
    """The first one, within two weeks, and never an earlier day."""
    rolled = roll(day, region)

    assert day <= rolled <= day + timedelta(days=14)
    assert is_business_day(rolled, region)
    assert roll(rolled, region) == rolled
    assert business_days_between(day - timedelta(days=1), rolled, region) == 1


@given(DAYS, st.integers(-10, 60), st.integers(0, 60), REGION)
def test_business_days_add_up(start, first, second, region):
    """The first day is not counted, the last one is; nothing is counted backwards."""
    middle = start + timedelta(days=max(0, first))
    end = middle + timedelta(days=second)

    assert business_days_between(start, end, region) == business_days_between(
        start, middle, region
    ) + business_days_between(middle, end, region)
    assert business_days_between(start, start + timedelta(days=min(0, first)), region) == 0


def test_a_week_has_five_business_days():
    """From Friday to the next Friday, which counts."""
    assert business_days_between(date(2026, 8, 7), date(2026, 8, 14)) == 5


@pytest.mark.parametrize("day", [date(FIRST_YEAR - 1, 12, 31), date(LAST_YEAR + 1, 1, 1)])
def test_a_year_without_rules_is_refused(day):
    """Both sides of the edge: the first and the last year work."""
    with pytest.raises(ValueError, match="years 2000 to 2199"):
        is_business_day(day)

    assert not is_business_day(date(FIRST_YEAR, 1, 1))
    assert is_business_day(date(LAST_YEAR, 12, 31))


def test_an_unknown_region_is_refused():
    """A region is no free text."""
    with pytest.raises(ValueError, match="must be one of BR, RO"):
        is_business_day(date(2026, 1, 2), "XX")


def test_the_day_is_that_of_brasilia():
    """Three hours behind UTC; with daylight saving time, which ended in 2019, two."""
    assert brasilia_day(datetime(2026, 3, 1, 2, 59, 59, tzinfo=UTC)) == date(2026, 2, 28)
    assert brasilia_day(datetime(2026, 3, 1, 3, tzinfo=UTC)) == date(2026, 3, 1)
    assert end_of_day(date(2026, 2, 28)) == datetime(2026, 3, 1, 3, tzinfo=UTC)
    assert end_of_day(date(2018, 12, 31)) == datetime(2019, 1, 1, 2, tzinfo=UTC)
    with pytest.raises(ValueError, match="aware"):
        brasilia_day(datetime(2026, 3, 1))  # noqa: DTZ001 - naive on purpose


@given(DAYS)
def test_a_day_ends_when_the_next_begins(day):
    """Also on days on which the clock of Brasília changed."""
    end = end_of_day(day)

    assert brasilia_day(end) == day + timedelta(days=1)
    assert brasilia_day(end - timedelta(microseconds=1)) == day


def test_holidays_are_imported_at_their_first_use():
    """The package costs a tenth of a second and 20 MB, which most processes never need."""
    script = (
        "import sys, datetime, core.pix.due_rules, core.pix.business_days as days;"
        "assert 'holidays' not in sys.modules;"
        "days.roll(datetime.date(2026, 1, 1));"
        "assert 'holidays' in sys.modules"
    )

    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_the_nation_is_the_region_without_a_municipality():
    """No `codMun` means national holidays only."""
    assert region_of(None) == NATIONAL
    with pytest.raises(ValueError, match="municipality"):
        region_of("3550300")
