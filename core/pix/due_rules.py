"""The rules for the terms of a charge with a due date, checked when a client creates or revises it.

They are the violations of CobVOperacaoInvalida (API Pix 2.9.0), and limits of this service that the
standard leaves open. All violations are reported at once, each with the name of its field in
DueTerms, so that an API can translate names and sentences into its own words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from core.money import CENTAVOS_MAX
from core.pix.due_amounts import (
    abatement_of,
    amount_due,
    days_early,
    discount_of_days,
    discount_until,
)
from core.pix.due_terms import (
    DATED_DISCOUNTS,
    PERCENT_DISCOUNTS,
    AbatementMode,
    Discount,
    DueTerms,
)

DUE_IN_DAYS_MAX = 3_660
"""The due date may be this many days after the creation: ten years."""

DAYS_AFTER_DUE_MAX = 3_660
"""`validadeAposVencimento` may be at most ten years."""

DISCOUNT_DATES_MAX = 3

_HUNDRED = Decimal(100)
# Local holidays move the last payable day by less than this.
_LOCAL_DAYS = timedelta(days=14)


class DueRule(StrEnum):
    """A rule that terms can break; the text follows the field's name in a sentence."""

    DUE_BEFORE_CREATION = "must not be before the day of the creation"
    DUE_TOO_LATE = f"must be within {DUE_IN_DAYS_MAX} days of the creation"
    DAYS_NEGATIVE = "must not be negative"
    DAYS_TOO_MANY = f"must be at most {DAYS_AFTER_DUE_MAX}"
    NOT_BELOW_ORIGINAL = "must be less than the original amount"
    NOT_BELOW_HUNDRED = "must be less than 100 %"
    NOTHING_LEFT = "must leave an amount greater than zero"
    DATES_MISSING = "must have from 1 to 3 dates in modes 1 and 2"
    DATES_UNWANTED = "must not be there in modes 3 to 6"
    VALUE_MISSING = "must be there in modes 3 to 6"
    VALUE_UNWANTED = "must not be there in modes 1 and 2"
    DATE_AFTER_DUE = "must not be after the due date"
    DATE_TWICE = "must not repeat the date of another discount"
    TOTAL_TOO_LARGE = "must not bring the amount above 9999999999.99 by the last payable day"


@dataclass(frozen=True)
class DueViolation:
    """A broken rule, and the path of its field: `due_date`, `discount.dates.0.day`, ..."""

    field: str
    rule: DueRule


def due_violations(
    original_centavos: int, terms: DueTerms, creation_day: date, today: date
) -> tuple[DueViolation, ...]:
    """Every rule that the terms break, in the order of the fields; empty for good terms.

    `original_centavos` is from 1 to CENTAVOS_MAX. `creation_day` and `today` are days in Brasília,
    which differ when a charge is revised. A discount per day is checked for a payment today, and
    the total for the last payable day, because they are the largest then.
    """
    calendar = [*_calendar(terms, creation_day)]
    components = [*_abatement(original_centavos, terms), *_discount(original_centavos, terms)]
    if not calendar and not components:
        # These sums need days that can be computed, and components that mean something alone.
        components += _sums(original_centavos, terms, today)
    return (*calendar, *components)


def _calendar(terms: DueTerms, creation_day: date) -> Iterator[DueViolation]:
    if terms.due_date < creation_day:
        yield DueViolation("due_date", DueRule.DUE_BEFORE_CREATION)
    if (terms.due_date - creation_day).days > DUE_IN_DAYS_MAX:
        yield DueViolation("due_date", DueRule.DUE_TOO_LATE)
    if terms.days_after_due < 0:
        yield DueViolation("days_after_due", DueRule.DAYS_NEGATIVE)
    if terms.days_after_due > DAYS_AFTER_DUE_MAX:
        yield DueViolation("days_after_due", DueRule.DAYS_TOO_MANY)


def _abatement(original: int, terms: DueTerms) -> Iterator[DueViolation]:
    if terms.abatement is None:
        return
    is_percent = terms.abatement.mode is AbatementMode.PERCENT
    if is_percent and terms.abatement.value >= _HUNDRED:
        yield DueViolation("abatement.value", DueRule.NOT_BELOW_HUNDRED)
    elif abatement_of(original, terms) >= original:
        yield DueViolation("abatement.value", DueRule.NOT_BELOW_ORIGINAL)


def _discount(original: int, terms: DueTerms) -> Iterator[DueViolation]:
    discount = terms.discount
    if discount is None:
        return
    if discount.mode in DATED_DISCOUNTS:
        if discount.value is not None:
            yield DueViolation("discount.value", DueRule.VALUE_UNWANTED)
        if not 1 <= len(discount.dates) <= DISCOUNT_DATES_MAX:
            yield DueViolation("discount.dates", DueRule.DATES_MISSING)
    else:
        if discount.value is None:
            yield DueViolation("discount.value", DueRule.VALUE_MISSING)
        if discount.dates:
            yield DueViolation("discount.dates", DueRule.DATES_UNWANTED)
    if discount.value is not None:
        yield from _size(original, discount, discount.value, "discount.value")
    dates = discount.dates[:DISCOUNT_DATES_MAX]
    days = [one.day for one in dates]
    for index, one in enumerate(dates):
        if one.day > terms.due_date:
            yield DueViolation(f"discount.dates.{index}.day", DueRule.DATE_AFTER_DUE)
        if one.day in days[:index]:
            yield DueViolation(f"discount.dates.{index}.day", DueRule.DATE_TWICE)
        yield from _size(original, discount, one.value, f"discount.dates.{index}.value")


def _size(original: int, discount: Discount, value: Decimal, field: str) -> Iterator[DueViolation]:
    """One discount alone, of one day or until one date, must be less than the whole amount."""
    if discount.mode in PERCENT_DISCOUNTS and value >= _HUNDRED:
        yield DueViolation(field, DueRule.NOT_BELOW_HUNDRED)
    elif discount_until(original, discount, value) >= original:
        yield DueViolation(field, DueRule.NOT_BELOW_ORIGINAL)


def _sums(original: int, terms: DueTerms, today: date) -> Iterator[DueViolation]:
    """The smallest and the largest amount that the terms can give."""
    base = original - abatement_of(original, terms)
    discount = terms.discount
    if discount and discount.mode in DATED_DISCOUNTS:
        for index, one in enumerate(discount.dates):
            if discount_until(original, discount, one.value) >= base:
                yield DueViolation(f"discount.dates.{index}.value", DueRule.NOTHING_LEFT)
    elif discount:
        days = days_early(discount, today, terms.effective_due_date())
        if discount_of_days(original, discount, days) >= base:
            yield DueViolation("discount.value", DueRule.NOTHING_LEFT)
    late = amount_due(original, terms, terms.last_payable_day() + _LOCAL_DAYS)
    if late.final_centavos > CENTAVOS_MAX:
        field = "interest" if late.interest_centavos > late.fine_centavos else "fine"
        yield DueViolation(f"{field}.value", DueRule.TOTAL_TOO_LARGE)
