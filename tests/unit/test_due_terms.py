"""Terms of a charge with a due date: the last payable day, and their form in the database."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given

from core.pix.business_days import region_of
from core.pix.due_terms import DueTerms, Fine, FineMode
from tests.support.due_terms import TERMS


@pytest.mark.parametrize(
    ("due", "days", "last"),
    [
        ("2020-10-20", 4, "2020-10-26"),  # example A
        ("2020-12-25", 0, "2020-12-28"),  # B
        ("2020-12-25", 1, "2020-12-29"),  # C
        ("2020-12-25", 3, "2020-12-31"),  # D
        ("2020-12-25", 4, "2021-01-04"),  # E
        ("2021-08-27", 5, "2021-09-01"),  # F
        ("2021-08-28", 5, "2021-09-06"),  # G
    ],
)
def test_the_last_payable_day_is_that_of_the_standard(due, days, last):
    """The examples A to G of CobDataDeVencimento in API Pix 2.9.0."""
    terms = DueTerms(date.fromisoformat(due), days)

    assert terms.last_payable_day() == date.fromisoformat(last)


def test_the_charge_can_be_paid_until_midnight_in_brasilia():
    """The whole last day counts, in Brasília."""
    terms = DueTerms(date(2021, 8, 27), 5)

    assert terms.deadline() == datetime(2021, 9, 2, 2, 59, 59, 999_000, tzinfo=UTC)


def test_a_local_holiday_moves_both_days():
    """9 July 2026, a Thursday, is a holiday in the state of São Paulo alone."""
    region = region_of("3509502")

    assert DueTerms(date(2026, 7, 9), 0).effective_due_date() == date(2026, 7, 9)
    assert DueTerms(date(2026, 7, 9), 0).effective_due_date(region) == date(2026, 7, 10)
    assert DueTerms(date(2026, 7, 8), 1).last_payable_day(region) == date(2026, 7, 10)


@given(TERMS)
def test_terms_are_read_as_they_were_written(terms):
    """Through JSON text, as a database stores them."""
    assert DueTerms.from_json(json.loads(json.dumps(terms.to_json()))) == terms


GOOD = {"due_date": "2026-08-07", "days_after_due": 30}


@pytest.mark.parametrize(
    "other",
    [
        {"due_date": "20260807"},
        {"due_date": "2026-02-30"},
        {"due_date": None},
        {"due_date": 20260807},
        {"days_after_due": "30"},
        {"days_after_due": True},
        {"unknown": 1},
        {"fine": None},
        {"fine": {"mode": 3, "value": "1.00"}},
        {"fine": {"mode": 1, "value": "1"}},
        {"fine": {"mode": 1, "value": "1.000"}},
        {"fine": {"mode": 1, "value": "-1.00"}},
        {"fine": {"mode": 1, "value": "01.00"}},
        {"fine": {"mode": 1, "value": "NaN"}},
        {"fine": {"mode": 1, "value": "x"}},
        {"fine": {"mode": 1, "value": 1}},
        {"fine": {"mode": 1}},
        {"fine": {"mode": 1, "value": "10000000000.00"}},
        {"fine": {"mode": 1, "value": "1.00", "more": 1}},
        {"fine": []},
        {"interest": {"mode": 9, "value": "1.00"}},
        {"abatement": {"mode": 0, "value": "1.00"}},
        {"discount": {"mode": 1, "value": "1.00"}},
        {"discount": {"mode": 3, "dates": []}},
        {"discount": {"mode": 3, "value": "1.00", "dates": []}},
        {"discount": {"mode": 1, "dates": [{"day": "2026-08-01"}]}},
        {"discount": {"mode": 7, "value": "1.00"}},
    ],
)
def test_other_json_is_refused(other):
    """What this code did not write is a fault that must be seen, not a charge without interest."""
    assert DueTerms.from_json(GOOD) == DueTerms(date(2026, 8, 7))
    with pytest.raises(ValueError, match="terms of a due-date charge"):
        DueTerms.from_json(GOOD | other)


@pytest.mark.parametrize("value", ["1", "1.0", "1.000", "-0.01", "10000000000.00", "NaN", "Inf"])
def test_a_value_has_two_decimals_and_the_standards_range(value):
    """`\\d{1,10}\\.\\d{2}`; both ends pass."""
    for good in ("0.00", "9999999999.99"):
        assert Fine(FineMode.REAIS, Decimal(good)).value == Decimal(good)
    with pytest.raises(ValueError, match="two decimals"):
        Fine(FineMode.REAIS, Decimal(value))
