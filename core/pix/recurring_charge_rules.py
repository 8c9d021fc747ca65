"""The rules for the charges of a recurrence of Pix Automático: cycles, days, attempts, codes.

They are those of CobROperacaoInvalida and CobRTentativas (API Pix 2.9.0). Where the standard is
silent, they are limits of this service. The meanings of codes are our reading: the catalogue of the
messages between banks is not public.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from core.pix.recurrence_rules import Periodicity, RecurrenceTerms

DUE_IN_DAYS_MIN, DUE_IN_DAYS_MAX = 2, 366
"""How many days after its creation a charge may be due."""

ORDER_DAYS_BEFORE = 10
"""The payer's bank gets the order for the first attempt at most this many days before its day."""

RETRIES_MAX, RETRY_DAYS = 3, 7
"""The policy PERMITE_3R_7D: so many further attempts, within so many days after the first."""

REJECTING_CODES = frozenset(
    {"AC05", "AM09", "DENC", "DS27", "DTED", "MIDI", "MSUC", "NITX", "RC09"}
)
"""An attempt that is rejected with one of these codes rejects its charge (CobRTentativas)."""

ACCOUNT_BLOCKED, AMOUNT_OVER_LIMIT = "AC06", "AM02"
MANDATE_UNKNOWN, MANDATE_ENDED, OTHER_FAILURE = "MIDI", "MSUC", "AB10"
CANCELLED_BY_PAYER, CANCELLED_BY_PAYEE, ENDED_BY_BANK = "SLBD", "SLCR", "CCLD"
"""Codes of cancellations (CobRAtualizacao)."""

_MONTHS = {
    Periodicity.MONTHLY: 1,
    Periodicity.QUARTERLY: 3,
    Periodicity.HALF_YEARLY: 6,
    Periodicity.YEARLY: 12,
}
_WEEK_DAYS = 7


class ChargeRule(StrEnum):
    """A rule that a new charge can break; the text follows the field's name in a sentence."""

    DUE_TOO_SOON = f"must be at least {DUE_IN_DAYS_MIN} days after the creation"
    DUE_TOO_LATE = f"must be at most {DUE_IN_DAYS_MAX} days after the creation"
    DUE_BEFORE_CREATION = "must not be before the creation"
    DUE_OUTSIDE_TERM = "must be within the days of the recurrence"
    AMOUNT_ZERO = "must be greater than zero"
    AMOUNT_NOT_FIXED = "must be the amount of the recurrence"


class RetryRule(StrEnum):
    """A rule that a further attempt can break."""

    NOT_ALLOWED = "the recurrence allows no further attempts"
    DAY_NOT_FUTURE = "the day must be in the future"
    DAY_TOO_EARLY = "the day must not be before that of the first attempt"
    DAY_TOO_LATE = f"the day must be at most {RETRY_DAYS} days after the first attempt"
    DAY_IN_USE = "an attempt has this day"
    ATTEMPT_OPEN = "an attempt has not ended"
    NO_FIRST_ATTEMPT = "the charge has had no attempt"
    TOO_MANY = f"the charge has had {RETRIES_MAX} further attempts"


@dataclass(frozen=True)
class AttemptDays:
    """The attempts that a charge has had: their days, oldest first, and whether one is open."""

    days: tuple[date, ...]
    is_open: bool


def charge_violations(
    terms: RecurrenceTerms, due_day: date, amount_centavos: int, today: date
) -> Iterator[ChargeRule]:
    """Every rule that a charge breaks which is created today in Brasília."""
    lead = (due_day - today).days
    if lead < 0:
        yield ChargeRule.DUE_BEFORE_CREATION
    elif lead < DUE_IN_DAYS_MIN:
        yield ChargeRule.DUE_TOO_SOON
    elif lead > DUE_IN_DAYS_MAX:
        yield ChargeRule.DUE_TOO_LATE
    if due_day < terms.first_day or (terms.last_day is not None and due_day > terms.last_day):
        yield ChargeRule.DUE_OUTSIDE_TERM
    if amount_centavos == 0:
        yield ChargeRule.AMOUNT_ZERO
    elif terms.fixed_centavos not in (None, amount_centavos):
        yield ChargeRule.AMOUNT_NOT_FIXED


def retry_violations(
    attempts: AttemptDays, day: date, today: date, *, allows_retries: bool
) -> Iterator[RetryRule]:
    """Every rule that a further attempt on this day breaks."""
    if not allows_retries:
        yield RetryRule.NOT_ALLOWED
    if day <= today:
        yield RetryRule.DAY_NOT_FUTURE
    if not attempts.days:
        yield RetryRule.NO_FIRST_ATTEMPT
        return
    if day < attempts.days[0]:
        # An attempt may be rejected days before its day; the payer owes nothing until then.
        yield RetryRule.DAY_TOO_EARLY
    if day > last_retry_day(attempts.days[0]):
        yield RetryRule.DAY_TOO_LATE
    if day in attempts.days:
        yield RetryRule.DAY_IN_USE
    if attempts.is_open:
        yield RetryRule.ATTEMPT_OPEN
    if len(attempts.days) > RETRIES_MAX:
        yield RetryRule.TOO_MANY


def last_retry_day(first_attempt: date) -> date:
    """The last day on which a charge may be tried again."""
    return first_attempt + timedelta(days=RETRY_DAYS)


def cycle_of(first_day: date, periodicity: Periodicity, day: date) -> int:
    """The number of the cycle that contains this day: 0 begins on the recurrence's first day.

    A cycle of months begins on the same day of the month, or on the last one of a shorter month.
    """
    if periodicity is Periodicity.WEEKLY:
        return (day - first_day).days // _WEEK_DAYS
    months = (day.year - first_day.year) * 12 + day.month - first_day.month
    last_of_month = calendar.monthrange(day.year, day.month)[1]
    if day.day < min(first_day.day, last_of_month):
        months -= 1
    return months // _MONTHS[periodicity]
