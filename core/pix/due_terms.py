"""The terms of a charge with a due date: until when it can be paid, and what changes its amount.

They are those of `calendario` and `valor` of CobVSolicitada (API Pix 2.9.0): a fine, interest, an
abatement and a discount, each with a mode of the standard's tables. `core.pix.due_amounts` computes
with them, `core.pix.due_rules` checks terms that a client sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Any

from core.pix.business_days import NATIONAL, end_of_day, roll

DAYS_AFTER_DUE_DEFAULT = 30
_VALUES = (Decimal("0.00"), Decimal("9999999999.99"))


class FineMode(IntEnum):
    """`valor.multa.modalidade`."""

    REAIS = 1
    PERCENT = 2


class InterestMode(IntEnum):
    """`valor.juros.modalidade`: reais or percent, per calendar day or per business day late."""

    REAIS_PER_DAY = 1
    PERCENT_PER_DAY = 2
    PERCENT_PER_MONTH = 3
    PERCENT_PER_YEAR = 4
    REAIS_PER_BUSINESS_DAY = 5
    PERCENT_PER_DAY_IN_BUSINESS_DAYS = 6
    PERCENT_PER_MONTH_IN_BUSINESS_DAYS = 7
    PERCENT_PER_YEAR_IN_BUSINESS_DAYS = 8


class AbatementMode(IntEnum):
    """`valor.abatimento.modalidade`."""

    REAIS = 1
    PERCENT = 2


class DiscountMode(IntEnum):
    """`valor.desconto.modalidade`: until one to three dates, or per day before the due date."""

    REAIS_UNTIL_DATE = 1
    PERCENT_UNTIL_DATE = 2
    REAIS_PER_DAY = 3
    REAIS_PER_BUSINESS_DAY = 4
    PERCENT_PER_DAY = 5
    PERCENT_PER_BUSINESS_DAY = 6


DATED_DISCOUNTS = frozenset({DiscountMode.REAIS_UNTIL_DATE, DiscountMode.PERCENT_UNTIL_DATE})
BUSINESS_DAY_DISCOUNTS = frozenset(
    {DiscountMode.REAIS_PER_BUSINESS_DAY, DiscountMode.PERCENT_PER_BUSINESS_DAY}
)
PERCENT_DISCOUNTS = frozenset(
    {
        DiscountMode.PERCENT_UNTIL_DATE,
        DiscountMode.PERCENT_PER_DAY,
        DiscountMode.PERCENT_PER_BUSINESS_DAY,
    }
)


@dataclass(frozen=True)
class Fine:
    """Added once to a late payment.

    `value` is reais or percent, by the mode: from 0.00 to 9999999999.99, always with two decimals.
    Creating the object raises ValueError for another value.
    """

    mode: FineMode
    value: Decimal

    def __post_init__(self) -> None:
        _check_value(self.value)


@dataclass(frozen=True)
class Interest:
    """Added for each day of delay, never compounded; `value` as in Fine."""

    mode: InterestMode
    value: Decimal

    def __post_init__(self) -> None:
        _check_value(self.value)


@dataclass(frozen=True)
class Abatement:
    """Taken from the amount on every day; `value` as in Fine."""

    mode: AbatementMode
    value: Decimal

    def __post_init__(self) -> None:
        _check_value(self.value)


@dataclass(frozen=True)
class DatedDiscount:
    """The discount of a payment until this day, inclusive; `value` as in Fine."""

    day: date
    value: Decimal

    def __post_init__(self) -> None:
        _check_value(self.value)


@dataclass(frozen=True)
class Discount:
    """Taken from a payment that is not late.

    The modes in DATED_DISCOUNTS have `dates` and no `value`; the others have the `value` of one day
    and no `dates`.
    """

    mode: DiscountMode
    value: Decimal | None = None
    dates: tuple[DatedDiscount, ...] = ()

    def __post_init__(self) -> None:
        if self.value is not None:
            _check_value(self.value)


@dataclass(frozen=True)
class DueTerms:
    """The due date, for how many calendar days later the charge can be paid, and the components."""

    due_date: date
    days_after_due: int = DAYS_AFTER_DUE_DEFAULT
    fine: Fine | None = None
    interest: Interest | None = None
    abatement: Abatement | None = None
    discount: Discount | None = None

    def effective_due_date(self, region: str = NATIONAL) -> date:
        """The due date, moved to the next business day of the payer's region."""
        return roll(self.due_date, region)

    def last_payable_day(self, region: str = NATIONAL) -> date:
        """The last day on which the charge can be paid, until midnight in Brasília.

        CobDataDeVencimento: the days after the due date count from the moved due date, and their
        last day moves to a business day too.
        """
        due = self.effective_due_date(region)
        return roll(due + timedelta(days=self.days_after_due), region)

    def deadline(self, region: str = NATIONAL) -> datetime:
        """The last instant in UTC at which the charge can be paid, a millisecond before midnight.

        Pages write it as 23:59:59; midnight would look like a moment of the next day.
        """
        return end_of_day(self.last_payable_day(region)) - timedelta(milliseconds=1)

    def to_json(self) -> dict[str, Any]:
        """The terms as a JSON object, for `from_json`."""
        terms: dict[str, Any] = {
            "due_date": self.due_date.isoformat(),
            "days_after_due": self.days_after_due,
        }
        for name in ("fine", "interest", "abatement"):
            if component := getattr(self, name):
                terms[name] = {"mode": int(component.mode), "value": str(component.value)}
        if self.discount:
            terms["discount"] = _discount_json(self.discount)
        return terms

    @classmethod
    def from_json(cls, terms: Mapping[str, Any]) -> DueTerms:
        """Read what `to_json` wrote. Raises ValueError for anything else."""
        try:
            read = cls(
                due_date=date.fromisoformat(terms["due_date"]),
                days_after_due=terms["days_after_due"],
                fine=_fine(terms.get("fine")),
                interest=_interest(terms.get("interest")),
                abatement=_abatement(terms.get("abatement")),
                discount=_discount(terms.get("discount")),
            )
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"must be terms of a due-date charge: {error!r}") from None
        # No member may be lost, unknown or written in another way, and `True` is no number of days.
        if read.to_json() != terms or type(read.days_after_due) is not int:
            raise ValueError("must be terms of a due-date charge as they were written")
        return read


