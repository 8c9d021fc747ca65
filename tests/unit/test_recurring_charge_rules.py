"""The rules for charges of recurrences: plain functions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from core import ids
from core.clock import parse_rfc3339
from core.pix.recurrence_rules import Periodicity, RecurrenceTerms
from core.pix.recurring_charge_rules import (
    AttemptDays,
    ChargeRule,
    RetryRule,
    charge_violations,
    cycle_of,
    retry_violations,
)

TODAY = date(2026, 1, 31)
TERMS = RecurrenceTerms(TODAY, Periodicity.MONTHLY, True, last_day=date(2026, 12, 31))


@pytest.mark.parametrize(
    ("periodicity", "days"),
    [
        (Periodicity.WEEKLY, ["2026-01-31", "2026-02-06", "2026-02-07", "2026-02-14"]),
        (Periodicity.MONTHLY, ["2026-02-27", "2026-02-28", "2026-03-30", "2026-03-31"]),
        (Periodicity.QUARTERLY, ["2026-04-29", "2026-04-30", "2026-07-30", "2026-07-31"]),
        (Periodicity.HALF_YEARLY, ["2026-07-30", "2026-07-31", "2027-01-30", "2027-01-31"]),
        (Periodicity.YEARLY, ["2027-01-30", "2027-01-31", "2028-01-30", "2028-01-31"]),
    ],
)
def test_a_cycle_begins_on_the_first_day_again(periodicity, days):
    """Or on the last day of a shorter month; both sides of two edges."""
    cycles = [cycle_of(TODAY, periodicity, date.fromisoformat(day)) for day in days]
    expected = [0, 0, 1, 2] if periodicity is Periodicity.WEEKLY else [0, 1, 1, 2]
    assert cycles == expected
    assert cycle_of(date(2024, 2, 29), Periodicity.YEARLY, date(2025, 2, 28)) == 1


def test_a_charge_keeps_to_days_and_amount():
    def broken(days, amount=1, terms=TERMS):
        return list(charge_violations(terms, TODAY + timedelta(days=days), amount, TODAY))

    assert broken(-1) == [ChargeRule.DUE_BEFORE_CREATION, ChargeRule.DUE_OUTSIDE_TERM]
    assert broken(1) == [ChargeRule.DUE_TOO_SOON]
    assert broken(2) == broken(334) == []
    assert broken(335) == [ChargeRule.DUE_OUTSIDE_TERM]
    endless = replace(TERMS, last_day=None, minimum_centavos=500)
    assert broken(366, 499, endless) == []  # the minimum bounds what a payer may set
    assert broken(367, 1, endless) == [ChargeRule.DUE_TOO_LATE]
    assert broken(9, 0) == [ChargeRule.AMOUNT_ZERO]
    fixed = replace(TERMS, fixed_centavos=100)
    assert broken(9, 100, fixed) == []
    assert broken(9, 99, fixed) == [ChargeRule.AMOUNT_NOT_FIXED]


def test_a_retry_keeps_to_the_policy():
    first = TODAY - timedelta(days=1)

    def broken(days, *more, is_open=False, allows=True):
        attempts = AttemptDays((first, *more), is_open)
        day = first + timedelta(days=days)
        return list(retry_violations(attempts, day, TODAY, allows_retries=allows))

    assert broken(2) == broken(7) == []
    assert broken(8) == [RetryRule.DAY_TOO_LATE]
    assert broken(1) == [RetryRule.DAY_NOT_FUTURE]
    assert broken(2, allows=False) == [RetryRule.NOT_ALLOWED]
    assert broken(2, is_open=True) == [RetryRule.ATTEMPT_OPEN]
    assert broken(2, first + timedelta(days=2)) == [RetryRule.DAY_IN_USE]
    assert broken(7, *[TODAY] * 3) == [RetryRule.TOO_MANY]
    none = AttemptDays((), is_open=False)
    day = TODAY + timedelta(days=1)
    assert list(retry_violations(none, day, TODAY, allows_retries=True)) == [
        RetryRule.NO_FIRST_ATTEMPT
    ]


def test_an_end_to_end_id_has_the_minute_in_utc():
    made_at = parse_rfc3339("2026-01-31T22:05:09-03:00")
    text = ids.new_end_to_end_id("99999004", made_at)
    assert ids.END_TO_END_ID.fullmatch(text)
    assert text.startswith("E99999004202602010105")
