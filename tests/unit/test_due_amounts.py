"""The amount of a charge with a due date on a day: every mode, and what holds for all of them.

The due date of the tables is Friday, 7 August 2026; no bank holiday is near.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from core.money import CENTAVOS_MAX
from core.pix.business_days import REGIONS, region_of
from core.pix.due_amounts import AmountDue, amount_due
from core.pix.due_rules import due_violations
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
from tests.support.due_terms import TERMS

DUE = date(2026, 8, 7)


def late(days):
    """So many calendar days after the due date."""
    return DUE + timedelta(days=days)


def fine(mode, value):
    """A fine, as short as a table needs it."""
    return Fine(FineMode(mode), Decimal(value))


def interest(mode, value):
    """Interest, as short as a table needs it."""
    return Interest(InterestMode(mode), Decimal(value))


def abatement(mode, value):
    """An abatement, as short as a table needs it."""
    return Abatement(AbatementMode(mode), Decimal(value))


def test_a_payment_in_time_is_the_original_amount():
    """Fine and interest begin after the due date, not on it."""
    terms = DueTerms(DUE, fine=fine(1, "3.00"), interest=interest(1, "2.00"))

    assert amount_due(10_000, terms, DUE) == AmountDue(10_000)
    assert amount_due(10_000, terms, late(1)) == AmountDue(10_000, 0, 0, 300, 200)


def test_the_sums_of_the_standards_example():
    """`componentesValor` in API Pix 2.9.0: 100.00, a fine of 3.00, interest of 2.00."""
    terms = DueTerms(DUE, fine=fine(1, "3.00"), interest=interest(1, "2.00"))

    assert amount_due(10_000, terms, late(1)).final_centavos == 10_500


def test_a_percent_fine_and_monthly_interest():
    """2 % of 123.45, and ten of thirty days of 1 %: 2.47 and 0.41."""
    terms = DueTerms(DUE, fine=fine(2, "2.00"), interest=interest(3, "1.00"))

    assert amount_due(12_345, terms, late(10)) == AmountDue(12_345, 0, 0, 247, 41)
    assert amount_due(12_345, terms, late(10)).final_centavos == 12_633


def test_fine_and_interest_are_of_the_amount_less_the_abatement():
    """1000.00 less 100.00, a fine of 2 % and seven days of 0.05 %: 921.15."""
    terms = DueTerms(
        DUE,
        fine=fine(2, "2.00"),
        interest=interest(2, "0.05"),
        abatement=abatement(1, "100.00"),
    )

    assert amount_due(100_000, terms, late(7)) == AmountDue(100_000, 10_000, 0, 1_800, 315)
    assert amount_due(100_000, terms, late(7)).final_centavos == 92_115


@pytest.mark.parametrize(
    ("mode", "value", "centavos"),
    [
        (1, "1.50", 1_500),  # ten days
        (2, "0.10", 1_000),
        (3, "3.00", 1_000),  # 3 % * 10 / 30
        (4, "36.50", 1_000),  # 36.5 % * 10 / 365
        (5, "1.50", 900),  # six business days
        (6, "0.10", 600),
        (7, "3.50", 1_000),  # 3.5 % * 6 / 21
        (8, "42.00", 1_000),  # 42 % * 6 / 252
    ],
)
def test_the_eight_modes_of_interest(mode, value, centavos):
    """1000.00 reais, paid on Monday, 17 August: ten calendar days, six business days late."""
    terms = DueTerms(DUE, interest=interest(mode, value))

    assert amount_due(100_000, terms, late(10)) == AmountDue(100_000, 0, 0, 0, centavos)


@pytest.mark.parametrize(("mode", "value"), [(1, "12.34"), (2, "1.234")])
def test_the_two_modes_of_fines_and_abatements(mode, value):
    """Reais, or percent of 1000.00: 12.34 and, rounded to two decimals of percent, 12.30."""
    two_decimals = str(Decimal(value).quantize(Decimal("0.01")))
    centavos = {1: 1_234, 2: 1_230}[mode]

    fined = amount_due(100_000, DueTerms(DUE, fine=fine(mode, two_decimals)), late(3))
    abated = amount_due(100_000, DueTerms(DUE, abatement=abatement(mode, two_decimals)), DUE)

    assert fined == AmountDue(100_000, 0, 0, centavos)
    assert abated == AmountDue(100_000, centavos)


@pytest.mark.parametrize(
    ("mode", "value", "centavos"),
    [
        (3, "1.50", 1_500),  # ten calendar days
        (4, "1.50", 1_200),  # eight business days
        (5, "0.15", 1_500),
        (6, "0.15", 1_200),
    ],
)
def test_the_four_modes_of_discounts_per_day(mode, value, centavos):
    """1000.00 reais, paid on Tuesday, 28 July, ten days before the due date; none on it."""
    terms = DueTerms(DUE, discount=Discount(DiscountMode(mode), Decimal(value)))

    assert amount_due(100_000, terms, DUE - timedelta(days=10)) == AmountDue(100_000, 0, centavos)
    assert amount_due(100_000, terms, DUE) == AmountDue(100_000)
    assert amount_due(100_000, terms, late(1)) == AmountDue(100_000)


@pytest.mark.parametrize(
    ("day", "reais", "percent"),
    [
        ("2026-07-20", 3_000, 2_400),
        ("2026-07-21", 2_000, 1_600),
        ("2026-07-31", 2_000, 1_600),
        ("2026-08-01", 1_000, 800),  # a Saturday: the date itself
        ("2026-08-02", 1_000, 800),
        ("2026-08-03", 1_000, 800),  # the next business day
        ("2026-08-04", 0, 0),
        ("2026-08-07", 0, 0),
    ],
)
def test_the_two_modes_of_discounts_until_dates(day, reais, percent):
    """The earliest date not before the payment counts, whatever the order of the list."""
    dates = [("2026-08-01", "10.00"), ("2026-07-20", "30.00"), ("2026-07-31", "20.00")]
    for mode, centavos in ((1, reais), (2, percent)):
        discount = Discount(
            DiscountMode(mode),
            dates=tuple(
                DatedDiscount(date.fromisoformat(until), Decimal(value)) for until, value in dates
            ),
        )

        due = amount_due(8_000, DueTerms(DUE, discount=discount), date.fromisoformat(day))

        assert due == AmountDue(8_000, 0, centavos)


def test_a_percent_discount_is_of_the_original_amount():
    """Not of the amount less the abatement, which is the base of fines."""
    terms = DueTerms(
        DUE,
        abatement=abatement(2, "50.00"),
        discount=Discount(
            DiscountMode.PERCENT_UNTIL_DATE, dates=(DatedDiscount(DUE, Decimal("10.00")),)
        ),
    )

    assert amount_due(10_000, terms, DUE) == AmountDue(10_000, 5_000, 1_000)


def test_a_due_date_on_a_weekend_moves_everything():
    """Due on Saturday: Monday is in time, Tuesday is one day late."""
    terms = DueTerms(date(2026, 8, 8), fine=fine(1, "3.00"), interest=interest(1, "1.00"))

    assert amount_due(10_000, terms, date(2026, 8, 10)) == AmountDue(10_000)
    assert amount_due(10_000, terms, date(2026, 8, 11)) == AmountDue(10_000, 0, 0, 300, 100)


def test_a_holiday_of_the_payers_state_delays_fine_and_interest():
    """9 July 2026 is a holiday in the state of São Paulo."""
    terms = DueTerms(date(2026, 7, 9), fine=fine(1, "3.00"))

    assert amount_due(10_000, terms, date(2026, 7, 10)).fine_centavos == 300
    assert amount_due(10_000, terms, date(2026, 7, 10), region_of("3509502")).fine_centavos == 0


def test_half_a_centavo_is_rounded_up():
    """The other usual mode, NBR 5891, rounds to the even centavo."""
    terms = DueTerms(DUE, fine=fine(2, "0.50"))

    assert amount_due(100, terms, late(1)).fine_centavos == 1
    assert amount_due(100, terms, late(1), rounding=ROUND_HALF_EVEN).fine_centavos == 0
    assert amount_due(99, terms, late(1)).fine_centavos == 0


def test_the_largest_values_are_exact():
    """28 digits, the default precision of decimals, would round here."""
    terms = DueTerms(DUE, interest=interest(8, "9999999999.99"))
    day = late(3_660)
    exact = amount_due(CENTAVOS_MAX, terms, day).interest_centavos
    days = amount_due(1, DueTerms(DUE, interest=interest(5, "0.01")), day).interest_centavos

    fraction = Fraction(CENTAVOS_MAX * CENTAVOS_MAX * days, 10_000 * 252)
    assert abs(exact - fraction) <= Fraction(1, 2)


@st.composite
def good_charges(draw):
    """An amount, terms that are accepted for it, a day between creation and end, and a region."""
    terms = draw(TERMS)
    creation_day = terms.due_date - timedelta(days=draw(st.integers(0, 40)))
    original = draw(st.integers(1, 1_000_000))
    assume(not due_violations(original, terms, creation_day, creation_day))
    region = draw(st.sampled_from(REGIONS))
    last = terms.last_payable_day(region)
    day = draw(st.dates(creation_day, last))
    return original, terms, day, region


@given(good_charges())
def test_the_components_make_the_amount(charge):
    """Whole centavos, none negative, and an amount that a bank can pay."""
    due = amount_due(*charge)

    parts = (
        due.abatement_centavos,
        due.discount_centavos,
        due.fine_centavos,
        due.interest_centavos,
    )
    assert all(isinstance(part, int) and part >= 0 for part in parts)
    assert due.original_centavos == charge[0]
    assert due.final_centavos == charge[0] - parts[0] - parts[1] + parts[2] + parts[3]
    assert 0 < due.final_centavos <= CENTAVOS_MAX


@given(good_charges())
def test_a_late_payment_gets_dearer_each_day(charge):
    """Nobody pays less by waiting for one more day after the due date."""
    original, terms, day, region = charge
    later = day + timedelta(days=1)
    assume(day > terms.effective_due_date(region))

    today, tomorrow = (amount_due(original, terms, on, region) for on in (day, later))

    assert tomorrow.final_centavos >= today.final_centavos
    assert today.discount_centavos == 0


@given(good_charges())
def test_a_payment_in_time_has_neither_fine_nor_interest(charge):
    """And it costs no more than the original amount."""
    original, terms, day, region = charge
    assume(day <= terms.effective_due_date(region))

    due = amount_due(original, terms, day, region)

    assert (due.fine_centavos, due.interest_centavos) == (0, 0)
    assert due.final_centavos <= original