def _check_value(value: Decimal) -> None:
    low, high = _VALUES
    if not value.is_finite() or value.as_tuple().exponent != -2 or not low <= value <= high:
        raise ValueError("must be from 0.00 to 9999999999.99, with two decimals")


def _discount_json(discount: Discount) -> dict[str, Any]:
    """A discount with the members of its mode."""
    if discount.mode in DATED_DISCOUNTS:
        dates = [{"day": one.day.isoformat(), "value": str(one.value)} for one in discount.dates]
        return {"mode": int(discount.mode), "dates": dates}
    return {"mode": int(discount.mode), "value": str(discount.value)}


def _fine(terms: Mapping[str, Any] | None) -> Fine | None:
    if terms is None:
        return None
    return Fine(FineMode(terms["mode"]), Decimal(terms["value"]))


def _interest(terms: Mapping[str, Any] | None) -> Interest | None:
    if terms is None:
        return None
    return Interest(InterestMode(terms["mode"]), Decimal(terms["value"]))


def _abatement(terms: Mapping[str, Any] | None) -> Abatement | None:
    if terms is None:
        return None
    return Abatement(AbatementMode(terms["mode"]), Decimal(terms["value"]))


def _discount(terms: Mapping[str, Any] | None) -> Discount | None:
    if terms is None:
        return None
    mode = DiscountMode(terms["mode"])
    if mode not in DATED_DISCOUNTS:
        return Discount(mode, Decimal(terms["value"]))
    dates = (
        DatedDiscount(date.fromisoformat(one["day"]), Decimal(one["value"]))
        for one in terms["dates"]
    )
    return Discount(mode, dates=tuple(dates))
