"""The amount due on a day, of a charge with a due date.

The rules are those of the annex on calculation of the Manual de Padrões para Iniciação do Pix:
simple interest on the amount less the abatement, a percent discount on the original amount. Days
are business days or calendar days by the mode, counted from the due date that is moved to a
business day. The standard leaves the rounding open: here each component is rounded half up to the
centavo, and then they are added. A year has 365 calendar days or 252 business days, a month 30 or
21.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal

from core.pix.business_days import NATIONAL, business_days_between, roll
from core.pix.due_terms import (
    BUSINESS_DAY_DISCOUNTS,
    DATED_DISCOUNTS,
    PERCENT_DISCOUNTS,
    AbatementMode,
    Discount,
    DueTerms,
    FineMode,
    InterestMode,
)

# 12 digits of centavos, 12 of percent and 5 of days are exact in 60 digits, and so is the quotient
# as far as rounding asks: its denominator divides 100 * 365 or 100 * 252.
_EXACT = Context(prec=60)

_DAYS_OF_PERCENT = {
    InterestMode.PERCENT_PER_DAY: 1,
    InterestMode.PERCENT_PER_MONTH: 30,
    InterestMode.PERCENT_PER_YEAR: 365,
    InterestMode.PERCENT_PER_DAY_IN_BUSINESS_DAYS: 1,
    InterestMode.PERCENT_PER_MONTH_IN_BUSINESS_DAYS: 21,
    InterestMode.PERCENT_PER_YEAR_IN_BUSINESS_DAYS: 252,
}
_BUSINESS_DAY_INTEREST = frozenset(
    {
        InterestMode.REAIS_PER_BUSINESS_DAY,
        InterestMode.PERCENT_PER_DAY_IN_BUSINESS_DAYS,
        InterestMode.PERCENT_PER_MONTH_IN_BUSINESS_DAYS,
        InterestMode.PERCENT_PER_YEAR_IN_BUSINESS_DAYS,
    }
)


@dataclass(frozen=True)
class AmountDue:
    """The components of the amount of one day, in integer centavos, none of them negative."""

    original_centavos: int
    abatement_centavos: int = 0
    discount_centavos: int = 0
    fine_centavos: int = 0
    interest_centavos: int = 0

    @property
    def final_centavos(self) -> int:
        """What the payer pays: at least one centavo."""
        less = self.abatement_centavos + self.discount_centavos
        return self.original_centavos - less + self.fine_centavos + self.interest_centavos


def amount_due(
    original_centavos: int,
    terms: DueTerms,
    day: date,
    region: str = NATIONAL,
    rounding: str = ROUND_HALF_UP,
) -> AmountDue:
    """The amount of a payment on this day, by a payer in this region.

    The terms must have passed `core.pix.due_rules`; the day may be any day. `rounding` is a mode
    of `decimal`. A local holiday can bring one more day of discount than the rules have seen, so
    the discount always leaves one centavo.
    """
    due = terms.effective_due_date(region)
    abatement = abatement_of(original_centavos, terms, rounding)
    base = original_centavos - abatement
    if day <= due:
        discount = _discount_of(original_centavos, terms.discount, day, due, region, rounding)
        return AmountDue(original_centavos, abatement, min(discount, base - 1))
    fine = _fine_of(base, terms, rounding)
    interest = _interest_of(base, terms, due, day, region, rounding)
    return AmountDue(original_centavos, abatement, 0, fine, interest)


def abatement_of(original_centavos: int, terms: DueTerms, rounding: str = ROUND_HALF_UP) -> int:
    """The centavos that the abatement takes from the amount on every day."""
    if terms.abatement is None:
        return 0
    if terms.abatement.mode is AbatementMode.REAIS:
        return _centavos(terms.abatement.value)
    return _percent(original_centavos, terms.abatement.value, 1, 1, rounding)


def discount_of_days(
    original_centavos: int, discount: Discount, days: int, rounding: str = ROUND_HALF_UP
) -> int:
    """The centavos of a discount per day, of a payment so many days early."""
    value = discount.value or Decimal(0)
    if discount.mode in PERCENT_DISCOUNTS:
        return _percent(original_centavos, value, days, 1, rounding)
    return _centavos(value) * days


def discount_until(
    original_centavos: int, discount: Discount, value: Decimal, rounding: str = ROUND_HALF_UP
) -> int:
    """The centavos of one of the dated discounts, whose reais or percent are `value`."""
    if discount.mode in PERCENT_DISCOUNTS:
        return _percent(original_centavos, value, 1, 1, rounding)
    return _centavos(value)


def days_early(discount: Discount, day: date, due: date, region: str = NATIONAL) -> int:
    """How many days before the due date count for a discount per day: calendar or business days."""
    if discount.mode in BUSINESS_DAY_DISCOUNTS:
        return business_days_between(day, due, region)
    return max(0, (due - day).days)


def _discount_of(
    original: int, discount: Discount | None, day: date, due: date, region: str, rounding: str
) -> int:
    if discount is None:
        return 0
    if discount.mode not in DATED_DISCOUNTS:
        days = days_early(discount, day, due, region)
        return discount_of_days(original, discount, days, rounding)
    for one in sorted(discount.dates, key=lambda dated: dated.day):
        # A discount's date on a weekend or holiday holds until the next business day.
        if day <= roll(one.day, region):
            return discount_until(original, discount, one.value, rounding)
    return 0


def _fine_of(base: int, terms: DueTerms, rounding: str) -> int:
    if terms.fine is None:
        return 0
    if terms.fine.mode is FineMode.REAIS:
        return _centavos(terms.fine.value)
    return _percent(base, terms.fine.value, 1, 1, rounding)


def _interest_of(
    base: int, terms: DueTerms, due: date, day: date, region: str, rounding: str
) -> int:
    if terms.interest is None:
        return 0
    mode, value = terms.interest.mode, terms.interest.value
    is_in_business_days = mode in _BUSINESS_DAY_INTEREST
    days = business_days_between(due, day, region) if is_in_business_days else (day - due).days
    if period := _DAYS_OF_PERCENT.get(mode):
        return _percent(base, value, days, period, rounding)
    return _centavos(value) * days


def _centavos(value: Decimal) -> int:
    """Reais with two decimals as centavos."""
    return int(value.scaleb(2, _EXACT))


def _percent(base: int, percent: Decimal, days: int, period: int, rounding: str) -> int:
    """So many percent per `period` days of the base, for these days, as whole centavos."""
    product = base * _centavos(percent) * days
    exact = _EXACT.divide(Decimal(product), Decimal(10_000 * period))
    return int(exact.quantize(Decimal(1), rounding, _EXACT))
