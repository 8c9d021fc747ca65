"""The rules for terms of a charge with a due date: both sides of each edge, and all at once."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from core.money import CENTAVOS_MAX
from core.pix.due_rules import (
    DAYS_AFTER_DUE_MAX,
    DUE_IN_DAYS_MAX,
    DueRule,
    DueViolation,
    due_violations,
)
from core.pix.due_terms import (
    Abatement,
    AbatementMode,
    DatedDiscount,
    Discount,
    DiscountMode,
    DueTerms,
    Fine,
    FineMode,
    Interest,
    InterestMode,
)

CREATED = date(2026, 8, 3)  # a Monday
DUE = date(2026, 8, 7)


def broken(original=10_000, *, today=CREATED, **terms):
    """What these terms of a charge of CREATED break, as (field, rule)."""
    due_terms = DueTerms(**({"due_date": DUE} | terms))
    violations = due_violations(original, due_terms, CREATED, today)
    return [(violation.field, violation.rule) for violation in violations]


def dated(*dates, mode=1):
    """A discount until dates: pairs of a day and a value."""
    return Discount(
        DiscountMode(mode), dates=tuple(DatedDiscount(day, Decimal(value)) for day, value in dates)
    )


def daily(value, mode=3):
    """A discount per day."""
    return Discount(DiscountMode(mode), Decimal(value))


def test_the_due_date_is_not_before_the_creation():
    """The same day is good."""
    assert broken(due_date=CREATED) == []
    assert broken(due_date=CREATED - timedelta(days=1)) == [
        ("due_date", DueRule.DUE_BEFORE_CREATION)
    ]


def test_the_due_date_is_within_ten_years():
    """A limit of this service; also the last date that exists is no fault of the server."""
    assert broken(due_date=CREATED + timedelta(days=DUE_IN_DAYS_MAX)) == []
    for day in (CREATED + timedelta(days=DUE_IN_DAYS_MAX + 1), date.max):
        assert broken(due_date=day) == [("due_date", DueRule.DUE_TOO_LATE)]


@pytest.mark.parametrize(
    ("days", "rule"),
    [
        (-1, DueRule.DAYS_NEGATIVE),
        (0, None),
        (DAYS_AFTER_DUE_MAX, None),
        (DAYS_AFTER_DUE_MAX + 1, DueRule.DAYS_TOO_MANY),
        (2**31 - 1, DueRule.DAYS_TOO_MANY),
    ],
)
def test_the_days_after_the_due_date_are_bounded(days, rule):
    """From none to ten years."""
    assert broken(days_after_due=days) == ([("days_after_due", rule)] if rule else [])


@pytest.mark.parametrize(
    ("mode", "value", "rule"),
    [
        (1, "99.99", None),
        (1, "100.00", DueRule.NOT_BELOW_ORIGINAL),
        (2, "99.99", None),
        (2, "100.00", DueRule.NOT_BELOW_HUNDRED),
    ],
)
def test_an_abatement_leaves_something(mode, value, rule):
    """Less than the amount, less than 100 %."""
    terms = {"abatement": Abatement(AbatementMode(mode), Decimal(value))}

    assert broken(**terms) == ([("abatement.value", rule)] if rule else [])


def test_rounding_leaves_something():
    """99.99 % of one centavo is rounded to the whole centavo."""
    terms = {"abatement": Abatement(AbatementMode.PERCENT, Decimal("99.99"))}

    assert broken(1, **terms) == [("abatement.value", DueRule.NOT_BELOW_ORIGINAL)]


@pytest.mark.parametrize(
    ("mode", "value", "rule"),
    [
        (1, "99.99", None),
        (1, "100.00", DueRule.NOT_BELOW_ORIGINAL),
        (2, "99.99", None),
        (2, "100.00", DueRule.NOT_BELOW_HUNDRED),
    ],
)
def test_each_dated_discount_leaves_something(mode, value, rule):
    """The second one is named by its place in the list."""
    terms = {"discount": dated((CREATED, "1.00"), (DUE, value), mode=mode)}

    assert broken(**terms) == ([("discount.dates.1.value", rule)] if rule else [])


@pytest.mark.parametrize(
    ("mode", "value", "rule"),
    [
        (3, "24.99", None),  # four days early: 99.96
        (3, "25.00", DueRule.NOTHING_LEFT),
        (3, "100.00", DueRule.NOT_BELOW_ORIGINAL),
        (4, "24.99", None),
        (4, "25.00", DueRule.NOTHING_LEFT),
        (5, "24.99", None),
        (5, "25.00", DueRule.NOTHING_LEFT),
        (5, "100.00", DueRule.NOT_BELOW_HUNDRED),
        (6, "25.00", DueRule.NOTHING_LEFT),
    ],
)
def test_a_discount_per_day_leaves_something(mode, value, rule):
    """For a payment on the day of the creation, four days before the due date."""
    assert broken(discount=daily(value, mode)) == ([("discount.value", rule)] if rule else [])


def test_a_revised_discount_is_checked_for_today():
    """The days that have passed bring no discount."""
    terms = {"discount": daily("25.00"), "today": CREATED + timedelta(days=1)}

    assert broken(**terms) == []


def test_discount_and_abatement_together_leave_something():
    """60.00 and 39.99 of 100.00 are good, 60.00 and 40.00 are not."""
    abatement = Abatement(AbatementMode.REAIS, Decimal("60.00"))

    assert broken(abatement=abatement, discount=dated((DUE, "39.99"))) == []
    assert broken(abatement=abatement, discount=dated((DUE, "40.00"))) == [
        ("discount.dates.0.value", DueRule.NOTHING_LEFT)
    ]
    assert broken(abatement=abatement, discount=daily("10.00")) == [
        ("discount.value", DueRule.NOTHING_LEFT)
    ]


def test_a_discount_has_the_members_of_its_mode():
    """Dates in modes 1 and 2, one value in the others."""
    day = (DatedDiscount(DUE, Decimal("1.00")),)
    for mode in (1, 2):
        assert broken(discount=Discount(DiscountMode(mode), Decimal("1.00"))) == [
            ("discount.value", DueRule.VALUE_UNWANTED),
            ("discount.dates", DueRule.DATES_MISSING),
        ]
        assert broken(discount=Discount(DiscountMode(mode), None, day)) == []
    for mode in (3, 4, 5, 6):
        assert broken(discount=Discount(DiscountMode(mode), None, day)) == [
            ("discount.value", DueRule.VALUE_MISSING),
            ("discount.dates", DueRule.DATES_UNWANTED),
        ]
        assert broken(discount=Discount(DiscountMode(mode), Decimal("1.00"))) == []


def test_a_discount_has_at_most_three_dates():
    """Three are good, four are not, and each date stands once."""
    dates = [(CREATED + timedelta(days=count), "1.00") for count in range(4)]

    assert broken(discount=dated(*dates[:3])) == []
    assert broken(discount=dated(*dates)) == [("discount.dates", DueRule.DATES_MISSING)]
    assert broken(discount=dated(dates[0], dates[1], dates[0])) == [
        ("discount.dates.2.day", DueRule.DATE_TWICE)
    ]


def test_a_discounts_date_is_not_after_the_due_date():
    """Also if the due date is a Sunday and is moved to Monday."""
    assert broken(discount=dated((DUE, "1.00"))) == []
    assert broken(discount=dated((DUE + timedelta(days=1), "1.00"))) == [
        ("discount.dates.0.day", DueRule.DATE_AFTER_DUE)
    ]
    assert broken(due_date=date(2026, 8, 9), discount=dated((date(2026, 8, 10), "1.00"))) == [
        ("discount.dates.0.day", DueRule.DATE_AFTER_DUE)
    ]


def test_the_amount_never_has_eleven_digits():
    """At the end of the last payable day, the amount must still fit the standard's form."""
    huge = Decimal("9999999999.99")

    assert broken(CENTAVOS_MAX) == []
    assert broken(CENTAVOS_MAX, fine=Fine(FineMode.REAIS, Decimal("0.01"))) == [
        ("fine.value", DueRule.TOTAL_TOO_LARGE)
    ]
    assert broken(1, fine=Fine(FineMode.REAIS, Decimal("9999999999.98"))) == []
    assert broken(interest=Interest(InterestMode.PERCENT_PER_DAY, huge)) == [
        ("interest.value", DueRule.TOTAL_TOO_LARGE)
    ]


def test_every_violation_is_reported_at_once():
    """One answer names all faults, so that a client mends them in one go."""
    terms = DueTerms(
        CREATED - timedelta(days=1),
        -1,
        abatement=Abatement(AbatementMode.PERCENT, Decimal("150.00")),
        discount=dated((DUE, "100.00")),
    )

    assert due_violations(10_000, terms, CREATED, CREATED) == (
        DueViolation("due_date", DueRule.DUE_BEFORE_CREATION),
        DueViolation("days_after_due", DueRule.DAYS_NEGATIVE),
        DueViolation("abatement.value", DueRule.NOT_BELOW_HUNDRED),
        DueViolation("discount.dates.0.day", DueRule.DATE_AFTER_DUE),
        DueViolation("discount.dates.0.value", DueRule.NOT_BELOW_ORIGINAL),
    )
