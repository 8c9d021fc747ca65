"""The rules for terms of a recurrence: both sides of each edge, and all at once; its id."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from core.pix.br_code import BrCodeError, decode, encode_recurring
from core.pix.recurrence_rules import (
    FIRST_IN_DAYS_MAX,
    ID_REC,
    TERM_DAYS_MAX,
    Periodicity,
    RecurrenceRule,
    RecurrenceTerms,
    new_id_rec,
    recurrence_violations,
)

CREATED = date(2026, 8, 3)


def broken(**terms):
    """What these terms of a recurrence of CREATED break, as (field, rule)."""
    values = {"first_day": CREATED, "periodicity": Periodicity.MONTHLY, "allows_retries": False}
    violations = recurrence_violations(RecurrenceTerms(**{**values, **terms}), CREATED)
    return [(violation.field, violation.rule) for violation in violations]


@pytest.mark.parametrize(
    ("days", "rule"),
    [
        (-1, RecurrenceRule.FIRST_BEFORE_CREATION),
        (0, None),
        (FIRST_IN_DAYS_MAX, None),
        (FIRST_IN_DAYS_MAX + 1, RecurrenceRule.FIRST_TOO_LATE),
    ],
)
def test_the_first_day_is_within_ten_years_of_the_creation(days, rule):
    """The day of the creation is good."""
    day = CREATED + timedelta(days=days)
    assert broken(first_day=day) == ([("first_day", rule)] if rule else [])


@pytest.mark.parametrize(
    ("days", "rule"),
    [
        (-1, RecurrenceRule.LAST_BEFORE_FIRST),
        (0, None),
        (TERM_DAYS_MAX, None),
        (TERM_DAYS_MAX + 1, RecurrenceRule.LAST_TOO_LATE),
    ],
)
def test_the_last_day_is_within_a_hundred_years_of_the_first(days, rule):
    """One single day is a term, too."""
    day = CREATED + timedelta(days=days)
    assert broken(last_day=day) == ([("last_day", rule)] if rule else [])


def test_the_last_days_that_exist_are_refused_and_no_fault_of_the_server():
    """Sums of days must not leave the calendar."""
    assert broken(first_day=date.max) == [("first_day", RecurrenceRule.FIRST_TOO_LATE)]
    assert broken(last_day=date.max) == [("last_day", RecurrenceRule.LAST_TOO_LATE)]
    assert broken(first_day=date.min, last_day=date.max) == [
        ("first_day", RecurrenceRule.FIRST_BEFORE_CREATION),
        ("last_day", RecurrenceRule.LAST_TOO_LATE),
    ]


def test_an_amount_is_fixed_or_has_a_floor_or_neither():
    """A floor of zero is no floor; a fixed zero would charge nothing."""
    assert broken() == broken(fixed_centavos=1) == broken(minimum_centavos=0) == []
    assert broken(fixed_centavos=0, minimum_centavos=0) == [
        ("fixed_centavos", RecurrenceRule.AMOUNT_ZERO),
        ("minimum_centavos", RecurrenceRule.TWO_AMOUNTS),
    ]


def test_an_id_says_whether_charges_are_tried_again():
    """Two letters, the bank, the day, and eleven random characters."""
    retried = new_id_rec("1234567A", CREATED, allows_retries=True)
    single = new_id_rec("1234567A", CREATED, allows_retries=False)
    assert retried.startswith("RR1234567A20260803")
    assert single.startswith("RN1234567A20260803")
    assert ID_REC.fullmatch(retried)
    assert ID_REC.fullmatch(single)
    assert retried[18:] != single[18:]


LONG = "p" * 20 + ".example.com:5000"


def test_the_longest_locations_fit_into_one_code():
    """77 characters each, which both manuals allow."""
    rest = 77 - len(f"{LONG}/")
    recurrence, charge = f"{LONG}/{'r' * rest}", f"{LONG}/{'c' * rest}"
    code = encode_recurring(recurrence, "N" * 25, "C" * 15, location=charge)
    read = decode(code, strict=True)
    assert (read.url, read.recurrence_url) == (charge, recurrence)


@pytest.mark.parametrize(
    ("recurrence", "charge"),
    [
        ("https://a.example/rec/1", None),
        ("a.example/rec/1", "https://a.example/1"),
        ("a.example/rec/1", "b.example/1"),
    ],
)
def test_a_code_that_readers_refuse_is_not_written(recurrence, charge):
    """A scheme, or two hosts."""
    with pytest.raises(BrCodeError) as error:
        encode_recurring(recurrence, "Loja", "Recife", location=charge)
    assert error.value.code == "url_invalid"
